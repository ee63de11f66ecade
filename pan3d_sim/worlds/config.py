"""Worlds by name: which parts of a scene are varied beyond what the plain cell shows."""

from __future__ import annotations

from dataclasses import dataclass

CELL = "cell"


@dataclass(frozen=True)
class WorldConfig:
    """What is varied. A world without any of it is the plain cell."""

    surfaces: int = 0  # tables and floors a bank of objects has to choose from; 0 = those of the cell
    photograph_share: float = 0.5  # of these surfaces, where photographs are at hand
    tinted_share: float = 0.35  # of the scenes' surfaces, grey values under one colour of any kind


WORLDS: dict[str, WorldConfig] = {
    CELL: WorldConfig(),
    "surfaces": WorldConfig(surfaces=16),
    "wild": WorldConfig(surfaces=16),
}
