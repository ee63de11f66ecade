"""Recorded topics (rosbag2): reading, evaluation in process, playing them back."""
