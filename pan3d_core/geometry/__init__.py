"""Cameras, boxes, rotations and grids of points as plain arithmetic; knows tensors and arrays, nothing of ours."""

from pan3d_core.geometry.alignment import CameraFit, Similarity, fit_cameras, nearest_rotation, umeyama
from pan3d_core.geometry.boxes import OrientedBox, box_corners, box_iou, points_in_box, trimmed_extent, upright_box
from pan3d_core.geometry.cameras import normals_from_points, pixel_grid, pixel_rays, project, resized_intrinsics, unproject_depth
from pan3d_core.geometry.distortion import DISTORTION_MODELS, lens_model, undistort
from pan3d_core.geometry.level_cameras import LevelCameras, locate_cameras
from pan3d_core.geometry.rotations import matrix_between, matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.geometry.spherical_harmonics import harmonic_basis, harmonic_colors, turned_harmonics
from pan3d_core.geometry.transforms import invert_rigid, is_rigid, look_at, rigid, transform_points
from pan3d_core.geometry.voxels import VoxelGraph, build_voxel_graph, components, group_by_tone, split_touching

__all__ = [
    "CameraFit",
    "DISTORTION_MODELS",
    "LevelCameras",
    "OrientedBox",
    "Similarity",
    "VoxelGraph",
    "box_corners",
    "box_iou",
    "build_voxel_graph",
    "components",
    "fit_cameras",
    "group_by_tone",
    "harmonic_basis",
    "harmonic_colors",
    "invert_rigid",
    "is_rigid",
    "locate_cameras",
    "lens_model",
    "look_at",
    "matrix_between",
    "matrix_from_quat_xyzw",
    "nearest_rotation",
    "normals_from_points",
    "pixel_grid",
    "pixel_rays",
    "points_in_box",
    "project",
    "quat_xyzw_from_matrix",
    "resized_intrinsics",
    "rigid",
    "split_touching",
    "transform_points",
    "trimmed_extent",
    "turned_harmonics",
    "umeyama",
    "undistort",
    "unproject_depth",
    "upright_box",
]
