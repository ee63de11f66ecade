"""Checkpoints as PyTorch stores them: written whole or not at all, read without executing anything."""

from __future__ import annotations

import errno
import glob
import pickle
import struct
import time
from contextlib import suppress
from pathlib import Path

import torch

from pan3d_core.runtime.files import written_whole

LEFTOVER_AGE_S = 600.0  # no writer takes as long
# What torch stumbles over in a file that is cut short, changed or something else.
_DAMAGE = (
    RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, OverflowError,
    MemoryError, struct.error, pickle.UnpicklingError,
)  # fmt: skip


def write_torch(path: Path, content: object) -> None:
    """Write tensors and plain values as one file, which appears whole or not at all.

    Args:
        path: The file to be; one that is there stays until the new one is whole.
        content: What `torch.save` takes.

    Raises:
        OSError: The disk is full or may not be written; names the file. Nothing is left of what was begun.
    """
    _remove_leftovers(path)
    with written_whole(path) as part, part.open("wb") as stream:
        try:
            torch.save(content, stream)
        except RuntimeError as error:  # as which torch reports a failed write, in the course of which the true reason came up
            reason = error.__context__
            if isinstance(reason, OSError):
                raise OSError(reason.errno or errno.EIO, reason.strerror or str(reason), str(path)) from error
            raise OSError(errno.EIO, f"could not be written ({error})", str(path)) from error


def _remove_leftovers(path: Path) -> None:
    """Remove what writers of the same file have left that were killed on the way: checkpoints are large, and kills repeat."""
    for part in path.parent.glob(f".{glob.escape(path.stem)}.{'[0-9a-f]' * 12}{glob.escape(path.suffix)}"):
        with suppress(OSError):  # another writer has removed it, or the folder may not be written, which is said next
            if time.time() - part.stat().st_mtime > LEFTOVER_AGE_S:
                part.unlink()


def read_torch(path: Path, what: str) -> object:
    """Read what `write_torch` wrote, on the CPU. Nothing in the file is executed.

    Args:
        path: The file.
        what: It is, for the error: `"a checkpoint of a refinement"`.

    Returns:
        Tensors and plain values, as they were.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged or holds other objects; names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{what}: expected a file {path.absolute()}, which does not exist")
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        first_line = (str(error).splitlines() or ["unexpected end"])[0]
        raise ValueError(f"{path}: expected {what}, complete, got something else ({first_line})") from error
    return content
