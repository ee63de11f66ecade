"""When poses are compared with the pictures: at once where something is new or wrong, else little by little."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from pan3d_core.assembly.pose_checks.consistency import check_poses, checking
from pan3d_core.assembly.pose_checks.portions import Portions, advance
from pan3d_core.assembly.pose_checks.pose_fit import motion_size
from pan3d_core.assembly.pose_checks.view_matches import Array
from pan3d_core.config import ConsistencyConfig
from pan3d_core.structures import CameraView, PoseConsistency

log = logging.getLogger("pan3d.consistency")

# A pose that differs by more from one view set to the next has another source, or another mistake.
JUMP_M, JUMP_DEG = 0.15, 20.0


class ConsistencyWatch:
    """Compares the first view set, every one as long as poses are refuted, and one in which a pose has jumped or another support
    height was given, at once; and every n-th, spread over those that follow it.

    Faults of calibration stay from one view set to the next, and pictures are expensive to compare: as much work in one of sixty
    sets would make that one late.
    """

    def __init__(self) -> None:
        self._last: PoseConsistency | None = None
        self._age = 0  # view sets since the last one that was or is being compared
        self._poses: dict[str, Array] = {}  # of the view set before
        self._support_height_m: float | None = None  # as given with the last ones that were compared
        self._config: ConsistencyConfig | None = None  # the same
        self._comparing: Portions[PoseConsistency] | None = None  # an earlier view set, which it holds meanwhile
        self._portions = 0  # of it that are done
        self._longer = 1.0  # so many times `every` lie before the next one

    def reset(self) -> None:
        """Compare the next view set, whatever was found before."""
        self._last = self._comparing = None

    def check(
        self, views: Sequence[CameraView], config: ConsistencyConfig, support_height_m: float | None = None
    ) -> PoseConsistency:
        """Give what holds for these views and this height: found now, or with the last ones that were compared."""
        names, last = tuple(view.camera for view in views), self._last
        self._age += 1
        trusted = last is not None and last.cameras == names and not (last.contradiction or last.left_out)
        trusted = trusted and support_height_m == self._support_height_m
        jumped = self._take_poses(views)
        if last is None or not trusted or jumped:
            self._begin(config, support_height_m)
            last = _told(check_poses(views, config, support_height_m))
        elif (found := self._next_portion(views, config)) is not None:
            last = _told(found)
        self._last = last
        return last

    def _begin(self, config: ConsistencyConfig, support_height_m: float | None) -> None:
        self._age, self._config, self._support_height_m, self._comparing = 0, config, support_height_m, None

    def _next_portion(self, views: Sequence[CameraView], config: ConsistencyConfig) -> PoseConsistency | None:
        """Go on with the comparison, or begin the one that is due; what it found, when it is done."""
        is_due = self._comparing is None and self._age >= config.every * self._longer
        if is_due or (self._comparing is not None and config != self._config):
            self._begin(config, self._support_height_m)
            self._portions = 0
            self._comparing = checking(views, config, self._support_height_m)
        if self._comparing is None:
            return None
        count = math.ceil(most_portions(len(views)) / config.every)
        found = advance(self._comparing, count)
        if found is not None:
            self._comparing, self._longer = None, times_longer(self._portions, len(views))
        self._portions += count
        return found

    def _take_poses(self, views: Sequence[CameraView]) -> bool:
        """Whether a camera is farther from where it was in the view set before than one moves between two."""
        before = self._poses
        self._poses = {v.camera: v.cam_from_world.double().numpy(force=True) for v in views if v.cam_from_world is not None}
        sizes = [motion_size(pose @ np.linalg.inv(before[name])) for name, pose in self._poses.items() if name in before]
        return any(degrees > JUMP_DEG or metres > JUMP_M for degrees, metres in sizes)


def most_portions(views: int) -> int:
    """Portions of a comparison: with each view and each pair, both of these from above, and the verdict."""
    return views * (views + 1) + 1


def times_longer(portions: int, views: int) -> float:
    """Say how much later the next comparison begins, so that one of more work costs no more for each view set.

    Args:
        portions: That the last one took: more than with each view and each pair where pictures from above were needed, and where
            those of cameras that share nothing with others were taken for mirrored ones.
        views: Of a set.

    Returns:
        1 or more, in units of `ConsistencyConfig.every`.
    """
    return max(1.0, portions / (views * (views + 1) / 2 + 1))


def _told(found: PoseConsistency) -> PoseConsistency:
    """The same; what it says against the poses is in the log."""
    if found.contradiction or found.left_out or found.doubts:
        log.warning("camera poses: %s", "; ".join((found.contradiction, *found.warnings)).lstrip("; "))
    return found
