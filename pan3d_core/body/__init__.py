"""The robot's own body in what its cameras see, and its gripper's shape; knows views and their depth, no object and no model."""

from pan3d_core.body.description import RobotDescription
from pan3d_core.body.gripper import MeasuredGripper, measure_gripper
from pan3d_core.body.gripper_links import GripperLinks, GripperNames, find_gripper
from pan3d_core.body.held import HeldObject, held_object
from pan3d_core.body.kinematics import root_from_links
from pan3d_core.body.stage import RobotBody, SeenBody, look_for_body
from pan3d_core.body.urdf import parse_urdf, read_urdf
from pan3d_core.body.views import BodySurface, BodyViews, see_body

__all__ = [
    "BodySurface",
    "BodyViews",
    "GripperLinks",
    "GripperNames",
    "HeldObject",
    "MeasuredGripper",
    "RobotBody",
    "RobotDescription",
    "SeenBody",
    "find_gripper",
    "held_object",
    "look_for_body",
    "measure_gripper",
    "parse_urdf",
    "read_urdf",
    "root_from_links",
    "see_body",
]
