"""From an engine's answer to objects in the world; knows results and cameras, no model and no engine."""

from pan3d_core.assembly.alignment import align_to_world
from pan3d_core.assembly.merging import between_surfaces, merge_panoptic
from pan3d_core.assembly.ownership import OwnedMasks, OwnedPixels, own_masks, own_pixels
from pan3d_core.assembly.placement import refine_placement
from pan3d_core.assembly.pose_checks import ConsistencyWatch, check_poses

__all__ = [
    "ConsistencyWatch",
    "OwnedMasks",
    "OwnedPixels",
    "align_to_world",
    "between_surfaces",
    "check_poses",
    "merge_panoptic",
    "own_masks",
    "own_pixels",
    "refine_placement",
]
