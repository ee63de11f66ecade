"""Scenes of Aria Synthetic Environments as published (Project Aria): fisheye images, made pinhole.

    17/
      rgb/vignette0000000.jpg            square fisheye images, 704 or 1408 pixels, lying on their side as the camera does
      depth/depth0000000.png             16 bit, millimetres *along the ray* of the pixel
      instances/instance0000000.png      16-bit object ids
      trajectory.csv                     one line per image: stamp in microseconds, world_from_device as position and xyzw
      object_instances_to_classes.json   id -> class name

The lens (FISHEYE624) and the camera's place on the glasses are the same in all scenes and published in the data set's tools.
Pixels that the lens model does not cover are black and without truth. Images stay in the camera's orientation; the camera is
mounted turned by a quarter, so people see them lying on the side. No mesh is published, so there is no truth on vertices.
"""

from __future__ import annotations

import csv
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays
from pan3d_core.geometry.distortion import undistort
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.transforms import invert_rigid, rigid
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import CameraView
from pan3d_core.views.image_files import read_image
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth
from pan3d_eval.datasets.published_files import (
    DEFAULT_VIEWS,
    ViewSelection,
    metres,
    pinhole,
    read_integers,
    read_json_object,
    required,
)

TRAJECTORY, CLASSES_FILE = "trajectory.csv", "object_instances_to_classes.json"
# Published calibration of the RGB camera at 704 pixels: focal length, principal point, distortion, place on the glasses.
CALIBRATED_SIZE = 704
FOCAL, CENTER = 297.6375381033778, (357.6599197217746, 349.1922497127481)
DISTORTION = (
    0.3650890375644368, -0.1738082418112771, -0.7534945484033189, 2.434788882752295, -2.57786220300886, 0.8788483538598834,
    0.0008005198595407136, -0.000294237814554143, 0.0, 0.0, 0.0, 0.0,
)  # fmt: skip
DEVICE_FROM_CAM_XYZW = (0.32640934382849085, 0.029274992008313648, 0.033361059956531547, 0.9441858687689326)
DEVICE_FROM_CAM_XYZ = (-0.007530096566173914, -0.010908549841580260, -0.003598063315542823)
MAX_ANGLE_RAD = 1.0  # half-angle of the cone in which the calibration holds
# Classes that are surroundings rather than objects; which ones is our choice, the data set does not say.
STRUCTURE = frozenset({"empty_space", "background", "wall", "floor", "ceiling"})


def is_aria_synthetic(folder: Path) -> bool:
    """Whether the folder looks like one scene of Aria Synthetic Environments."""
    return (folder / TRAJECTORY).exists() and (folder / "rgb").is_dir()


def read_aria_synthetic(folder: Path, views: ViewSelection = DEFAULT_VIEWS) -> Scene:
    """Read one scene. Raises `FileNotFoundError` or `ValueError` naming the file and what was expected."""
    path = folder / CLASSES_FILE
    named = {int(key): str(name) for key, name in read_json_object(path, "the classes of the objects").items()}
    kinds = sorted(set(named.values()))
    labels = LabelSpace(tuple(kinds), tuple(kind not in STRUCTURE for kind in kinds))
    trajectory = _read_trajectory(folder / TRAJECTORY)
    count = len(list((folder / "rgb").glob("vignette*.jpg")))
    if count != len(trajectory):
        raise ValueError(f"{folder / TRAJECTORY}: expected one line for each of the {count} images, got {len(trajectory)}")
    chosen = views.pick(range(count))
    made, ids, depths = zip(*(_read_view(folder, number, *trajectory[number]) for number in chosen))
    structure = torch.tensor([number for number, name in named.items() if name in STRUCTURE] or [0])
    objects = tuple(
        SceneObject(number, name, kinds.index(name)) for number, name in sorted(named.items()) if name not in STRUCTURE
    )
    truth = SceneTruth(tuple(torch.where(torch.isin(i, structure), 0, i) for i in ids), depths, objects, labels)
    return Scene(folder.name, made, truth)


def _read_view(folder: Path, number: int, stamp_ns: int, world_from_device: Tensor) -> tuple[CameraView, Tensor, Tensor]:
    """View, object ids and z-depth of one image, all as a pinhole camera with the same focal length sees them."""
    image = read_image(folder / "rgb" / f"vignette{number:07d}.jpg", upright=False)
    distance_mm = read_integers(folder / "depth" / f"depth{number:07d}.png", f"distances of image {number}")
    ids = read_integers(folder / "instances" / f"instance{number:07d}.png", f"object ids of image {number}")
    height, width = image.shape[1:]
    if height != width or width not in (CALIBRATED_SIZE, 2 * CALIBRATED_SIZE):
        raise ValueError(f"image {number}: expected 704 x 704 or 1408 x 1408 pixels, got {width} x {height}")
    intrinsics = rgb_intrinsics(width)
    rays = pixel_rays(intrinsics, pixel_grid(height, width).reshape(-1, 2)).reshape(height, width, 3)
    covered = torch.atan2(rays[..., :2].norm(dim=-1), rays[..., 2]) <= MAX_ANGLE_RAD
    straight, distance = undistort(image, intrinsics, "fisheye624", DISTORTION, metres(distance_mm))
    _, straight_ids = undistort(image, intrinsics, "fisheye624", DISTORTION, ids.float())
    assert distance is not None and straight_ids is not None, "undistort gives back what it is given"
    depth = torch.where(covered, distance / rays.norm(dim=-1), 0.0)
    world_from_cam = world_from_device @ device_from_cam()
    view = CameraView(
        image=straight * covered,
        intrinsics=intrinsics,
        cam_from_world=invert_rigid(world_from_cam).float(),
        depth=depth,
        stamp_ns=stamp_ns,
        frame_id="camera-rgb",
        camera=f"image_{number}",
    )
    return view, torch.where(covered, straight_ids.round().long(), 0), depth


def rgb_intrinsics(size: int) -> Tensor:
    """(3, 3) focal length and principal point of the RGB camera for images of `size` x `size` pixels."""
    factor = size / CALIBRATED_SIZE
    cx, cy = ((value + 0.5) * factor - 0.5 for value in CENTER)
    return pinhole(FOCAL * factor, FOCAL * factor, cx, cy)


def device_from_cam() -> Tensor:
    """(4, 4) float64: where the RGB camera sits in the frame that the trajectory is of."""
    quat = torch.tensor(DEVICE_FROM_CAM_XYZW, dtype=torch.float64)
    return rigid(matrix_from_quat_xyzw(quat), torch.tensor(DEVICE_FROM_CAM_XYZ, dtype=torch.float64))


def _read_trajectory(path: Path) -> list[tuple[int, Tensor]]:
    """Stamp in ns and (4, 4) float64 world_from_device of each line after the header."""
    with open(required(path, "the trajectory"), encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    poses = []
    for number, row in enumerate(rows, start=2):
        try:
            values = torch.tensor([float(word) for word in row[3:10]], dtype=torch.float64)
            poses.append((int(row[1]) * 1000, rigid(matrix_from_quat_xyzw(values[3:7]), values[:3])))
        except (ValueError, IndexError) as error:
            wanted = "a stamp in the second column, position and quaternion in columns four to ten"
            raise ValueError(f"{path}: line {number}: expected {wanted}, got {row} ({error})") from error
    return poses
