"""Camera poses, the support and measured depth against what pictures show; knows cameras and matches, no engine's answer."""

from pan3d_core.assembly.pose_checks.consistency import check_poses
from pan3d_core.assembly.pose_checks.consistency_watch import ConsistencyWatch

__all__ = ["ConsistencyWatch", "check_poses"]
