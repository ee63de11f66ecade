"""Scenes of 3D Gaussians with objects: kept in files, edited, picked from, shown along camera paths; knows no engine."""

from pan3d_core.gaussians.camera_paths import CameraPath, PathSettings, camera_path
from pan3d_core.gaussians.editing import (
    Insertion,
    Motion,
    with_color,
    with_copy,
    with_instances_of,
    with_motion,
    without_instances,
)
from pan3d_core.gaussians.files import read_scene_file, write_scene_file
from pan3d_core.gaussians.ownership import gaussian_instance_ids
from pan3d_core.gaussians.picking import Pick, pick_along_ray
from pan3d_core.gaussians.pictures import (
    ClassTexts,
    class_names,
    color_pictures,
    depth_pictures,
    instance_pictures,
    rendered_classes,
    rendered_ids,
    semantic_pictures,
    side_by_side,
)
from pan3d_core.gaussians.places import Extent, extent_of, foot_of, rows_of, scene_up
from pan3d_core.gaussians.ply import read_gaussian_ply, write_gaussian_ply
from pan3d_core.gaussians.recoloring import color_of_text, recolored
from pan3d_core.gaussians.scene import GaussianScene, read_gaussian_scene, scene_of_result, write_gaussian_scene

__all__ = [
    "CameraPath",
    "ClassTexts",
    "Extent",
    "GaussianScene",
    "Insertion",
    "Motion",
    "PathSettings",
    "Pick",
    "camera_path",
    "class_names",
    "color_of_text",
    "color_pictures",
    "depth_pictures",
    "extent_of",
    "foot_of",
    "gaussian_instance_ids",
    "instance_pictures",
    "pick_along_ray",
    "read_gaussian_ply",
    "read_gaussian_scene",
    "read_scene_file",
    "recolored",
    "rendered_classes",
    "rendered_ids",
    "rows_of",
    "scene_of_result",
    "scene_up",
    "semantic_pictures",
    "side_by_side",
    "with_color",
    "with_copy",
    "with_instances_of",
    "with_motion",
    "without_instances",
    "write_gaussian_ply",
    "write_gaussian_scene",
    "write_scene_file",
]
