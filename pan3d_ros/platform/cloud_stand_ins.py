"""sensor_msgs_py's `read_points`, the real one where it is installed, and clouds that are made as its `create_cloud` would.

The real `create_cloud` is never asked: it refuses records that end in padding unless it is told their size, which that of Humble
cannot be.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from pan3d_ros.messages.buffers import assign_bytes
from pan3d_ros.platform.stand_ins import optional_module

_FIELD_KINDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}  # PointField.datatype


def create_cloud(header: Header, fields: Iterable[PointField], points: np.ndarray) -> PointCloud2:
    """Do what sensor_msgs_py's `create_cloud` does for a structured array.

    Args:
        header: Of the message.
        fields: As the array's fields lie.
        points: (N,) structured.

    Returns:
        One row of N points, not said to be dense.
    """
    message = PointCloud2(header=header, height=1, width=len(points), fields=list(fields), is_bigendian=False, is_dense=False)
    message.point_step = points.dtype.itemsize
    message.row_step = points.dtype.itemsize * len(points)
    assign_bytes(message, points)
    return message


def own_read_points(cloud: PointCloud2) -> np.ndarray:
    """As sensor_msgs_py's `read_points(cloud)`: (N,) structured array over the bytes of the message."""
    kind = np.dtype(
        {
            "names": [f.name for f in cloud.fields],
            "formats": [("<" if not cloud.is_bigendian else ">") + _FIELD_KINDS[f.datatype] for f in cloud.fields],
            "offsets": [f.offset for f in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    return np.frombuffer(cloud.data, dtype=kind, count=cloud.width * cloud.height)


_clouds = optional_module("sensor_msgs_py.point_cloud2")
read_points = _clouds.read_points if _clouds else own_read_points
