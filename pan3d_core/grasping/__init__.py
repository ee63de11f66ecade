"""Grasps for a parallel-jaw hand on one object of a labelled cloud; knows points, ids and the hand, no picture and no model."""

from pan3d_core.grasping.planner import REASONS, GraspCounts, GraspResult, select_grasps

__all__ = ["REASONS", "GraspCounts", "GraspResult", "select_grasps"]
