"""Rectified stereo pairs as views with poses, and the depth that their disparity means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from pan3d_core.structures import CameraView
from pan3d_core.views.image_files import read_image
from pan3d_eval.photographs.catalogue import StereoTruth

# The left camera is the origin of a world whose z points up where the pictures' top is: camera x, y, z are world x, -z, y.
_CAM_FROM_WORLD = ((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, -1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def stereo_views(stereo: StereoTruth, pictures: Sequence[Path]) -> tuple[CameraView, CameraView]:
    """Read a rectified pair with its calibration.

    Args:
        stereo: Calibration of the pair.
        pictures: Left and right.

    Returns:
        Both views, metres, in the world of the left camera.

    Raises:
        ValueError: A picture cannot be read.
    """
    views = []
    for name, path, shift, offset in zip(("left", "right"), pictures, (0.0, stereo.right_shift_px), (0.0, stereo.baseline_m)):
        intrinsics = torch.eye(3)
        intrinsics[0, 0] = intrinsics[1, 1] = stereo.focal_px
        intrinsics[0, 2], intrinsics[1, 2] = stereo.principal_px[0] + shift, stereo.principal_px[1]
        cam_from_world = torch.tensor(_CAM_FROM_WORLD)
        cam_from_world[0, 3] = -offset
        views.append(CameraView(read_image(path), intrinsics, cam_from_world, camera=name, frame_id=name))
    return views[0], views[1]


def true_depth(stereo: StereoTruth, disparity: Path) -> npt.NDArray[np.float32]:
    """Turn a disparity file into depth.

    Args:
        stereo: Calibration of the pair.
        disparity: `.npz` of one array or an image; pixels of the left picture.

    Returns:
        (H, W) z-depth in metres, 0 = unknown.
    """
    if disparity.suffix == ".npz":
        with np.load(disparity) as stored:
            found = stored[stored.files[0]].astype(np.float64)
    else:
        found = np.asarray(Image.open(disparity), dtype=np.float64)
    known = np.isfinite(found) & (found > 0)
    depth = stereo.focal_px * stereo.baseline_m / (np.where(known, found, 1.0) + stereo.right_shift_px)
    return np.where(known, depth, 0.0).astype(np.float32)
