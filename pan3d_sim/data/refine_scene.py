"""Scenes to refine: many views of one cell from a moving camera, with true depth, ids and classes, some held out for judging.

The camera goes around the table, up and down and nearer and farther, and its views come in the order of the journey. Of the
true classes the kinds of objects come first, then `STUFF`: what shows no object is table where the true depth reaches the
table's top or side, and floor below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import CameraView, present
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth
from pan3d_sim.cameras.rig import FRONT_AZIMUTH_DEG, RigCamera, look_at
from pan3d_sim.cell.model import CellConfig
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.objects.appearance import TABLE_THICKNESS_M
from pan3d_sim.objects.kinds import KINDS

STUFF = ("table", "floor")
REFINE_LABELS = LabelSpace((*KINDS, *STUFF), (*(True for _ in KINDS), *(False for _ in STUFF)))
LOOK_AT_HEIGHT_M = 0.03  # above the support: the middle of what stands on it
DEPTH_SLACK_M = 1e-3  # of rendered depth, so that the table's own edge stays table
_PATH_STREAM = 200  # random numbers of the camera's journey, apart from those of the cell


@dataclass(frozen=True)
class RefineSceneSettings:
    """How a scene is seen."""

    num_views: int = 24
    width: int = 160
    height: int = 120
    hold_out_every: int = 4  # every n-th view is for judging alone; 0 = none
    num_objects: int = 6
    arrangement: str = "separated"  # as `CellConfig.arrangement`
    arc_deg: float = 360.0  # of the journey around the table
    elevation_deg: tuple[float, float] = (32.0, 58.0)
    distance_m: tuple[float, float] = (0.58, 0.72)
    fov_y_deg: float = 46.0

    def __post_init__(self) -> None:
        if self.num_views < 1 or min(self.width, self.height) < 16:
            got = f"{self.num_views} of {self.width}x{self.height}"
            raise ValueError(f"num_views, width, height: expected at least 1 view of 16x16 pixels, got {got}")
        if self.hold_out_every < 0 or self.hold_out_every == 1:
            raise ValueError(f"hold_out_every: expected 0 or at least 2, got {self.hold_out_every}")
        if not 0 < self.arc_deg <= 360:
            raise ValueError(f"arc_deg: expected more than 0 and at most 360, got {self.arc_deg:g}")

    @property
    def held_out(self) -> tuple[int, ...]:
        """Views for judging: the last of every `hold_out_every`, so that the first is always given."""
        return tuple(range(self.hold_out_every - 1, self.num_views, self.hold_out_every)) if self.hold_out_every else ()

    @property
    def given(self) -> tuple[int, ...]:
        """The other views."""
        return tuple(index for index in range(self.num_views) if index not in self.held_out)


@dataclass(frozen=True)
class RefineScene:
    """V views of one cell in the order of the camera's journey, and what is true of them."""

    scene: Scene  # its truth has ids, depth and objects; ids hold over all views
    semantic_id: Tensor  # (V, H, W) int64 true class in `labels`, -1 = nothing before the far plane
    labels: LabelSpace  # things first
    given: tuple[int, ...]  # views to refine with
    held_out: tuple[int, ...]  # views to judge with

    @property
    def instance_id(self) -> Tensor:
        """(V, H, W) int64 true ids of objects, 0 = table, floor or nothing."""
        return torch.stack(present("Scene.truth", self.scene.truth).instance_ids)

    def views(self, chosen: tuple[int, ...]) -> tuple[CameraView, ...]:
        """The camera views of these indices, in their order."""
        return tuple(self.scene.views[index] for index in chosen)

    def truth(self, chosen: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """True (semantic_id, instance_id) of these views, each (len(chosen), H, W)."""
        return self.semantic_id[list(chosen)], self.instance_id[list(chosen)]


def render_refine_scene(seed: int, settings: RefineSceneSettings | None = None) -> RefineScene:
    """Render the scene of a seed as a camera sees it on a journey around the table; the same on every machine.

    Args:
        seed: The objects are those of `RobotCell(seed)`.
        settings: Number and size of the views, journey, views held out.

    Returns:
        Views with true depth, ids that hold over all views, and true classes.
    """
    settings = settings or RefineSceneSettings()
    config = CellConfig(settings.num_objects, settings.arrangement, width=settings.width, height=settings.height, num_cameras=1)
    with RobotCell(seed, config) as cell:
        cameras = journey(np.random.default_rng([seed, _PATH_STREAM]), settings, cell.config.support_height_m)
        views = tuple(cell.views(cameras=cameras))
        ids = torch.from_numpy(cell.instance_ids).long()
        seen = set(ids.unique().tolist())
        objects = tuple(
            SceneObject(item.instance_id, item.name, KINDS.index(item.kind), item.box)
            for item in cell.truth()
            if item.instance_id in seen
        )
        support_height_m = cell.config.support_height_m
    depth = tuple(present("CameraView.depth", view.depth) for view in views)
    truth = SceneTruth(tuple(ids), depth, objects, LabelSpace.things(KINDS))
    scene = Scene(f"refine_{seed:04d}", views, truth, support_height_m)
    return RefineScene(scene, _true_classes(views, truth, support_height_m), REFINE_LABELS, settings.given, settings.held_out)


def journey(rng: np.random.Generator, settings: RefineSceneSettings, support_height_m: float) -> list[RigCamera]:
    """Cameras around the middle of the table, evenly over the arc, in the order of the journey. An arc that is no full turn
    swings around the robot's side; a full turn begins anywhere."""
    count, whole = settings.num_views, settings.arc_deg == 360
    shares = np.arange(count) / (count if whole else max(count - 1, 1))
    start = rng.uniform(0.0, 360.0) if whole else FRONT_AZIMUTH_DEG - settings.arc_deg / 2
    waves = [0.5 + 0.5 * np.sin(2 * np.pi * (turns * shares + rng.uniform())) for turns in (2, 3)]
    elevations, distances = (
        low + (high - low) * wave for (low, high), wave in zip((settings.elevation_deg, settings.distance_m), waves, strict=True)
    )
    focal = settings.height / 2 / np.tan(np.deg2rad(settings.fov_y_deg) / 2)
    middle = (settings.width - 1) / 2, (settings.height - 1) / 2
    intrinsics = np.array([[focal, 0.0, middle[0]], [0.0, focal, middle[1]], [0.0, 0.0, 1.0]])
    target = np.array([0.0, 0.0, support_height_m + LOOK_AT_HEIGHT_M])
    cameras = []
    for index, (share, elevation_deg, distance) in enumerate(zip(shares, elevations, distances, strict=True)):
        azimuth, elevation = np.deg2rad(start + settings.arc_deg * share), np.deg2rad(elevation_deg)
        level = np.array([np.cos(azimuth), np.sin(azimuth), 0.0]) * np.cos(elevation)
        eye = target + distance * (level + np.array([0.0, 0.0, np.sin(elevation)]))
        cameras.append(RigCamera(f"view_{index:02d}", intrinsics, look_at(eye, target), settings.width, settings.height))
    return cameras


def _true_classes(views: Sequence[CameraView], truth: SceneTruth, support_height_m: float) -> Tensor:
    """(V, H, W) int64, see `RefineScene.semantic_id`."""
    depth = torch.stack([present("CameraView.depth", view.depth) for view in views])
    ids = torch.stack(truth.instance_ids)
    intrinsics = torch.stack([present("CameraView.intrinsics", view.intrinsics) for view in views])
    cam_from_world = torch.stack([present("CameraView.cam_from_world", view.cam_from_world) for view in views])
    height = unproject_depth(depth, intrinsics, cam_from_world)[..., 2]
    on_table = height > support_height_m - TABLE_THICKNESS_M - DEPTH_SLACK_M
    table, floor = (REFINE_LABELS.names.index(name) for name in STUFF)
    class_of_id = torch.full((int(ids.max()) + 1,), -1)
    for item in truth.objects:
        class_of_id[item.instance_id] = item.class_id
    stuff = torch.where(depth > 0, torch.where(on_table, table, floor), -1)
    return torch.where(ids > 0, class_of_id[ids], stuff)
