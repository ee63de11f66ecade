"""Messages of hands and planners: grasps, trajectories, free space, MoveIt's scene; knows no node, and reading trajectories
knows no ROS."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.messages.manipulation.grasps import grasp_from_message as grasp_from_message
    from pan3d_ros.messages.manipulation.grasps import grasp_message as grasp_message
    from pan3d_ros.messages.manipulation.hands import hand_markers as hand_markers
    from pan3d_ros.messages.manipulation.space import camera_obstacles as camera_obstacles
    from pan3d_ros.messages.manipulation.space import occupancy_grid as occupancy_grid
    from pan3d_ros.messages.manipulation.space import space_cloud as space_cloud
    from pan3d_ros.messages.manipulation.trajectories import TrajectoryError as TrajectoryError
    from pan3d_ros.messages.manipulation.trajectories import trajectory_from_message as trajectory_from_message

# Loaded on first use, so that nobody needs ROS for a part that does not.
_NAMES = {
    "grasps": ("grasp_from_message", "grasp_message"),
    "hands": ("hand_markers",),
    "space": ("camera_obstacles", "occupancy_grid", "space_cloud"),
    "trajectories": ("TrajectoryError", "trajectory_from_message"),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
