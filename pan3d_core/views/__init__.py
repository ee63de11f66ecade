"""From pictures of cameras to batches for a network: files, sets of one moment, keyframes, sizes; knows no network."""

from pan3d_core.views.camera_files import CameraEntry, CameraFile, Distortion, read_camera_file, write_camera_file
from pan3d_core.views.depth_files import read_depth, write_depth
from pan3d_core.views.image_files import read_image, write_image
from pan3d_core.views.keyframes import KeyframeWindow
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.sampling import sample_at_network
from pan3d_core.views.scan_truth import MeshTruth, RegionTruth
from pan3d_core.views.scene_folder import (
    Scene,
    SceneObject,
    SceneTruth,
    read_photographs,
    read_scene,
    write_scene,
)
from pan3d_core.views.synchronizer import SyncRules, ViewSet, ViewSetSynchronizer

__all__ = [
    "CameraEntry",
    "CameraFile",
    "Distortion",
    "KeyframeWindow",
    "MeshTruth",
    "RegionTruth",
    "Scene",
    "SceneObject",
    "SceneTruth",
    "SyncRules",
    "ViewSet",
    "ViewSetSynchronizer",
    "preprocess",
    "read_camera_file",
    "read_depth",
    "read_image",
    "read_photographs",
    "read_scene",
    "sample_at_network",
    "write_camera_file",
    "write_depth",
    "write_image",
    "write_scene",
]
