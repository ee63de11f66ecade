"""Results on disk are whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """Write a file or a folder completely or not at all.

    What the block writes stands beside `path` until the block ends, is then brought to the disk and renamed; a reader sees the
    old content or the new one, whatever interrupts the writer. Folders above `path` are made.

    Args:
        path: The file or folder to be. A file that is there is replaced; a folder must not be there.

    Yields:
        The place to write to, with the suffix of `path`, where nothing is yet.

    Raises:
        OSError: The disk is full or may not be written; nothing is left of what was begun.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hidden and with a name of its own: other threads and processes may write the same file, and listings must not show it.
    part = path.with_name(f".{path.stem}.{uuid4().hex[:12]}{path.suffix}")
    try:
        yield part
        if part.is_file():
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
        os.replace(part, path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
