"""Free, occupied and unknown space, and what belongs to no object, for planners: PointCloud2 and OccupancyGrid."""

from __future__ import annotations

from array import array

import numpy as np
import torch
from geometry_msgs.msg import Point, Pose
from nav_msgs.msg import MapMetaData, OccupancyGrid
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.memory import Space, SpaceGrid
from pan3d_core.structures import PerceptionResult
from pan3d_ros.platform.cloud_stand_ins import create_cloud

CELL = np.dtype(
    {"names": ["x", "y", "z", "state"], "formats": ["<f4", "<f4", "<f4", "u1"], "offsets": [0, 4, 8, 12], "itemsize": 16}
)
PLACE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
_PLACE_FIELDS = [PointField(name=name, offset=4 * k, datatype=PointField.FLOAT32, count=1) for k, name in enumerate("xyz")]
_CELL_FIELDS = [*_PLACE_FIELDS, PointField(name="state", offset=12, datatype=PointField.UINT8, count=1)]
OCCUPANCY = {Space.UNKNOWN: -1, Space.FREE: 0, Space.OCCUPIED: 100}  # of nav_msgs/OccupancyGrid


def space_cloud(grid: SpaceGrid, message_header: Header) -> PointCloud2:
    """Give the middles of all cells.

    Args:
        grid: Of the memory.
        message_header: Of the message.

    Returns:
        Points with x, y, z and `state`: 0 = unknown, 1 = free, 2 = occupied, as `Space`.
    """
    cells = np.zeros(grid.states.numel(), CELL)
    _fill(cells, grid.centers().numpy())
    cells["state"] = grid.states.flatten().numpy()
    return _dense(message_header, _CELL_FIELDS, cells)


def occupancy_grid(grid: SpaceGrid, lowest_m: float, highest_m: float, message_header: Header) -> OccupancyGrid:
    """Look down on the cells between two heights.

    Args:
        grid: Of the memory.
        lowest_m: World z.
        highest_m: World z.
        message_header: Of the message; its frame is the world of the grid.

    Returns:
        -1 = unknown, 0 = free, 100 = occupied.
    """
    states = grid.from_above(lowest_m, highest_m).numpy()
    values = np.zeros(states.shape, np.int8)
    for state, value in OCCUPANCY.items():
        values[states == state] = value
    x, y, _ = grid.origin.tolist()
    width, height = states.shape
    info = MapMetaData(map_load_time=message_header.stamp, resolution=float(grid.cell_m), width=width, height=height)
    info.origin = Pose(position=Point(x=x, y=y, z=lowest_m))
    return OccupancyGrid(header=message_header, info=info, data=array("b", np.ascontiguousarray(values.T).tobytes()))


def camera_obstacles(result: PerceptionResult, index: int, message_header: Header) -> PointCloud2:
    """Give what one view sees that belongs to neither an object nor the robot.

    In the camera's own frame, since an octomap clears the space between a cloud's frame and its points.

    Args:
        result: Metric.
        index: Of the view.
        message_header: With the optical frame.

    Returns:
        Points with x, y and z.
    """
    found, device = result.reconstruction, result.reconstruction.depth.device
    depth = found.depth[index]
    keep = (result.panoptic.instance_id[index] == 0) & (depth > 0) & depth.isfinite()
    if result.body_pixels is not None:
        keep &= ~result.body_pixels[index]
    points = unproject_depth(depth[None], found.intrinsics[index][None], torch.eye(4, device=device)[None])[0][keep]
    places = np.zeros(len(points), PLACE)
    _fill(places, points.cpu().numpy())
    return _dense(message_header, _PLACE_FIELDS, places)


def _fill(records: np.ndarray, points: np.ndarray) -> None:
    for column, name in enumerate("xyz"):
        records[name] = points[:, column]


def _dense(message_header: Header, fields: list[PointField], records: np.ndarray) -> PointCloud2:
    message = create_cloud(message_header, fields, records)
    message.is_dense = True
    return message
