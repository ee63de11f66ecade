"""One grasp executed in physics and judged from the simulator's state alone, never from what a planner believed.

Pre-grasp 10 cm back along the approach, approach, close, lift 20 cm, shake. The neighbours' motion is compared
with a control run of the same length in which the hand stays away.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np

from pan3d_core.structures import GraspTarget
from pan3d_sim.cell.execution import Execution, Observer, Programme, SuctionExecution, TrialResult, poses_of
from pan3d_sim.cell.stage import Stage, StageState

StageT = TypeVar("StageT", bound=Stage)
# What the (unmodelled) arm can reach: around the table, above it, never pointing more than a little upwards.
REACH_XY_M, REACH_Z_M, MAX_TILT_DEG = 0.45, 0.60, 100.0
NO_TARGET_M = 0.08  # a grasp farther than this from every object is a grasp at nothing


class GraspTrials(Generic[StageT]):
    """Grasps executed in one cell, each from the state in which it is."""

    def __init__(self, cell: StageT, programme: Programme | None = None) -> None:
        """Take a cell, or a twin of one; by default what is lifted is shaken, too."""
        self.cell, self.programme = cell, programme or Programme()
        self._control: tuple[StageState, np.ndarray] | None = (
            None  # a start state, and where its objects come to without the hand
        )

    def execute(
        self, grasp: GraspTarget, *, target: int | None = None, restore: bool = True, observe: Observer | None = None
    ) -> TrialResult:
        """Execute a grasp with the hand and say what happened.

        Args:
            grasp: Its `kind`, `world_from_grasp`, `opening_m` (`width_m` where it is 0) and `pregrasp_distance_m` count.
            target: Index in `cell.objects` of what should be lifted; None takes the object nearest to the grasp.
            restore: Put the cell back afterwards; otherwise the hand keeps holding what it has.
            observe: Called at the end of each phase, while the cell shows it.

        Returns:
            The result, with the reasons of failure of `TrialResult`. `details` holds `rise_m`, `contact_depth_m` (deepest dent of
            a pad from closing on), `opening_m`, `slip_m`, `disturbance_m`, `disturbance_deg`, `co_lifted`, `clean` (lifted, and
            no neighbour was moved more than 2 cm or 20 deg beyond the control run or lifted along), and after a collision which
            of `hit_support`, `hit_neighbour`, `hit_target` it was.
        """
        cell, world_from_grasp = self.cell, grasp.world_from_grasp.double().numpy()
        self.require_fitting(grasp)
        target = nearest_object(cell, world_from_grasp[:3, 3]) if target is None else target
        if target is None or target in cell.removed or not 0 <= target < len(cell.bodies):
            return TrialResult(cell.seed, False, "no_target", grasp)
        if not _reachable(cell, world_from_grasp, grasp.opening_m or grasp.width_m):
            return TrialResult(cell.seed, False, "unreachable", grasp)
        start = cell.save()
        execution = SuctionExecution if cell.hand.kind == "suction" else Execution
        result = execution(cell, self.programme, grasp, target, self._control_poses(start), observe or _ignore).run()
        if restore:
            cell.restore(start)
        return result

    def require_fitting(self, grasp: GraspTarget) -> None:
        """Raise `ValueError` when a grasp is for another kind of hand."""
        if grasp.kind != self.cell.hand.kind:
            raise ValueError(f"grasp.kind: expected {self.cell.hand.kind}, as the hand is, got {grasp.kind}")

    def _control_poses(self, start: StageState) -> np.ndarray:
        """Poses after the same time with the hand away; computed once per start state."""
        known = self._control
        if known is not None and known[0].removed == start.removed and np.array_equal(known[0].physics, start.physics):
            return known[1]
        self.cell.step(self.programme.total_s)
        poses = poses_of(self.cell)
        self.cell.restore(start)
        self._control = (start, poses)
        return poses


def _ignore(phase: str) -> None:
    """Default observer."""


def _reachable(cell: Stage, world_from_grasp: np.ndarray, width_m: float) -> bool:
    x, y, z = world_from_grasp[:3, 3]
    height = z - cell.support_height_m
    tilt_deg = np.degrees(np.arccos(np.clip(-world_from_grasp[2, 2], -1.0, 1.0)))
    inside = max(abs(x), abs(y)) <= REACH_XY_M and -0.01 <= height <= REACH_Z_M
    return bool(inside and tilt_deg <= MAX_TILT_DEG and width_m <= cell.hand.widest_m + 1e-4)


def nearest_object(cell: Stage, point: np.ndarray) -> int | None:
    """The object whose visible surface is nearest to `point`; None when all are farther than `NO_TARGET_M`."""
    best, best_distance = None, NO_TARGET_M
    for index, vertices in enumerate(cell.surfaces):
        if index in cell.removed:
            continue
        pose = cell.world_from_object(index)
        local = (point - pose[:3, 3]) @ pose[:3, :3]
        low, high = vertices.min(0), vertices.max(0)
        to_box = np.linalg.norm(np.maximum(np.maximum(low - local, local - high), 0.0))
        # Boxes of neighbours may overlap: inside one, the distance to its vertices decides.
        distance = to_box + 1e-3 * np.linalg.norm(vertices - local, axis=1).min()
        if distance < best_distance:
            best, best_distance = index, float(distance)
    return best
