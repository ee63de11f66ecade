"""What engines share: inputs, decoding, memory, warming up; knows models and results, and no engine."""

from pan3d_core.engines.parts.decoding import DecodingThresholds, decode_queries, instance_set, instances_of_queries
from pan3d_core.engines.parts.foreign_weights import named_weights
from pan3d_core.engines.parts.gaussian_objects import RenderedObjects, rendered_objects
from pan3d_core.engines.parts.memory import run_within_memory
from pan3d_core.engines.parts.mini_inputs import mini_inputs
from pan3d_core.engines.parts.picture_sizes import network_size
from pan3d_core.engines.parts.warm_up import warm_up

__all__ = [
    "DecodingThresholds",
    "RenderedObjects",
    "decode_queries",
    "instance_set",
    "instances_of_queries",
    "mini_inputs",
    "named_weights",
    "network_size",
    "rendered_objects",
    "run_within_memory",
    "warm_up",
]
