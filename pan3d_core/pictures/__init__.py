"""Results as pictures and clouds for people and their files; knows results, not how they came about."""

from pan3d_core.pictures.cloud_files import Cloud, read_ply, write_ply, write_reconstruction
from pan3d_core.pictures.clouds import Viewpoint, cloud_picture, view_behind, viewpoints_around
from pan3d_core.pictures.files import is_moving, write_folder, write_moving
from pan3d_core.pictures.overlays import (
    box_lines,
    depth_picture,
    depth_range,
    depth_scale,
    enlarge,
    error_picture,
    grasp_lines,
    ids_on_image,
    montage,
    overlay,
    project_lines,
    save,
    to_picture,
)
from pan3d_core.pictures.palette import Color, Picture, class_colors, instance_color, instance_palette

__all__ = [
    "Cloud",
    "Color",
    "Picture",
    "Viewpoint",
    "box_lines",
    "class_colors",
    "cloud_picture",
    "depth_picture",
    "depth_range",
    "depth_scale",
    "enlarge",
    "error_picture",
    "grasp_lines",
    "ids_on_image",
    "instance_color",
    "instance_palette",
    "is_moving",
    "montage",
    "overlay",
    "project_lines",
    "read_ply",
    "save",
    "to_picture",
    "view_behind",
    "viewpoints_around",
    "write_folder",
    "write_moving",
    "write_ply",
    "write_reconstruction",
]
