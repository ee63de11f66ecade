"""Whether ROS 2 and this project's interfaces are here; tests that need them are left out otherwise."""

from importlib.util import find_spec

import pytest


def ros_is_here() -> bool:
    """rclpy is installed and the interfaces are built; the folder of their sources is a package without an origin."""
    interfaces = find_spec("pan3d_interfaces")
    return find_spec("rclpy") is not None and interfaces is not None and interfaces.origin is not None


def require_ros() -> None:
    """Skip the module that asks, where ROS is missing."""
    if not ros_is_here():
        pytest.skip("needs ROS 2 and the built interfaces (make setup)", allow_module_level=True)
