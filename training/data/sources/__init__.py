"""Batches for a run by the names and weights of what they come from; knows scenes and targets, no model of a run."""

from training.data.sources.draws import generator_from, seed_from
from training.data.sources.shard_source import ShardSource
from training.data.sources.stream_source import open_source

__all__ = ["ShardSource", "generator_from", "open_source", "seed_from"]
