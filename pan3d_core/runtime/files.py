"""Files: results are written whole or not at all, JSON is read with errors that name the file."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import shutil
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

# What code stumbles over that goes through content of another kind than it should be.
_CONTENT_ERRORS = (
    KeyError, IndexError, TypeError, AttributeError, OverflowError, RuntimeError, AssertionError, MemoryError, EOFError,
    struct.error, zlib.error, zipfile.BadZipFile, pickle.UnpicklingError, SyntaxError, tokenize.TokenError,
)  # fmt: skip

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of the disk, of a quota, of the size of files that a process may write
_NOT_WRITTEN = "could not be written"
_STEM = 40  # letters of a name that the file has before it is whole: a name of 255 bytes has no room for more


@contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """Write a file or a folder completely or not at all.

    What the block writes stands beside `path` until the block ends, is then brought to the disk and renamed; a reader sees the
    old content or the new one, whatever interrupts the writer. Folders above `path` are made.

    Args:
        path: The file or folder to be. A file that is there is replaced, also one that a link leads to; a folder must not be
            there. A device or a pipe (`/dev/stdout`) stays what it is and is given the whole content at the end.

    Yields:
        The place to write to, with the suffix of `path`, where nothing is yet.

    Raises:
        OSError: The disk is full or may not be written; nothing is left of what was begun.
    """
    path = Path(path)
    takes_content = path.exists() and not (path.is_file() or path.is_dir())
    if not takes_content:
        path = Path(os.path.realpath(path)) if path.is_symlink() else path
        path.parent.mkdir(parents=True, exist_ok=True)
    # Hidden and with a name of its own: other threads and processes may write the same file, and listings must not show it.
    folder = Path(tempfile.gettempdir()) if takes_content else path.parent
    part = folder / f".{path.stem[:_STEM]}.{uuid4().hex[:12]}{path.suffix}"
    try:
        with disk_full_named(path), named_as_it_shall_be(part, path):
            yield part
            if takes_content:
                path.write_bytes(part.read_bytes())
                return
            if part.is_file():
                with part.open("rb") as stream:
                    os.fsync(stream.fileno())
            os.replace(part, path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


@contextmanager
def disk_full_named(path: Path) -> Iterator[None]:
    """Say of a disk that is full which file or folder could not be written.

    Args:
        path: What the block writes.

    Raises:
        OSError: The block raised it.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL or _NOT_WRITTEN in str(error.strerror):  # the latter where a file of a folder said so
            raise
        full = f"{_NOT_WRITTEN}, the disk is full; nothing of it is left"
        words = error.strerror if error.errno == errno.EFBIG else full
        raise OSError(error.errno, words, error.filename or str(path)) from error


@contextmanager
def named_as_it_shall_be(part: Path, path: Path) -> Iterator[None]:
    """Give errors the name that a file shall have, not that by which it is written.

    Args:
        part: What is written, a file or a folder.
        path: What it becomes.

    Raises:
        OSError: The block raised it.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error.filename, str):
            error.filename = error.filename.replace(str(part), str(path))
        raise


def free_path(path: Path) -> Path:
    """Give a path where nothing is yet: this one, or where it is taken the one with the next number behind its name."""
    names = (path if number == 1 else path.with_name(f"{path.stem}_{number}{path.suffix}") for number in range(1, 10**6))
    return next(name for name in names if not name.exists())


@contextmanager
def named_file(path: Path | str, expected: str) -> Iterator[None]:
    """Give whatever is wrong with the content of a file one kind of error that names the file.

    Args:
        path: The file that the block goes through.
        expected: What it should be, for the error: `"a scene"`.

    Raises:
        ValueError: The block raised it, or stumbled over content of another kind.
    """
    refuse_endless(path, expected)
    try:
        yield
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error
    except _CONTENT_ERRORS as error:
        raise ValueError(f"{path}: expected {expected}, got something else ({type(error).__name__}: {error})") from error


def inside(folder: Path | str, name: str, where: str) -> Path:
    """Join a path that a file names to the folder of the file, which it must not leave.

    Args:
        folder: That paths start at.
        name: As the file has it.
        where: File and field, for the error.

    Returns:
        The path below `folder`. Links within the folder are followed: they are not the file's doing.

    Raises:
        ValueError: The path is absolute or leads out of the folder.
    """
    parts = Path(name).parts
    depths = accumulate(-1 if part == ".." else 1 for part in parts)
    if Path(name).is_absolute() or "\0" in name or any(depth < 0 for depth in depths):
        raise ValueError(f"{where}: expected a path inside the folder of the file, got {name!r}")
    return Path(folder) / name


def refuse_endless(path: Path | str, what: str) -> None:
    """Refuse what may never end or never begin when it is read: a named pipe, a device.

    Args:
        path: Of what is to be read; that there is nothing is no fault here.
        what: It should be, for the error: `"image"`.

    Raises:
        ValueError: It is none of a file and a folder. A pipe that a shell hands over (`<(...)`) ends.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()) and not str(path).startswith(("/dev/fd/", "/dev/stdin")):
        raise ValueError(f"{what}: expected a file, got {path}, which is a pipe, a socket or a device")


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 sum of a file's content.

    Args:
        path: The file, of any size.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_array(path: Path | str, what: str) -> NDArray[Any]:
    """Open an array of numbers in a `.npy` file, memory-mapped.

    Args:
        path: The file.
        what: It is, for the error: `"an array of a shard"`.

    Returns:
        The array, read-only; its values are read from the disk when they are used.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is cut short or something else; names the file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{what}: expected a file {Path(path).absolute()}, which does not exist")
    with named_file(path, what):
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.ndarray):
            raise ValueError(f"expected {what}, got a {type(found).__name__}")
        return found


def shortened(value: object, most: int = 200) -> str:
    """What came instead of what was expected, for an error: its beginning where it is long.

    Args:
        value: Of any size.
        most: Characters that are shown.

    Returns:
        As `repr` gives it.
    """
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


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
    refuse_endless(path, what)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # some programs begin UTF-8 with a mark
        content: object = json.loads(text, object_pairs_hook=_once_each)
    except FileNotFoundError:
        raise FileNotFoundError(f"{what}: expected a file {Path(path).absolute()}, which does not exist") from None
    except IsADirectoryError:
        raise ValueError(f"{what}: expected a file of JSON, got {path}, which is a folder") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected JSON in UTF-8, got something else: {error}") from error
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, numbers of thousands of digits, endless nesting
        raise ValueError(f"{path}: expected JSON, got something else: {error}") from error
    return content


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Names with values, of which JSON would take the last where a name stands twice."""
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(name for index, (name, _) in enumerate(pairs) if name in dict(pairs[:index]))
        raise ValueError(f"{twice}: expected once in an object, got it twice")
    return values


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


def read_rows(path: Path, columns: int) -> Iterator[list[str]]:
    """Read a table of text with one row per line, cells between `|`; lines that begin with # and empty ones are none.

    Args:
        path: The file, in UTF-8.
        columns: Cells of every row.

    Yields:
        Cells, without blanks around them.

    Raises:
        ValueError: A row has another number of cells; names the file.
    """
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) != columns:
                raise ValueError(f"{path.name}: expected {columns} columns, got {len(cells)} in {line!r}")
            yield cells
