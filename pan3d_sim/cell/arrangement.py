"""How objects come to lie on the table: seeded poses, then physics until everything rests."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from pan3d_sim.cameras.rig import WORKSPACE_HALF_M
from pan3d_sim.objects.kinds import ObjectSpec, rest_pose
from pan3d_sim.objects.meshes import matrix_from_quat

log = logging.getLogger("pan3d.sim.arrangement")

ARRANGEMENTS = ("separated", "pile", "packed")
SEPARATED_GAP_M = 0.025
PACKED_GAP_M = (0.01, 0.03)
PILE_WALL_HALF_M = 0.12
PILE_WALL_HEIGHT_M = 0.9
PILE_DAMPING = (1.0, 1.0, 1.0, 2e-3, 2e-3, 2e-3)  # N s/m and N m s/rad of a free body's six motions
CHECK_PERIOD_S = 0.1
REST_SPEED_M_S, REST_SPEED_RAD_S = 0.0005, 0.01
_ANGLES = np.linspace(0.0, 2 * np.pi, 72, endpoint=False)
_DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)  # the second half is the negated first half


@dataclass(frozen=True)
class Pose:
    """Where an object's frame stands in the world."""

    position: np.ndarray  # (3,) metres
    quat_wxyz: np.ndarray  # (4,) unit


@dataclass(frozen=True)
class BodyAddress:
    """Where a free body's state lies in MuJoCo's arrays."""

    body: int
    qpos: int
    dof: int


def draw_poses(
    rng: np.random.Generator, objects: Sequence[ObjectSpec], arrangement: str, support_height_m: float
) -> list[Pose | None]:
    """Starting poses, a few millimetres to decimetres above where the objects will rest; None where no room was found."""
    if arrangement == "pile":
        return _pile_poses(rng, objects, support_height_m)
    if arrangement == "packed":
        return _place_side_by_side(rng, objects, support_height_m, gap=PACKED_GAP_M, upright=True)
    if arrangement == "separated":
        return _place_side_by_side(rng, objects, support_height_m, gap=(SEPARATED_GAP_M, np.inf), upright=False)
    raise ValueError(f"arrangement: expected one of {', '.join(ARRANGEMENTS)}, got {arrangement!r}")


def _pile_poses(rng: np.random.Generator, objects: Sequence[ObjectSpec], support_height_m: float) -> list[Pose | None]:
    """Random orientations, one above the other, each narrow enough to fall freely between the walls."""
    poses: list[Pose | None] = []
    bottom = support_height_m + 0.05
    for obj in objects:
        widest = 2 * PILE_WALL_HALF_M - 0.03
        for _ in range(200):
            quat = rng.normal(size=4)
            quat /= np.linalg.norm(quat)
            rotated = obj.vertices @ matrix_from_quat(quat).T
            low, high = rotated.min(0), rotated.max(0)
            if (high - low)[:2].max() <= widest:
                break
        else:
            poses.append(None)
            continue
        room = 0.5 * (widest - (high - low)[:2])
        xy = np.clip(rng.uniform(-0.05, 0.05, 2), -room, room)
        poses.append(Pose(np.array([*(xy - 0.5 * (low + high)[:2]), bottom - low[2]]), quat))
        bottom += high[2] - low[2] + 0.01
    return poses


def _place_side_by_side(
    rng: np.random.Generator, objects: Sequence[ObjectSpec], support_height_m: float, *, gap: tuple[float, float], upright: bool
) -> list[Pose | None]:
    """Rejection sampling of resting poses whose footprints keep `gap` (metres, lowest and highest) to the nearest other one."""
    placed: list[np.ndarray] = []
    poses: list[Pose | None] = [None] * len(objects)
    largest_first = sorted(range(len(objects)), key=lambda index: -max(objects[index].extents_m[:2]))
    for index in largest_first:
        obj, found = objects[index], None
        for _ in range(400):
            reach = 0.02 if upright and not placed else WORKSPACE_HALF_M
            found = _try_place(rng, obj, rng.uniform(-reach, reach, 2), support_height_m, placed, gap, upright)
            if found is not None:
                break
        if found is None:
            log.info("no room for the %s", obj.name)
        poses[index] = found
    return poses


def _try_place(
    rng: np.random.Generator,
    obj: ObjectSpec,
    xy: np.ndarray,
    support_height_m: float,
    placed: list[np.ndarray],
    gap: tuple[float, float],
    upright: bool,
) -> Pose | None:
    position, quat = rest_pose(obj, rng, xy, support_height_m + 0.002)
    rotated = matrix_from_quat(quat)
    if upright and rotated[2, 2] < 0.9:
        return None
    footprint = obj.vertices @ rotated.T[:, :2] + position[:2]
    if np.abs(footprint).max() > WORKSPACE_HALF_M:
        return None
    support = (footprint @ _DIRECTIONS.T).max(0)
    if placed:
        nearest = min(_footprint_distance(support, other) for other in placed)
        if not gap[0] <= nearest <= gap[1]:
            return None
    placed.append(support)
    return Pose(position, quat)


