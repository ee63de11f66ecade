"""The library as ROS 2 nodes, and recorded topics without ROS; knows the library, its evaluation and the simulated cell."""

from pan3d_core.runtime.ending.asked import end_at_once_if

end_at_once_if("perception_node", "sim_node")
