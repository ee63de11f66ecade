"""The whole journey in one command: robot cell, perception and a grasp, as separate processes over ROS 2."""
