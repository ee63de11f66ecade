"""The robot cell: a table with objects under physics, calibrated cameras and a hand, all from one seed.

World frame "base_link": z up, table centre at the origin, table top at `CellConfig.support_height_m`.
Instance ids: 0 = none, k = the object `RobotCell.objects[k - 1]`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.structures import CameraView
from pan3d_sim.arm import ArmHandles
from pan3d_sim.cameras.depth_sensors import DepthSensor
from pan3d_sim.cameras.renderer import Renderer
from pan3d_sim.cameras.rig import RigCamera, overview_camera, sample_rig, wrist_camera
from pan3d_sim.cameras.seen_surfaces import SeenSurfaces
from pan3d_sim.cell.arrangement import Pose, draw_poses, fallen, settle, settle_pile
from pan3d_sim.cell.hand import HAND_GROUP
from pan3d_sim.cell.model import CellConfig, compile_cell, draw_objects
from pan3d_sim.cell.stage import Stage
from pan3d_sim.objects.appearance import randomize_appearance
from pan3d_sim.objects.kinds import VISUAL_GROUP, ObjectSpec, object_box

log = logging.getLogger("pan3d.sim.cell")

WORLD_FRAME_ID = "base_link"
MAX_ARRANGEMENT_DRAWS = 8


@dataclass(frozen=True)
class TrueObject:
    """What the simulator knows about one object that is on the table."""

    instance_id: int
    kind: str
    color_name: str
    name: str  # colour and kind, unique within the cell
    world_from_object: np.ndarray  # (4, 4)
    box: OrientedBox  # of the visible mesh, along the object's own axes
    visible_pixels: tuple[int, ...]  # per camera


class RobotCell(Stage, AbstractContextManager["RobotCell"]):
    """One seeded scene. Use as a context manager or call `close`: the renderer holds GL memory."""

    def __init__(self, seed: int, config: CellConfig | None = None, **changes: Any) -> None:
        """Build, settle and light the scene. `changes` replace fields of `config`, e.g. `RobotCell(3, num_objects=5)`."""
        changes = {key: tuple(value) if key in ("kinds", "objects") else value for key, value in changes.items()}
        self.config = replace(config or CellConfig(), **changes)
        self.objects = self.config.objects or objects_of_seed(seed, self.config)
        model = compile_cell(_stream(seed, 1), self.objects, self.config)
        surfaces = [obj.vertices for obj in self.objects]
        super().__init__(model, self.config.hand, surfaces, seed, self.config.support_height_m)
        self.arm = None if self.config.arm is None else ArmHandles(self.model, self.config.arm)
        self._arrange(_stream(seed, 2))
        randomize_appearance(self.model, _stream(seed, 3))
        rig = replace(self.config.rig, support_height_m=self.config.support_height_m)
        count, width, height = self.config.num_cameras, self.config.width, self.config.height
        self.cameras = sample_rig(_stream(seed, 4), count, width, height, rig) if count else []
        self._renderer: Renderer | None = None
        self._noise_rng = _stream(seed, 5)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the renderer; rendering again makes a new one."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    # --- cameras -----------------------------------------------------------------------------------------------

    def render(self, camera: RigCamera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Any camera of the cell's size: RGB (H, W, 3) uint8, z-depth (H, W) float32 m, 0 = none, instance ids (H, W) int32."""
        rgb, depth, geom_ids = self._updated_renderer().render(camera)
        return rgb, depth, self._instance_ids(geom_ids)

    def arm_pixels(self, camera: RigCamera) -> np.ndarray:
        """(H, W) bool: where a camera sees the arm now."""
        if self.arm is None:
            return np.zeros((camera.height, camera.width), bool)
        return np.isin(self._updated_renderer().render(camera)[2], list(self.arm.geoms))

    def pose_arm(self, positions: Mapping[str, float]) -> None:
        """Put the arm somewhere at once, whatever is there. Raises `ValueError` where the cell has none."""
        if self.arm is None:
            raise ValueError("CellConfig.arm: expected an arm, got none")
        self.arm.teleport(self.data, positions)
        mujoco.mj_forward(self.model, self.data)

    def seen_surfaces(self, camera: RigCamera, rgb: np.ndarray, depth: np.ndarray, ids: np.ndarray) -> SeenSurfaces:
        """What `render` gave for a camera, with the gloss of each object, as depth sensors want it."""
        gloss = np.array([0.0, *(obj.specular for obj in self.objects)])
        return SeenSurfaces(depth, float(camera.intrinsics[0, 0]), rgb, gloss=gloss[ids])

    def picture(self, camera: RigCamera) -> np.ndarray:
        """RGB (H, W, 3) uint8 with the hand in it."""
        return self._updated_renderer(show_hand=True).render(camera)[0]

    def views(
        self,
        *,
        stamp_ns: int = 0,
        depth: bool = True,
        noise: DepthSensor | None = None,
        cameras: Sequence[RigCamera] | None = None,
    ) -> list[CameraView]:
        """What the cameras (default: the fixed ones) see now, without the hand. `instance_ids` goes with it."""
        views, ids = [], []
        for camera in self.cameras if cameras is None else cameras:
            rgb, z, view_ids = self.render(camera)
            if noise is not None:
                z = noise.measure(self.seen_surfaces(camera, rgb, z, view_ids), self._noise_rng)
            ids.append(view_ids)
            views.append(camera_view(camera, rgb, z if depth else None, stamp_ns))
        self.instance_ids = np.stack(ids)  # (S, H, W) int32 of the latest views
        return views

    def overview_camera(self) -> RigCamera:
        """For `picture`: the whole workspace and the hand above it, from the side."""
        return overview_camera(self.config.width, self.config.height, support_height_m=self.config.support_height_m)

    def wrist_camera(self) -> RigCamera:
        """The camera on the wrist at the hand's present pose."""
        return wrist_camera(self.hand.world_from_hand(self.data), self.config.width, self.config.height)

    def truth(self) -> tuple[TrueObject, ...]:
        """All objects that are on the table, in the order of their instance ids."""
        ids = [self.render(camera)[2] for camera in self.cameras]
        found = []
        for index, obj in enumerate(self.objects):
            if index in self.removed:
                continue
            pixels = tuple(int((view == index + 1).sum()) for view in ids)
            pose = self.world_from_object(index)
            found.append(TrueObject(index + 1, obj.kind, obj.color_name, obj.name, pose, _box(obj, pose), pixels))
        return tuple(found)

    # --- construction ------------------------------------------------------------------------------------------

    def _arrange(self, rng: np.random.Generator) -> None:
        """Draw and settle until every object lies on the table; what still fails after several draws is removed."""
        start = self.save()
        for _ in range(MAX_ARRANGEMENT_DRAWS):
            self.restore(start)
            poses = draw_poses(rng, self.objects, self.config.arrangement, self.config.support_height_m)
            calm = self._drop(poses)
            lost = fallen(self.data, self.bodies, support_height_m=self.config.support_height_m)
            lost = sorted(set(lost) - self.removed)
            if calm and not lost and not self.removed:
                break
        for index in lost:
            self.remove(index)
        if self.removed:
            log.warning("left out for want of room: %s", ", ".join(self.objects[i].name for i in sorted(self.removed)))
        if not calm:
            raise RuntimeError(f"seed {self.seed}: the {self.config.arrangement} arrangement does not come to rest")

    def _drop(self, poses: Sequence[Pose | None]) -> bool:
        """Put the objects at their starting poses and let them come to rest; False when they do not."""
        for index, (address, pose) in enumerate(zip(self.bodies, poses)):
            if pose is None:
                self.remove(index)
            else:
                self.data.qpos[address.qpos : address.qpos + 7] = [*pose.position, *pose.quat_wxyz]
        self.hand.park(self.data)
        if self.arm is not None:
            self.arm.go_home(self.data)
        present = [address for index, address in enumerate(self.bodies) if index not in self.removed]
        try:
            if self.config.arrangement == "pile":
                settle_pile(self.model, self.data, present)
            settle(self.model, self.data, present)
        except RuntimeError as error:
            log.info("drawing again: %s", error)
            return False
        return True

    # --- rendering ---------------------------------------------------------------------------------------------

    def _updated_renderer(self, *, show_hand: bool = False) -> Renderer:
        """The renderer, knowing the present state. The renderer shows visible groups only, so the hand changes its group."""
        if self._renderer is None:
            self._renderer = Renderer(self.model, self.config.width, self.config.height)
        self.model.geom_group[list(self.hand.geoms)] = VISUAL_GROUP if show_hand else HAND_GROUP
        self._renderer.update(self.data)
        return self._renderer

    def _instance_ids(self, geom_ids: np.ndarray) -> np.ndarray:
        """Geom ids (-1 = none) -> instance ids; 0 for everything that is no object."""
        object_of_geom = np.append(self._object_of_body[self.model.geom_bodyid], -1)  # the last entry serves id -1
        return (object_of_geom[geom_ids] + 1).astype(np.int32)


