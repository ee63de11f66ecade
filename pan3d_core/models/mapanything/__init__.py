"""MapAnything: views with whatever is known of cameras and depth to metric geometry; it knows tensors and weight files alone."""

from pan3d_core.models.mapanything.cameras import (
    cameras_of_output,
    known_of_scenes,
    known_of_views,
    pinhole_of_rays,
    z_depth_of_output,
)
from pan3d_core.models.mapanything.files import read_map_anything
from pan3d_core.models.mapanything.network import KnownGeometry, MapAnything, MapAnythingOutput, MapAnythingSizes

__all__ = [
    "KnownGeometry",
    "MapAnything",
    "MapAnythingOutput",
    "MapAnythingSizes",
    "cameras_of_output",
    "known_of_scenes",
    "known_of_views",
    "pinhole_of_rays",
    "read_map_anything",
    "z_depth_of_output",
]
