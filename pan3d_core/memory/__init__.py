"""A lasting world: objects with ids and states, their fused surfaces, the space around; knows results, no model and no engine."""

from pan3d_core.memory.files import read_world, write_world
from pan3d_core.memory.objects import NUM_SIDES, MemoryObject, ObjectState
from pan3d_core.memory.place_map import RefinedMap, map_of_scene
from pan3d_core.memory.space import Space, SpaceGrid, SpaceMap
from pan3d_core.memory.surface import FusedSurface
from pan3d_core.memory.world import World, WorldMemory

__all__ = [
    "NUM_SIDES",
    "FusedSurface",
    "MemoryObject",
    "ObjectState",
    "RefinedMap",
    "Space",
    "SpaceGrid",
    "SpaceMap",
    "World",
    "WorldMemory",
    "map_of_scene",
    "read_world",
    "write_world",
]
