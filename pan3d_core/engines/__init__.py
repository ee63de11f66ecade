"""Engines by name: model, weights and decoding behind one call; they know models and language, and no stage after them."""

from pan3d_core.engines.facts import Engine, EngineFacts
from pan3d_core.engines.table import ENGINES, GRAPHS, EngineBuilder, build_engine, build_graph

__all__ = ["ENGINES", "GRAPHS", "Engine", "EngineBuilder", "EngineFacts", "build_engine", "build_graph"]
