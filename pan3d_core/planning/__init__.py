"""A planner's scene: remembered objects as closed shapes, and how they change; knows the memory and no messages."""

from pan3d_core.planning.bodies import CollisionBody, MeshPart, body_key, collision_bodies, collision_body
from pan3d_core.planning.changes import Change, ChangeKind, PlannedScene

__all__ = [
    "Change",
    "ChangeKind",
    "CollisionBody",
    "MeshPart",
    "PlannedScene",
    "body_key",
    "collision_bodies",
    "collision_body",
]
