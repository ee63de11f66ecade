"""Camera paths through a scene of Gaussians: its own views, around its objects, from view to view, or from a file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.gaussians.places import extent_of, scene_up
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.geometry.cameras import resized_intrinsics
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.geometry.transforms import invert_rigid, is_rigid, look_at, rigid
from pan3d_core.runtime.files import inside
from pan3d_core.structures import require_shape
from pan3d_core.views.camera_files import CameraEntry, read_camera_file
from pan3d_core.views.image_files import stored_size

DEFAULT_FOCAL = 0.9  # of the picture's width, where no view says anything
MARGIN = 1.25  # how much farther than the distance at which the objects just fit
ELEVATIONS_DEG = (10.0, 75.0)  # of an orbit; 35 where no view says anything


@dataclass(frozen=True)
class CameraPath:
    """F cameras, one after the other."""

    cam_from_world: Tensor  # (F, 4, 4) float32
    intrinsics: Tensor  # (F, 3, 3) pixels at `image_hw`
    image_hw: tuple[int, int]

    def __post_init__(self) -> None:
        require_shape("CameraPath.cam_from_world", self.cam_from_world, (None, 4, 4))
        require_shape("CameraPath.intrinsics", self.intrinsics, (len(self.cam_from_world), 3, 3))
        for name in ("cam_from_world", "intrinsics"):
            if not bool(torch.isfinite(getattr(self, name)).all()):
                raise ValueError(f"CameraPath.{name}: expected finite values, got NaN or infinity")

    def __len__(self) -> int:
        return len(self.cam_from_world)


@dataclass(frozen=True)
class PathSettings:
    """What `camera_path` makes."""

    frames: int = 60  # of "orbit" and "between"
    arc_deg: float = 360.0  # of "orbit"; less than a full turn swings around the middle of the views
    image_hw: tuple[int, int] | None = None  # None: that of the scene's views

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"frames: expected at least 1, got {self.frames}")
        if not 0 < self.arc_deg <= 360:
            raise ValueError(f"arc: expected more than 0 and at most 360 degrees, got {self.arc_deg:g}")


def camera_path(scene: GaussianScene, name: str, settings: PathSettings | None = None) -> CameraPath:
    """Make the path `name`: one of `PATHS` or a JSON file, see `file_path`. Errors as the function that makes it.

    Args:
        scene: Its views, and for an orbit its objects, say where cameras stand.
        name: "views", "orbit", "between", or a path of a JSON file.
        settings: Frames, size of a picture, arc; the defaults where none are given.

    Returns:
        F cameras with the size of their pictures.
    """
    settings = settings or PathSettings()
    if name in PATHS:
        return PATHS[name](scene, settings)
    if Path(name).suffix != ".json":
        raise ValueError(f"path: expected one of {', '.join(PATHS)} or a .json file, got {name!r}")
    return file_path(Path(name), scene, settings)


def views_path(scene: GaussianScene, settings: PathSettings) -> CameraPath:
    """The scene's own views. Raises `ValueError` for a scene without any."""
    if len(scene.cam_from_world) == 0:
        raise ValueError("path: expected a scene with views, got one without; use orbit or a file of cameras")
    hw = settings.image_hw or scene.image_hw
    return CameraPath(scene.cam_from_world.float(), resized_intrinsics(scene.intrinsics.float(), scene.image_hw, hw), hw)


def between_path(scene: GaussianScene, settings: PathSettings) -> CameraPath:
    """From the first view through all others to the last. Errors as `views_path`.

    Cameras turn at an even rate from view to view, and go around the objects by that turn: between two views of an orbit they
    stay on it instead of cutting through what is in the middle. What the turn does not explain is added evenly.
    """
    views = views_path(scene, settings)
    count = len(views)
    if count == 1:
        pose, lens = (part.expand(settings.frames, -1, -1) for part in (views.cam_from_world, views.intrinsics))
        return CameraPath(pose, lens, views.image_hw)
    middle = extent_of(scene).center
    world_from_cam = invert_rigid(views.cam_from_world.double())
    poses, intrinsics = [], []
    for place in torch.linspace(0, count - 1, settings.frames, dtype=torch.float64).tolist():
        first = min(int(place), count - 2)
        share = place - first
        poses.append(_between(world_from_cam[first], world_from_cam[first + 1], share, middle))
        intrinsics.append(torch.lerp(views.intrinsics[first], views.intrinsics[first + 1], share))
    return CameraPath(invert_rigid(torch.stack(poses)).float(), torch.stack(intrinsics), views.image_hw)


def _between(first: Tensor, second: Tensor, share: float, middle: Tensor) -> Tensor:
    """World poses (4, 4) of two cameras -> one between them, 0 <= `share` <= 1."""
    quat_xyzw = quat_xyzw_from_matrix(second[:3, :3] @ first[:3, :3].T)  # of the turn in the world; w >= 0: the shorter way
    half = math.atan2(float(quat_xyzw[:3].norm()), float(quat_xyzw[3]))
    axis = quat_xyzw[:3] / quat_xyzw[:3].norm().clamp_min(1e-12)

    def turn(part: float) -> Tensor:
        return matrix_from_quat_xyzw(torch.cat([math.sin(part * half) * axis, axis.new_tensor([math.cos(part * half)])]))

    rest = second[:3, 3] - middle - turn(1.0) @ (first[:3, 3] - middle)
    return rigid(turn(share) @ first[:3, :3], middle + turn(share) @ (first[:3, 3] - middle) + share * rest)


