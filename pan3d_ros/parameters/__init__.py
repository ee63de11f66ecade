"""Settings of the node as ROS parameters and parameter files; knows the settings of the library, and only `declaration` knows
ROS."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_ros.parameters.declaration import NodeParameters
    from pan3d_ros.parameters.node_config import CameraConfig, NodeConfig
    from pan3d_ros.parameters.values import read_parameter_files

__all__ = [
    "CameraConfig", "NodeConfig", "NodeParameters", "read_parameter_files",
]  # fmt: skip

# Loaded on first use, so that nobody needs ROS for a part that does not.
_HOMES = {
    "CameraConfig": "node_config", "NodeConfig": "node_config", "NodeParameters": "declaration",
    "read_parameter_files": "values",
}  # fmt: skip
__getattr__ = attributes(__name__, _HOMES)
