"""A robot arm of our own: one table of links and joints, as URDF and as a MuJoCo model for the cell; knows cameras."""

from pan3d_sim.arm.links import ARM, ArmJoint, ArmLink, ArmSpec, Shape
from pan3d_sim.arm.model import ArmHandles, add_arm
from pan3d_sim.arm.path import ArmPath
from pan3d_sim.arm.reach import reach_down
from pan3d_sim.arm.urdf import urdf_text

__all__ = ["ARM", "ArmHandles", "ArmJoint", "ArmLink", "ArmPath", "ArmSpec", "Shape", "add_arm", "reach_down", "urdf_text"]
