"""The whole journey in one command: robot cell, perception and a grasp, as processes over ROS 2; knows `pan3d_ros` only."""
