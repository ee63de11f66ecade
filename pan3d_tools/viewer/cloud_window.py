"""Stored clouds in Open3D, for those who have it: a window to turn them in, and its point cloud type for further work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pan3d_core.pictures.cloud_files import Cloud
from pan3d_core.pictures.palette import instance_palette

if TYPE_CHECKING:
    import open3d


def open3d_cloud(cloud: Cloud, *, by_instance: bool = False) -> open3d.geometry.PointCloud:
    """The cloud with normals as an Open3D object, in the colours of the cameras or one colour per instance.

    Raises `ModuleNotFoundError` where Open3D is not installed.
    """
    import open3d

    colors = cloud.colors
    if by_instance:
        colors = instance_palette(int(cloud.instance_id.max(initial=0)))[cloud.instance_id]
    converted = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(cloud.points.astype(np.float64)))
    converted.normals = open3d.utility.Vector3dVector(cloud.normals.astype(np.float64))
    converted.colors = open3d.utility.Vector3dVector(colors / 255.0)
    return converted


def show(cloud: Cloud, *, by_instance: bool = False) -> None:
    """Open a window with a cloud and the axes of the world (10 cm), until it is closed.

    Args:
        cloud: In metres.
        by_instance: One colour per instance, not the cameras' colours.

    Raises:
        ModuleNotFoundError: Open3D is not installed.
    """
    import open3d

    axes = open3d.geometry.TriangleMesh.create_coordinate_frame(size=0.1)
    open3d.visualization.draw_geometries([open3d_cloud(cloud, by_instance=by_instance), axes], window_name="pan3d")
