"""The robot's own body in what its cameras see; knows views and their depth, no object, no model and no engine."""

from pan3d_core.body.description import RobotDescription
from pan3d_core.body.held import HeldObject, held_object
from pan3d_core.body.kinematics import root_from_links
from pan3d_core.body.stage import RobotBody, SeenBody, look_for_body
from pan3d_core.body.urdf import parse_urdf, read_urdf
from pan3d_core.body.views import BodySurface, BodyViews, see_body

__all__ = [
    "BodySurface",
    "BodyViews",
    "HeldObject",
    "RobotBody",
    "RobotDescription",
    "SeenBody",
    "held_object",
    "look_for_body",
    "parse_urdf",
    "read_urdf",
    "root_from_links",
    "see_body",
]
