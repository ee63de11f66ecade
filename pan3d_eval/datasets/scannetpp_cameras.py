"""Cameras of ScanNet++: COLMAP text files, and the nerfstudio file of the undistorted images, in the mesh's frame.

COLMAP puts the image's corner at (0, 0), we put the centre of the corner pixel there: half a pixel is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.transforms import invert_rigid, rigid
from pan3d_eval.datasets.published_files import field_of, pinhole, read_json_object, required

# COLMAP model -> our distortion model; the first four parameters are fx, fy, cx, cy in all of them.
MODELS = {"PINHOLE": "plumb_bob", "OPENCV": "plumb_bob", "OPENCV_FISHEYE": "equidistant"}
CAMERA_WORDS, IMAGE_WORDS = 8, 10  # fewest words of a line of cameras.txt and of images.txt
# nerfstudio swaps the world's x and y and turns z over; its camera looks along -z with y up.
COLMAP_FROM_NERFSTUDIO = torch.tensor([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]], dtype=torch.float64)
OPENGL_FROM_OPENCV = torch.diag(torch.tensor([1.0, -1, -1, 1], dtype=torch.float64))


@dataclass(frozen=True)
class Camera:
    """Lens and place of one image."""

    size: tuple[int, int]  # width and height in pixels
    intrinsics: Tensor  # (3, 3)
    cam_from_world: Tensor  # (4, 4) metres
    distortion_model: str = "plumb_bob"
    coefficients: tuple[float, ...] = ()


def read_colmap(folder: Path) -> dict[str, Camera]:
    """Image file name -> camera, of `cameras.txt` and `images.txt`."""
    cameras_path, images_path = folder / "cameras.txt", folder / "images.txt"
    lenses = {}
    for words in _lines(required(cameras_path, "COLMAP cameras")):
        if len(words) < CAMERA_WORDS or words[1] not in MODELS:
            raise ValueError(f"{cameras_path}: expected a camera of model {', '.join(MODELS)}, got {' '.join(words)!r}")
        fx, fy, cx, cy, *coefficients = map(float, words[4:])
        lens = pinhole(fx, fy, cx - 0.5, cy - 0.5)
        lenses[words[0]] = ((int(words[2]), int(words[3])), lens, MODELS[words[1]], tuple(coefficients))
    found = {}
    # Two lines per image: the pose, then its observed points, which may be empty.
    for words in _lines(required(images_path, "COLMAP images"), every_second=True):
        if len(words) < IMAGE_WORDS or words[8] not in lenses:
            raise ValueError(f"{images_path}: expected id, quaternion, position, camera and name, got {' '.join(words)!r}")
        w, x, y, z, *position = map(float, words[1:8])
        rotation = matrix_from_quat_xyzw(torch.tensor([x, y, z, w], dtype=torch.float64))
        cam_from_world = rigid(rotation, torch.tensor(position, dtype=torch.float64)).float()
        size, lens, model, bending = lenses[words[8]]
        found[Path(words[9]).name] = Camera(size, lens, cam_from_world, model, bending)
    return found


def read_undistorted(path: Path) -> dict[str, Camera]:
    """Image file name -> camera, of `transforms_undistorted.json`: training and test images."""
    content = read_json_object(path, "cameras of the undistorted images")
    fx, fy, cx, cy = (float(field_of(content, key, path)) for key in ("fl_x", "fl_y", "cx", "cy"))
    size = (int(field_of(content, "w", path)), int(field_of(content, "h", path)))
    lens = pinhole(fx, fy, cx - 0.5, cy - 0.5)
    found = {}
    for entry in [*field_of(content, "frames", path), *content.get("test_frames", [])]:
        matrix = torch.tensor(field_of(entry, "transform_matrix", path), dtype=torch.float64)
        world_from_cam = COLMAP_FROM_NERFSTUDIO @ matrix @ OPENGL_FROM_OPENCV
        found[Path(field_of(entry, "file_path", path)).name] = Camera(size, lens, invert_rigid(world_from_cam).float())
    return found


def _lines(path: Path, *, every_second: bool = False) -> list[list[str]]:
    """Words of the lines that are no comments."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    if every_second:
        return [words for words in lines[::2] if words]
    return [words for words in lines if words]
