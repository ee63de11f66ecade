"""What stands around the workspace: tables that end, walls, shelves, things beside and behind, a robot's arm."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from pan3d_sim.cameras.rig import RigCamera
from pan3d_sim.objects.appearance import TABLE_THICKNESS_M
from pan3d_sim.worlds.config import SurroundingsRanges

SHOWN, HIDDEN = 1, 4  # groups of geoms: the renderer draws 0 and 1
_BOX, _CYLINDER = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
_CAPSULE, _ELLIPSOID = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_ELLIPSOID
_CLUTTER_TYPES = [_BOX] * 8 + [_CYLINDER] * 4 + [_ELLIPSOID] * 3
_WALLS, _BOARDS, _ARM = 4, 5, 6  # geoms of each; the arm is three links, a palm and two fingers
_TABLE_EDGE_M = 0.27  # no edge of a table is nearer to the centre: objects stand within 0.24
_KEEP_OUT_M = 0.33  # nor is anything else that stands on it
_FREE_RADIUS_M = 0.25  # of the workspace that cameras must see past clutter
_NEAR_WALL_M = 0.15  # between the farthest camera and a wall


class Surroundings:
    """Geoms that are built once into a model, and placed, sized, covered or hidden for every scene."""

    def __init__(self, ranges: SurroundingsRanges) -> None:
        self.ranges = ranges

    def build(self, spec: mujoco.MjSpec) -> None:
        """Add the geoms, hidden.

        Args:
            spec: Of a model with a table and a floor.
        """
        types = {"clutter": _CLUTTER_TYPES, "wall": [_BOX] * _WALLS, "board": [_BOX] * _BOARDS, "round_table": [_CYLINDER]}
        types["arm"] = [_CAPSULE, _CAPSULE, _CYLINDER, _BOX, _BOX, _BOX]
        for name, shapes in types.items():
            for index, shape in enumerate(shapes):
                # The place is not zero, or the compiler would take the geom's frame for its body's.
                geom = spec.worldbody.add_geom(name=f"{name}_{index}", type=shape, size=[0.1, 0.1, 0.1], pos=[0.1, 0.2, 0.3])
                geom.contype, geom.conaffinity, geom.group, geom.quat = 0, 0, HIDDEN, [0.6, 0.8, 0, 0]

    def place(
        self, model: mujoco.MjModel, rng: np.random.Generator, cameras: Sequence[RigCamera], spheres: np.ndarray
    ) -> list[int]:
        """Draw the surroundings of a scene, in place.

        Args:
            model: Compiled with what `build` adds.
            rng: Source of all chance.
            cameras: Of the scene, which stay inside the walls and see past the clutter.
            spheres: (N, 4) centres and radii of the objects, metres.

        Returns:
            The geoms shown, for which the caller chooses surfaces.
        """
        model.geom_group[[model.geom(name).id for name in self._names()]] = HIDDEN
        shown = self._place_table(model, rng)
        eyes = np.stack([camera.world_from_cam[:3, 3] for camera in cameras])
        floor = float(model.geom_pos[model.geom("floor").id, 2])
        if rng.random() < self.ranges.walls_share:
            shown += self._place_walls(model, rng, eyes, floor)
        if rng.random() < self.ranges.shelf_share:
            shown += self._place_shelf(model, rng, eyes, floor)
        low, high = self.ranges.clutter
        for index in range(min(int(rng.integers(low, high + 1)), len(_CLUTTER_TYPES))):
            shown += self._place_clutter(model, rng, index, eyes, floor)
        if rng.random() < self.ranges.arm_share:
            shown += self._place_arm(model, rng, eyes, spheres)
        return shown

    @staticmethod
    def _names() -> list[str]:
        counts = {"clutter": len(_CLUTTER_TYPES), "wall": _WALLS, "board": _BOARDS, "arm": _ARM, "round_table": 1}
        return [f"{name}_{index}" for name, count in counts.items() for index in range(count)]

    def _place_table(self, model: mujoco.MjModel, rng: np.random.Generator) -> list[int]:
        """A table that ends somewhere, angular or round, thin or a block; or the floor itself."""
        table, floor, round_table = (model.geom(name).id for name in ("table", "floor", "round_table_0"))
        on_floor = rng.random() < self.ranges.floor_share
        is_round = rng.random() < self.ranges.round_share
        model.geom_group[table] = HIDDEN if on_floor or is_round else SHOWN
        depth = 0.0 if on_floor else rng.uniform(*self.ranges.floor_depth_m)
        model.geom_pos[floor, 2] = -depth
        half = rng.uniform(*self.ranges.table_half_m, 2)
        thickness = TABLE_THICKNESS_M * rng.uniform(0.5, 2.0) if rng.random() < 0.75 else max(depth, TABLE_THICKNESS_M)
        room = np.maximum(half - _TABLE_EDGE_M, 0.0)
        model.geom_size[table] = [*half, thickness / 2]
        model.geom_pos[table] = [*rng.uniform(-room, room), -thickness / 2]
        if not is_round or on_floor:
            return []
        radius = rng.uniform(0.36, 0.8)
        model.geom_size[round_table] = [radius, thickness / 2, 0]
        shift = (radius - 0.35) * rng.uniform(-0.7, 0.7, 2)
        self._show(model, round_table, np.array([*shift, -thickness / 2]), np.array([1.0, 0.0, 0.0, 0.0]))
        model.geom_matid[round_table], model.geom_rgba[round_table] = model.geom_matid[table], model.geom_rgba[table]
        return []

    @staticmethod
    def _show(model: mujoco.MjModel, geom: int, position: np.ndarray, quat: np.ndarray) -> None:
        model.geom_group[geom], model.geom_pos[geom], model.geom_quat[geom] = SHOWN, position, quat

    def _place_walls(self, model: mujoco.MjModel, rng: np.random.Generator, eyes: np.ndarray, floor: float) -> list[int]:
        """Up to four walls of a room, turned anyhow, behind all cameras."""
        yaw, height = rng.uniform(0, np.pi / 2), rng.uniform(1.5, 3.5)
        shown = []
        for index in range(_WALLS):
            outward = np.array([np.cos(yaw + index * np.pi / 2), np.sin(yaw + index * np.pi / 2), 0.0])
            nearest = max(0.55, float((eyes @ outward).max()) + _NEAR_WALL_M)
            distance = rng.uniform(nearest, min(nearest + 2.5, 5.0))
            if rng.random() < 0.15:
                continue
            geom = model.geom(f"wall_{index}").id
            model.geom_size[geom] = [5.0, height / 2, 0.02]
            position = outward * (distance + 0.02) + [0, 0, floor + height / 2]
            self._show(model, geom, position, _facing(outward))
            shown.append(geom)
        return shown

    def _place_shelf(self, model: mujoco.MjModel, rng: np.random.Generator, eyes: np.ndarray, floor: float) -> list[int]:
        """Boards one above the other, or bars, behind the workspace as seen from the cameras' side."""
        away = -eyes[:, :2].mean(0)
        yaw = np.arctan2(away[1], away[0]) + rng.uniform(-0.8, 0.8)
        outward = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        depth, width = rng.uniform(0.1, 0.2), rng.uniform(0.3, 0.9)
        distance = rng.uniform(0.5, 1.2) + depth
        if (_distance_to_box(eyes, outward * distance, max(width, depth)) < 0.1).any():
            return []
        step, bottom, thickness = rng.uniform(0.18, 0.4), rng.uniform(floor, 0.1), rng.uniform(0.006, 0.02)
        shown = []
        for index in range(_BOARDS):
            geom = model.geom(f"board_{index}").id
            model.geom_size[geom] = [width, thickness, depth]
            position = outward * distance + [0, 0, bottom + index * step]
            self._show(model, geom, position, _facing(outward))
            shown.append(geom)
        return shown

    def _place_clutter(
        self, model: mujoco.MjModel, rng: np.random.Generator, index: int, eyes: np.ndarray, floor: float
    ) -> list[int]:
        """A box, drum or ball on the table beside the workspace or on the floor, where it hides nothing."""
        geom = model.geom(f"clutter_{index}").id
        table, tables = model.geom("table").id, model.geom_group[model.geom("table").id] == SHOWN
        for _ in range(8):
            size = np.exp(rng.uniform(np.log(0.02), np.log(0.12), 3))
            angle, radius = rng.uniform(0, 2 * np.pi), _KEEP_OUT_M + rng.uniform(0.05, 1.0) ** 1.5
            center = np.array([radius * np.cos(angle), radius * np.sin(angle), 0.0])
            on_table = tables and (np.abs(center[:2] - model.geom_pos[table, :2]) < model.geom_size[table, :2] - 0.02).all()
            if not on_table:
                size *= 2.5
            upright = size[1] if model.geom_type[geom] == _CYLINDER else size[2]
            center[2] = (0.0 if on_table else floor) + upright
            reach = float(np.linalg.norm(size))
            if radius - 0.8 * reach < _KEEP_OUT_M or _in_the_way(eyes, center, reach):
                continue
            model.geom_size[geom] = size
            yaw = rng.uniform(0, np.pi)
            self._show(model, geom, center, np.array([np.cos(yaw), 0.0, 0.0, np.sin(yaw)]))
            return [geom]
        return []

    def _place_arm(self, model: mujoco.MjModel, rng: np.random.Generator, eyes: np.ndarray, spheres: np.ndarray) -> list[int]:
        """Two links from beside the table to a gripper above or beside the objects, touching none of them."""
        for _ in range(8):
            tip = np.append(rng.uniform(-0.4, 0.4, 2), rng.uniform(0.12, 0.4))
            clear = np.linalg.norm(spheres[:, :3] - tip, axis=1) - spheres[:, 3] if len(spheres) else np.ones(1)
            if clear.min() > 0.03 and np.linalg.norm(eyes - tip, axis=1).min() > 0.3:
                break
        else:
            return []
        angle = rng.uniform(0, 2 * np.pi)
        base = np.array([np.cos(angle), np.sin(angle), 0.0]) * rng.uniform(0.5, 0.9) + [0, 0, rng.uniform(0.0, 0.3)]
        wrist = tip + [0, 0, rng.uniform(0.14, 0.2)]
        elbow = 0.5 * (base + wrist) + [*rng.uniform(-0.1, 0.1, 2), rng.uniform(0.1, 0.4)]
        if any(_segment_distance(eye, *link) < 0.15 for eye in eyes for link in ((base, elbow), (elbow, wrist), (wrist, tip))):
            return []
        thick, yaw = rng.uniform(0.025, 0.06), rng.uniform(0, np.pi)
        across = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        geoms = [model.geom(f"arm_{index}").id for index in range(_ARM)]
        palm = tip + [0, 0, 0.075]
        for geom, start, end in zip(geoms[:3], (base, elbow, wrist), (elbow, wrist, palm)):
            model.geom_size[geom] = [thick, np.linalg.norm(end - start) / 2, 0]
            self._show(model, geom, (start + end) / 2, _along(end - start))
        turn = np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)])
        opening = rng.uniform(0.01, 0.045)
        model.geom_size[geoms[3]] = [0.07, rng.uniform(0.02, 0.045), 0.025]
        self._show(model, geoms[3], palm, turn)
        for geom, side in zip(geoms[4:], (-1, 1)):
            model.geom_size[geom] = [0.008, 0.012, 0.03]
            self._show(model, geom, tip + [0, 0, 0.03] + side * opening * across, turn)
        return geoms


