"""Shared memory of Fast DDS: what killed processes leave behind, which nobody else removes, and whose it is."""

from __future__ import annotations

import fcntl
import logging
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("pan3d.ros")
FOLDER = Path("/dev/shm")
LOCK_SUFFIX = "_el"  # of the file beside a segment that its owner keeps locked for as long as it lives
# Fast DDS lets its own user alone write to segments and ports, and takes another one's for reachable all the same.
OTHER_USERS = "processes of one machine and different users see each other's topics and get no messages"
OTHER_USERS_MEND = (
    "start all as one user, or those of one user by UDP: unset FASTDDS_DEFAULT_PROFILES_FILE FASTRTPS_DEFAULT_PROFILES_FILE,"
    " export FASTDDS_BUILTIN_TRANSPORTS=UDPv4"
)
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


def other_users(folder: Path = FOLDER) -> tuple[str, ...]:
    """Name the other users of whom processes with Fast DDS are alive on this machine.

    Args:
        folder: Where the system keeps shared memory.

    Returns:
        Names, or numbers of users without one, in order.
    """
    found = set()
    for lock in _locks(folder):
        with suppress(OSError):  # gone, or not to be opened: then nobody can tell whether it is held
            facts = lock.stat()
            if facts.st_uid != os.geteuid() and time.time() - facts.st_mtime >= YOUNG_S and _is_held(lock):
                found.add(facts.st_uid)
    return tuple(sorted(map(_user_name, found)))


def _is_held(lock: Path) -> bool:
    handle = os.open(lock, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # in a container, of a user outside
        return str(number)


def _locks(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"fastrtps_{'[0-9a-f]' * 16}{LOCK_SUFFIX}"))


def _size(path: Path) -> int:
    return path.stat().st_blocks * 512 if path.exists() else 0  # bytes in memory, not those that it may grow to


def _unowned(folder: Path) -> Iterator[Path]:
    """Segments whose lock nobody holds; it is held here until the next one. Ports are left: their names are used again."""
    for lock in _locks(folder):
        with suppress(OSError):  # held, of another user, or gone
            if lock.stat().st_uid != os.geteuid() or time.time() - lock.stat().st_mtime < YOUNG_S:
                continue
            handle = os.open(lock, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield lock.with_name(lock.name.removesuffix(LOCK_SUFFIX))
            finally:
                os.close(handle)
