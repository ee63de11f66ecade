"""VGGT and SegVGGT, with the camera code that other families share; they know layers and weight files, no other family."""

from pan3d_core.models.vggt.files import SegVggtContent, SegVggtSizes, build_segvggt, load_segvggt, save_segvggt
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
from pan3d_core.models.vggt.sizes import VggtSizes, vggt_of

__all__ = [
    "Aggregator",
    "CameraHead",
    "QueryDecoder",
    "SegVGGT",
    "SegVggtContent",
    "SegVggtOutput",
    "SegVggtSizes",
    "VGGT",
    "VggtOutput",
    "VggtSizes",
    "build_segvggt",
    "cameras_from_pose_encoding",
    "imagenet_normalized",
    "load_segvggt",
    "load_vggt",
    "official_name",
    "pose_encoding_from_cameras",
    "require_images",
    "save_segvggt",
    "segvggt_1b",
    "vggt_1b",
    "vggt_of",
]