def _facing(outward: np.ndarray) -> np.ndarray:
    """Quaternion (w, x, y, z) of a frame whose z points along horizontal `outward` and whose y is up."""
    matrix = np.stack([np.cross([0.0, 0.0, 1.0], outward), [0.0, 0.0, 1.0], outward], axis=1)
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, matrix.ravel())
    return quat


def _along(direction: np.ndarray) -> np.ndarray:
    """Quaternion (w, x, y, z) of a frame whose z points along `direction`."""
    quat = np.empty(4)
    mujoco.mju_quatZ2Vec(quat, direction / np.linalg.norm(direction))
    return quat


def _distance_to_box(eyes: np.ndarray, center: np.ndarray, half_width: float) -> np.ndarray:
    """(N,) horizontal distances of cameras to a round thing."""
    return np.linalg.norm(eyes[:, :2] - center[:2], axis=1) - half_width


def _segment_distance(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    share = np.clip((point - start) @ (end - start) / max(float((end - start) @ (end - start)), 1e-12), 0.0, 1.0)
    return float(np.linalg.norm(start + share * (end - start) - point))


def _in_the_way(eyes: np.ndarray, center: np.ndarray, radius: float) -> bool:
    """Whether a ball touches the cone between some camera and the workspace, or a camera itself."""
    for eye in eyes:
        along = float(np.clip((center - eye) @ -eye / max(float(eye @ eye), 1e-12), 0.0, 1.0))
        if np.linalg.norm(eye * (1 - along) - center) < radius + 0.04 + _FREE_RADIUS_M * along:
            return True
    return False
