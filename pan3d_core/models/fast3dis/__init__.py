"""FAST3DIS, objects by 3D anchors on a frozen Depth Anything 3 or MapAnything, and its files; it knows these and layers."""

from pan3d_core.models.fast3dis.anchor_decoder import AnchorDecoder, AnchorPrediction, AnchorSettings, SceneViews
from pan3d_core.models.fast3dis.files import load_fast3dis, save_fast3dis
from pan3d_core.models.fast3dis.map_anchors import MapAnchors, MapAnchorsSettings
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disOutput, Fast3disSettings

__all__ = [
    "AnchorDecoder",
    "AnchorPrediction",
    "AnchorSettings",
    "Fast3dis",
    "Fast3disOutput",
    "Fast3disSettings",
    "MapAnchors",
    "MapAnchorsSettings",
    "SceneViews",
    "load_fast3dis",
    "save_fast3dis",
]
