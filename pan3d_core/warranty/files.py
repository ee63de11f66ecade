"""Confirmations in a file, one for each kind of answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pan3d_core.runtime.files import named_file, read_json_object, written_whole
from pan3d_core.warranty.guarantee import Confirmation

VERSION = 1
OBJECT = "object"  # is this one object?
WORDS = "words"  # is it what the words mean?
KINDS = (OBJECT, WORDS)
MOST = 2000  # of a kind that are kept, the newest ones


def read_confirmations(path: Path) -> dict[str, list[Confirmation]]:
    """Read what was confirmed.

    Args:
        path: Of the file; where there is none yet, nothing was.

    Returns:
        Of each kind, oldest first.

    Raises:
        ValueError: The file is damaged or of another version; names file and field.
    """
    if not path.exists():
        return {kind: [] for kind in KINDS}
    content = read_json_object(path, "confirmations")
    if content.get("version") != VERSION:
        raise ValueError(f"{path}: version: expected {VERSION}, got {content.get('version')!r}")
    found = content.get("confirmations")
    if not isinstance(found, dict) or set(found) != set(KINDS):
        raise ValueError(f"{path}: confirmations: expected {' and '.join(KINDS)}, got {found!r}")
    with named_file(path, "confirmations"):
        return {kind: [Confirmation(**item) for item in found[kind]] for kind in KINDS}


def add_confirmation(path: Path, kind: str, new: Confirmation) -> dict[str, list[Confirmation]]:
    """Add one to a file, which is written whole.

    Args:
        path: Of the file; is made where there is none.
        kind: Of `KINDS`.
        new: The newest.

    Returns:
        All of them, of each kind.

    Raises:
        ValueError: The kind is unknown, or the file cannot be used and stays as it is.
        OSError: It cannot be written and stays as it is.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected {' or '.join(KINDS)}, got {kind!r}")
    found = read_confirmations(path)
    found[kind] = [*found[kind], new][-MOST:]
    write_confirmations(path, found)
    return found


def write_confirmations(path: Path, found: Mapping[str, Sequence[Confirmation]]) -> None:
    """Write confirmations, the whole file or nothing.

    Args:
        path: Of the file.
        found: Of each of `KINDS`.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    plain = {kind: [asdict(item) for item in found[kind]] for kind in KINDS}
    with written_whole(path) as part:
        part.write_text(json.dumps({"version": VERSION, "confirmations": plain}, indent=1), encoding="utf-8")
