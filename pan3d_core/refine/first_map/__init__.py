"""The map that an optimisation begins with: surfaces on which views agree, and a query per object; knows views and models."""

from pan3d_core.refine.first_map.agreement import DepthImage, agreed_pixels
from pan3d_core.refine.first_map.queries import queries_from_boxes, queries_from_masks
from pan3d_core.refine.first_map.start import first_map

__all__ = [
    "DepthImage",
    "agreed_pixels",
    "first_map",
    "queries_from_boxes",
    "queries_from_masks",
]
