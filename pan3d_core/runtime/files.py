"""Files: results are written whole or not at all, JSON is read with errors that name the file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
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


def read_json(path: Path | str, what: str) -> object:
    """Read a JSON file.

    Args:
        path: The file, in UTF-8.
        what: It is, for the error: `"labels"`.

    Returns:
        What the file holds, as Python's `json` gives it.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no JSON; names the file.
    """
    try:
        content: object = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{what}: expected a file {path}, which does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected JSON, got something else: {error}") from error
    return content


def read_json_object(path: Path | str, what: str) -> dict[str, Any]:
    """Read a JSON file of names with values.

    Args:
        path: The file, in UTF-8.
        what: It is, for the error: `"labels"`.

    Returns:
        Name -> value.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no JSON, or JSON of another kind; names the file.
    """
    content = read_json(path, what)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected names with values, got a {type(content).__name__}")
    return content