def objects_of_seed(seed: int, config: CellConfig) -> tuple[ObjectSpec, ...]:
    """Draw the objects that the cell of a seed has, so that another cell can have the same.

    Args:
        seed: Of the cell.
        config: How many objects, and of what.

    Returns:
        The objects, none placed yet.
    """
    return draw_objects(_stream(seed, 0), config)


def _stream(seed: int, purpose: int) -> np.random.Generator:
    """Independent random numbers per purpose: another number of cameras leaves the objects as they are."""
    return np.random.default_rng([seed, purpose])


def _box(obj: ObjectSpec, world_from_object: np.ndarray) -> OrientedBox:
    world_from_box, size = object_box(obj, world_from_object)
    return OrientedBox(torch.from_numpy(world_from_box).float(), torch.from_numpy(size).float())


def camera_view(camera: RigCamera, rgb: np.ndarray, depth: np.ndarray | None, stamp_ns: int = 0) -> CameraView:
    """Make a view of what a camera has taken.

    Args:
        camera: The camera.
        rgb: (H, W, 3) uint8.
        depth: (H, W) z-depth in metres, 0 = none; or None.
        stamp_ns: Of the exposure.

    Returns:
        The view in the cell's frame.
    """
    return CameraView(
        image=torch.from_numpy(rgb.copy()).permute(2, 0, 1).float() / 255.0,
        intrinsics=torch.from_numpy(camera.intrinsics).float(),
        cam_from_world=torch.from_numpy(camera.cam_from_world).float(),
        depth=None if depth is None else torch.from_numpy(depth.copy()),
        stamp_ns=stamp_ns,
        frame_id=f"{camera.name}_optical_frame",
        world_frame_id=WORLD_FRAME_ID,
        camera=camera.name,
    )
