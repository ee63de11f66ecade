"""Grasps of one object of a labelled cloud, by two jaws or a suction cup; knows points, ids and the hand, and no picture."""

from pan3d_core.grasping.answers import REASONS, GraspCounts, GraspResult, SuctionCounts
from pan3d_core.grasping.planner import select_grasps

__all__ = ["REASONS", "GraspCounts", "GraspResult", "SuctionCounts", "select_grasps"]