def orbit_path(scene: GaussianScene, settings: PathSettings) -> CameraPath:
    """Around the objects (everything, where there are none), looking at their middle, far enough that they fit.

    The lens is that of the first view, the elevation the mean one of the views.
    """
    hw = settings.image_hw or scene.image_hw
    height, width = hw
    if len(scene.intrinsics):
        intrinsics = resized_intrinsics(scene.intrinsics[0].float(), scene.image_hw, hw)
    else:
        focal = DEFAULT_FOCAL * width
        intrinsics = torch.tensor([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
    extent, up = extent_of(scene), scene_up(scene)
    half_view = math.atan(min(width / 2 / float(intrinsics[0, 0]), height / 2 / float(intrinsics[1, 1])))
    distance = MARGIN * extent.radius / math.sin(half_view)
    forward, elevation = _middle_of_views(scene, extent.center, up)
    side = torch.linalg.cross(up, forward)
    if settings.arc_deg == 360:
        angles = torch.arange(settings.frames, dtype=torch.float64) * (360 / settings.frames)
    else:
        ends = settings.arc_deg / 2 if settings.frames > 1 else 0.0
        angles = torch.linspace(-ends, ends, settings.frames, dtype=torch.float64)
    poses = []
    for angle in angles.deg2rad().tolist():
        level = math.cos(angle) * forward + math.sin(angle) * side
        outward = math.cos(elevation) * level + math.sin(elevation) * up
        poses.append(look_at(extent.center + distance * outward, extent.center, up))
    return CameraPath(torch.stack(poses).float(), intrinsics.expand(settings.frames, 3, 3), hw)


def _middle_of_views(scene: GaussianScene, center: Tensor, up: Tensor) -> tuple[Tensor, float]:
    """Level direction (3,) from the objects towards the views, and the views' mean elevation in radians."""
    outward = invert_rigid(scene.cam_from_world.double().cpu())[:, :3, 3] - center
    heights = outward @ up
    level = outward - heights[:, None] * up
    elevation = math.radians(35.0)
    if len(outward):
        low, high = (math.radians(limit) for limit in ELEVATIONS_DEG)
        elevation = min(max(float(torch.atan2(heights, level.norm(dim=-1)).mean()), low), high)
    # Views all around have no middle: then the first one, and without any, or from straight above, any direction.
    axes = torch.eye(3, dtype=torch.float64)
    spare = axes[int(up.abs().argmin())]
    candidates = [level.sum(0), *level[:1], spare - (spare @ up) * up]
    total = float(level.norm(dim=-1).sum())
    forward = next(item for item in candidates if float(item.norm()) > max(0.1 * total / max(1, len(level)), 1e-9))
    return forward / forward.norm(), elevation


def file_path(path: Path, scene: GaussianScene, settings: PathSettings) -> CameraPath:
    """Cameras of a JSON file: a list of views, or a `scene.json` with its `views`.

    Every view has `cam_from_world`, 4 x 4 in the unit of the scene, and `intrinsics`, 3 x 3 pixels at `image_hw` [height,
    width] beside it, else at the size of its `image` where that file exists, else at the size of the scene's views. Raises
    `FileNotFoundError`, or `ValueError` naming the file, the view and the field.
    """
    if not path.is_file():
        raise FileNotFoundError(f"path: expected a file of cameras, got {path}, which does not exist")
    hw = settings.image_hw or scene.image_hw
    poses, intrinsics = [], []
    for index, view in enumerate(read_camera_file(path).views):
        try:
            pose, lens = _camera_of(view)
            poses.append(pose)
            intrinsics.append(resized_intrinsics(lens, _size_of(view, path, scene), hw))
        except ValueError as error:
            raise ValueError(f"{path}: view {index}: {error}") from error
    return CameraPath(torch.stack(poses), torch.stack(intrinsics), hw)


def _camera_of(view: CameraEntry) -> tuple[Tensor, Tensor]:
    """`cam_from_world` and intrinsics of an entry."""
    if view.cam_from_world is None or view.intrinsics is None:
        known = [name for name in ("cam_from_world", "intrinsics") if getattr(view, name) is not None]
        raise ValueError(f"expected cam_from_world and intrinsics, got {', '.join(known) or 'neither'}")
    if not is_rigid(view.cam_from_world):
        raise ValueError(f"cam_from_world: expected a rotation and a translation, got {view.cam_from_world.tolist()}")
    return view.cam_from_world, view.intrinsics


def _size_of(view: CameraEntry, path: Path, scene: GaussianScene) -> tuple[int, int]:
    """Height and width of the picture that the intrinsics of `view` are of."""
    if view.image_hw is not None:
        return view.image_hw
    image = inside(path.parent, view.image or "", "image")
    return stored_size(image) if image.is_file() else scene.image_hw


PATHS: dict[str, Callable[[GaussianScene, PathSettings], CameraPath]] = {
    "views": views_path,
    "orbit": orbit_path,
    "between": between_path,
}
