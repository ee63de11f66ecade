"""The map that an optimisation begins with: surfaces on which views agree, and a query per object; knows views and models."""

from pan3d_core.refine.first_map.agreement import DepthImage, agreed_pixels
from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_depth, gaussians_from_reconstruction
from pan3d_core.refine.first_map.queries import QuerySettings, queries_from_boxes, queries_from_masks
from pan3d_core.refine.first_map.start import first_map

__all__ = [
    "DepthImage",
    "QuerySettings",
    "SurfaceSettings",
    "agreed_pixels",
    "first_map",
    "gaussians_from_depth",
    "gaussians_from_reconstruction",
    "queries_from_boxes",
    "queries_from_masks",
]
