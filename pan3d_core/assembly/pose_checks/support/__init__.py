"""The surface that objects stand on: its height, its level and who can see it; knows matches and cameras, no verdict on poses."""

from pan3d_core.assembly.pose_checks.support.height import estimate_support_height, find_support
from pan3d_core.assembly.pose_checks.support.sight import judge_world
from pan3d_core.assembly.pose_checks.support.verdict import judge_support

__all__ = ["estimate_support_height", "find_support", "judge_support", "judge_world"]
