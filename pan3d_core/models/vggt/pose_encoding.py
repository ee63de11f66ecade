"""The 9-number camera code of VGGT: tx ty tz, qx qy qz qw, vertical and horizontal field of view.

Translation and rotation are `cam_from_world` with OpenCV axes; fields of view are radians.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.geometry.transforms import rigid

# A field of view of 0 (the network's activation can reach it) would mean an infinite focal length.
MIN_FIELD_OF_VIEW = 1e-3


def cameras_from_pose_encoding(encoding: Tensor, image_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Decode cameras.

    Args:
        encoding: (..., 9) as the module docstring says.
        image_hw: Rows and columns of the image that pixels are counted in.

    Returns:
        cam_from_world (..., 4, 4) in the unit of the translations, and intrinsics (..., 3, 3) in pixels.

    The principal point is (W / 2, H / 2) by definition of the code, in a pixel grid whose integers the
    official unprojection takes as they are; so depth and these intrinsics fit each other, half a pixel
    from a calibration that calls the image centre ((W - 1) / 2, (H - 1) / 2).
    """
    height, width = image_hw
    cam_from_world = rigid(matrix_from_quat_xyzw(encoding[..., 3:7]), encoding[..., :3])
    half_angle = encoding[..., 7:9].clamp_min(MIN_FIELD_OF_VIEW) / 2
    half_size = encoding.new_tensor([height / 2, width / 2])
    focal_yx = half_size / torch.tan(half_angle)
    intrinsics = encoding.new_zeros(*encoding.shape[:-1], 3, 3)
    intrinsics[..., 0, 0], intrinsics[..., 1, 1] = focal_yx[..., 1], focal_yx[..., 0]
    intrinsics[..., 0, 2], intrinsics[..., 1, 2], intrinsics[..., 2, 2] = width / 2, height / 2, 1.0
    return cam_from_world, intrinsics


def pose_encoding_from_cameras(cam_from_world: Tensor, intrinsics: Tensor, image_hw: tuple[int, int]) -> Tensor:
    """Encode cameras: the inverse of `cameras_from_pose_encoding`; qw >= 0; the principal point is not kept.

    Args:
        cam_from_world: (..., 4, 4).
        intrinsics: (..., 3, 3) pixels of the image.
        image_hw: Rows and columns of the image.

    Returns:
        (..., 9) as the module docstring says.
    """
    height, width = image_hw
    quat_xyzw = quat_xyzw_from_matrix(cam_from_world[..., :3, :3])
    fov_h = 2 * torch.atan(height / 2 / intrinsics[..., 1, 1])
    fov_w = 2 * torch.atan(width / 2 / intrinsics[..., 0, 0])
    return torch.cat([cam_from_world[..., :3, 3], quat_xyzw, fov_h[..., None], fov_w[..., None]], dim=-1)
