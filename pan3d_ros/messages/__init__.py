"""All conversions between ROS messages and the types of pan3d_core, one module per kind of message."""
