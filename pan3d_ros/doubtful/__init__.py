"""What the network is least sure of, kept as the next recording; knows views and settings, and only `bag` ROS and rosbags."""

from pan3d_ros.doubtful.sets import DoubtfulSets, KeptSet, sureness

__all__ = ["DoubtfulSets", "KeptSet", "sureness"]
