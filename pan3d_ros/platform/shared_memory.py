"""Shared memory that Fast DDS leaves behind: nobody else removes the segments of processes that were killed."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("pan3d.ros")
FOLDER = Path("/dev/shm")
LOCK_SUFFIX = "_el"  # of the file beside a segment that its owner keeps locked for as long as it lives
YOUNG_S = 10.0  # a lock file is there for a moment before it is locked


@dataclass(frozen=True)
class StaleSegments:
    """Segments whose owners are gone."""

    paths: tuple[Path, ...]
    size: int  # bytes


def stale_segments(folder: Path = FOLDER) -> StaleSegments:
    """Find the segments of Fast DDS that no living process of this machine owns.

    Args:
        folder: Where the system keeps shared memory.

    Returns:
        Those that this user may remove.
    """
    found = [(segment, _size(segment)) for segment in _unowned(folder)]
    return StaleSegments(tuple(path for path, _ in found), sum(size for _, size in found))


def remove_stale_segments(folder: Path = FOLDER) -> StaleSegments:
    """Remove them, as `fastdds shm clean` does: a process that is killed leaves 64 MB, and when the folder is full, messages
    between processes go by the slower UDP.

    Args:
        folder: Where the system keeps shared memory.

    Returns:
        What was removed.
    """
    removed, size = [], 0
    for segment in _unowned(folder):  # each is locked meanwhile
        with suppress(OSError):
            size += _size(segment)
            segment.unlink(missing_ok=True)
            segment.with_name(segment.name + LOCK_SUFFIX).unlink()
            removed.append(segment)
    if removed:
        log.info("removed %d shared memory segments (%.0f MB) of processes that are gone", len(removed), size / 1e6)
    return StaleSegments(tuple(removed), size)


def _size(path: Path) -> int:
    return path.stat().st_blocks * 512 if path.exists() else 0  # bytes in memory, not those that it may grow to


def _unowned(folder: Path) -> Iterator[Path]:
    """Segments whose lock nobody holds; it is held here until the next one. Ports are left: their names are used again."""
    for lock in sorted(folder.glob(f"fastrtps_{'[0-9a-f]' * 16}{LOCK_SUFFIX}")):
        with suppress(OSError):  # held, of another user, or gone
            if lock.stat().st_uid != os.geteuid() or time.time() - lock.stat().st_mtime < YOUNG_S:
                continue
            handle = os.open(lock, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield lock.with_name(lock.name.removesuffix(LOCK_SUFFIX))
            finally:
                os.close(handle)
