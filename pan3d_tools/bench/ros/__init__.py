"""Measurements over the real middleware, with nodes as processes; knows `pan3d_ros` and the demo's processes."""