def _footprint_distance(support_a: np.ndarray, support_b: np.ndarray) -> float:
    """Distance of two convex outlines from their support functions: the widest slab between them; negative = they overlap."""
    opposite_b = np.roll(support_b, len(support_b) // 2)  # support of b in direction -u
    return float((-opposite_b - support_a).max())


def settle(
    model: mujoco.MjModel, data: mujoco.MjData, bodies: Sequence[BodyAddress], *, slack: float = 1.0, max_seconds: float = 8.0
) -> float:
    """Step until every body rests for three checks in a row, then stop it dead. Returns the simulated seconds.

    `slack` multiplies the speeds that count as rest. Raises `RuntimeError` when something still moves after `max_seconds`.
    """
    start, calm_checks = data.time, 0
    steps = max(1, round(CHECK_PERIOD_S / model.opt.timestep))
    dofs = np.concatenate([np.arange(b.dof, b.dof + 6) for b in bodies]) if bodies else np.zeros(0, int)
    while calm_checks < 3:
        if data.time - start > max_seconds:
            raise RuntimeError(f"the arrangement did not come to rest within {max_seconds:.0f} s")
        mujoco.mj_step(model, data, steps)
        velocities = data.qvel[dofs].reshape(-1, 6)
        below = data.qpos[[b.qpos + 2 for b in bodies]] < -0.3  # on the floor: no longer of interest
        linear = np.linalg.norm(velocities[~below, :3], axis=1).max(initial=0.0)
        angular = np.linalg.norm(velocities[~below, 3:], axis=1).max(initial=0.0)
        calm_checks = calm_checks + 1 if linear < slack * REST_SPEED_M_S and angular < slack * REST_SPEED_RAD_S else 0
    data.qvel[:] = 0.0
    data.qacc_warmstart[:] = 0.0
    mujoco.mj_forward(model, data)
    return data.time - start


def fallen(data: mujoco.MjData, bodies: Sequence[BodyAddress], *, support_height_m: float, limit_m: float = 0.31) -> list[int]:
    """Indices of the bodies that lie beside or below the table's workspace."""
    positions = data.xipos[[b.body for b in bodies]].reshape(-1, 3)
    outside = (np.abs(positions[:, :2]) > limit_m).any(1) | (positions[:, 2] < support_height_m)
    return np.flatnonzero(outside).tolist()


def add_pile_walls(spec: mujoco.MjSpec, support_height_m: float) -> None:
    """Four invisible walls around the centre that keep falling objects together; see `set_pile_walls`."""
    half, height, thick = PILE_WALL_HALF_M, PILE_WALL_HEIGHT_M, 0.10
    for index, (x, y) in enumerate([(1, 0), (-1, 0), (0, 1), (0, -1)]):
        size = [thick if x else half + 2 * thick, thick if y else half + 2 * thick, height]
        position = [x * (half + thick), y * (half + thick), support_height_m + height]
        wall = spec.worldbody.add_geom(name=f"pile_wall_{index}", type=mujoco.mjtGeom.mjGEOM_BOX, size=size, pos=position)
        wall.group, wall.contype, wall.conaffinity, wall.rgba = 5, 0, 0, [0, 0, 0, 0]
        wall.priority, wall.friction = 2, [0.05, 0.0, 0.0]  # smooth, or objects would hang on the walls
        wall.solref = [0.01, 1.0]


def settle_pile(model: mujoco.MjModel, data: mujoco.MjData, bodies: Sequence[BodyAddress]) -> None:
    """Let objects fall between the walls, then take the walls away. Raises as `settle` does."""
    dofs = np.stack([np.arange(b.dof, b.dof + 6) for b in bodies])
    # As if in honey: nothing is knocked out of the walls, and what leant on one tips over without rolling off the table.
    model.dof_damping[dofs] = PILE_DAMPING
    try:
        set_pile_walls(model, True)
        settle(model, data, bodies, slack=40.0)
        set_pile_walls(model, False)
        settle(model, data, bodies, slack=10.0)
    finally:
        set_pile_walls(model, False)
        model.dof_damping[dofs] = 0.0


def set_pile_walls(model: mujoco.MjModel, enabled: bool) -> None:
    """Switch the walls' contacts on or off."""
    for index in range(4):
        geom = model.geom(f"pile_wall_{index}").id
        model.geom_contype[geom] = model.geom_conaffinity[geom] = int(enabled)
