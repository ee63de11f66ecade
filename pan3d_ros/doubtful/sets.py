"""The least sure view sets on disk, within a quota, until somebody wants them. No ROS in here.

FOLDER/set_STAMP_SURENESS/   a scene folder of the views: stamp in nanoseconds, sureness in thousandths
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pan3d_core.labels import best_taught
from pan3d_core.runtime.files import written_whole
from pan3d_core.structures import CameraView, Panoptic3D, Segment
from pan3d_core.views.scene_folder import Scene, write_scene
from pan3d_ros.parameters.node_config import DoubtfulConfig

_NAME = re.compile(r"set_(\d+)_(\d{4})")
_BEGUN = ".set_*"  # what an interruption left of one
_MB = 1_000_000
_NS = 1_000_000_000


@dataclass(frozen=True)
class KeptSet:
    """One view set."""

    folder: Path  # a scene folder
    stamp_ns: int  # of the newest view
    sure: float  # 0..1
    size: int  # bytes


def sureness(panoptic: Panoptic3D) -> float:
    """Tell how sure a result is of the object that it is least sure of.

    Args:
        panoptic: The result.

    Returns:
        0..1, of that object the lower one of the probabilities that it is one object and that it has its name; 1 without objects.
    """
    named = len(panoptic.labels) > 0
    return min((_of_object(item, named) for item in panoptic.segments), default=1.0)


def _of_object(item: Segment, named: bool) -> float:
    if (taught := best_taught(item.taught)) is not None:
        return min(item.score, taught.probability)
    return min(item.score, item.class_score if item.class_id >= 0 else 0.0) if named else item.score


class DoubtfulSets:
    """The kept sets of one folder; for use by several threads.

    Args:
        folder: Is made with the first set. What an earlier process kept in it counts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        for begun in folder.glob(_BEGUN):
            shutil.rmtree(begun)
        found = [(path, _NAME.fullmatch(path.name)) for path in sorted(folder.glob("set_*"))]
        self._kept = [_kept(path, int(name[1]), int(name[2]) / 1000) for path, name in found if name is not None]

    @property
    def kept(self) -> tuple[KeptSet, ...]:
        """All of them, oldest first."""
        with self._lock:
            return tuple(self._kept)

    def offer(self, views: Sequence[CameraView], sure: float, config: DoubtfulConfig) -> bool:
        """Keep a view set if it is among the least sure ones.

        Args:
            views: As the network had them; those without intrinsics or pose are of no use and left out.
            sure: 0..1.
            config: What is kept, and how much.

        Returns:
            Whether it is kept.

        Raises:
            OSError: It cannot be written; what was kept before still is.
        """
        usable = [view for view in views if view.intrinsics is not None and view.cam_from_world is not None]
        if sure >= config.sure or not usable:
            return False
        stamp_ns = max(view.stamp_ns for view in usable)
        with self._lock:
            near = [item for item in self._kept if abs(item.stamp_ns - stamp_ns) < config.min_gap_s * _NS]
            if any(item.sure <= sure for item in near):
                return False
            folder = self.folder / f"set_{stamp_ns:020d}_{round(1000 * sure):04d}"
            with written_whole(folder) as part:
                write_scene(part, Scene(folder.name, tuple(usable)))
            new = _kept(folder, stamp_ns, sure)
            self._kept = sorted([*self._kept, new], key=lambda item: item.stamp_ns)
            self._forget(near)
            while self._kept and sum(item.size for item in self._kept) > config.quota_mb * _MB:
                self._forget([max(self._kept, key=lambda item: item.sure)])
            return new in self._kept

    def drop(self, sets: Sequence[KeptSet]) -> None:
        """Delete sets that are kept elsewhere now."""
        with self._lock:
            self._forget(sets)

    def _forget(self, sets: Sequence[KeptSet]) -> None:
        for item in sets:
            shutil.rmtree(item.folder, ignore_errors=True)
        self._kept = [item for item in self._kept if item not in sets]


def _kept(folder: Path, stamp_ns: int, sure: float) -> KeptSet:
    return KeptSet(folder, stamp_ns, sure, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
