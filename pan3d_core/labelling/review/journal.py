"""A file to which every decision is added as a line, at once and for good."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pan3d_core.runtime.files import named_file


class Journal:
    """Lines of JSON that are only added to, by one process at a time.

    What was added is on the disk when `append` returns. A last line that an interruption left in half is taken out.

    Args:
        path: The file; is made where there is none.

    Attributes:
        entries: All lines, in their order.
        mended: whether a half line was taken out.

    Raises:
        ValueError: Another process has it open, or a line is damaged; names file and line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._lock()
        try:
            content = path.read_bytes()
            whole = content.rfind(b"\n") + 1
            self.entries = [_entry(line, f"{path}:{number}") for number, line in enumerate(content[:whole].splitlines(), start=1)]
            self.mended = whole < len(content)
            if self.mended:
                os.ftruncate(self._file, whole)
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)  # and nothing more: the file is another one's
            raise ValueError(f"{self.path}: expected nobody else who reviews this data set, got another process") from error

    def append(self, entry: Mapping[str, Any]) -> int:
        """Add a line.

        Args:
            entry: Values that JSON has.

        Returns:
            Its number, from 1 on.

        Raises:
            OSError: The disk is full or does not take it; the journal is as it was.
        """
        made = {**entry, "at": datetime.now(timezone.utc).isoformat(timespec="seconds")}
        line = json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        before = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, before)
            why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
            raise OSError(error.errno, f"could not be stored and was not done, {why}", str(self.path)) from error
        self.entries.append(made)
        return len(self.entries)

    def archive(self) -> Path:
        """Put the file aside as one that is done with, by the next free number, and give its new place."""
        places = (self.path.with_name(f"{self.path.stem}_{number}{self.path.suffix}") for number in range(1, 10**6))
        target = next(place for place in places if not place.exists())
        os.replace(self.path, target)
        return target

    def close(self) -> None:
        """Let others have it; a file without a line is taken away."""
        if not os.fstat(self._file).st_size:
            self.path.unlink(missing_ok=True)
        os.close(self._file)


def _entry(line: bytes, where: str) -> dict[str, Any]:
    with named_file(where, "a line of a journal"):
        entry = json.loads(line)
        if not isinstance(entry, dict):
            raise ValueError(f"expected names with values, got {type(entry).__name__}")
        return entry
