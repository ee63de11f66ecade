"""VGGT and SegVGGT, with the camera code that other families share; they know layers and weight files, no other family."""

from pan3d_core.models.vggt.network import (
    VGGT,
    Aggregator,
    CameraHead,
    VggtOutput,
    imagenet_normalized,
    load_vggt,
    require_images,
    vggt_1b,
)
from pan3d_core.models.vggt.pose_encoding import cameras_from_pose_encoding, pose_encoding_from_cameras
from pan3d_core.models.vggt.segvggt import QueryDecoder, SegVGGT, SegVggtOutput, official_name, segvggt_1b

__all__ = [
    "Aggregator",
    "CameraHead",
    "QueryDecoder",
    "SegVGGT",
    "SegVggtOutput",
    "VGGT",
    "VggtOutput",
    "cameras_from_pose_encoding",
    "imagenet_normalized",
    "load_vggt",
    "official_name",
    "pose_encoding_from_cameras",
    "require_images",
    "segvggt_1b",
    "vggt_1b",
]
