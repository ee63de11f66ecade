"""Settings of the node as ROS parameters and parameter files; knows the settings of the library, and only `declaration` knows
ROS."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.parameters.declaration import NodeParameters as NodeParameters
    from pan3d_ros.parameters.node_config import CameraConfig as CameraConfig
    from pan3d_ros.parameters.node_config import NodeConfig as NodeConfig
    from pan3d_ros.parameters.values import read_parameter_files as read_parameter_files

# Loaded on first use, so that nobody needs ROS for a part that does not.
_NAMES = {
    "node_config": ("CameraConfig", "NodeConfig"),
    "declaration": ("NodeParameters",),
    "values": ("read_parameter_files",),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
