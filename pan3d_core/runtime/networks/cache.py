"""Files that were built for this machine: found again by everything that they depend on, else built anew."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pan3d_core.runtime.files import file_sha256, read_json_object, written_whole

MANIFEST = "manifest.json"
KEY_DIGITS = 20


def cache_folder() -> Path:
    """Where the user keeps what can be made again: PAN3D_CACHE, else pan3d in XDG_CACHE_HOME or ~/.cache."""
    own = os.environ.get("PAN3D_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pan3d"


@dataclass(frozen=True)
class CacheEntry:
    """One file of the cache: what it was built from, and what it is called."""

    group: str  # folder below the cache, such as the engine's name
    parts: Mapping[str, str]  # everything that another file would follow from
    filename: str

    @property
    def key(self) -> str:
        """Changes with every part."""
        text = json.dumps({**self.parts, "filename": self.filename}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]

    @property
    def folder(self) -> Path:
        """Of this file and its manifest."""
        return cache_folder() / "engines" / self.group / self.key

    def find(self) -> Path | None:
        """Return the file, or None where there is none that is whole, of these parts, and of nobody but the user."""
        path = self.folder / self.filename
        try:
            manifest = read_json_object(self.folder / MANIFEST, "manifest of a built engine")
            good = manifest.get("parts") == dict(self.parts) and manifest.get("sha256") == _sums(self.folder)
        except (OSError, ValueError):
            return None
        return path if good and path.is_file() and _only_mine(self.folder) and _only_mine(path) else None

    def build(self, write: Callable[[Path], None]) -> Path:
        """Return the file, written by `write` unless it is there; of several processes one writes and the others wait.

        Args:
            write: Is given the path to write to.

        Returns:
            The file in the cache.

        Raises:
            OSError: The disk is full or the folder cannot be written; nothing is left of what was begun.
        """
        with self._locked():
            found = self.find()
            if found is not None:
                return found
            if self.folder.exists():
                shutil.rmtree(self.folder)
            with written_whole(self.folder) as part:
                part.mkdir(mode=0o700)
                write(part / self.filename)
                facts = {"parts": dict(self.parts), "sha256": _sums(part)}
                (part / MANIFEST).write_text(json.dumps(facts, indent=1), encoding="utf-8")
            return self.folder / self.filename

    def discard(self) -> None:
        """Remove the entry, if there is one."""
        with self._locked():
            if self.folder.exists():
                shutil.rmtree(self.folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The lock ends with the process, whatever ends that; the file stays, because removing it would let two in.
        with (self.folder.parent / f".{self.key}.lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def _sums(folder: Path) -> dict[str, str]:
    """Checksums of an entry's files: large networks keep their weights beside them."""
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}


def _only_mine(path: Path) -> bool:
    """Engines are code: nobody else may have written them."""
    found = path.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def entries() -> list[Path]:
    """List what is in the cache: the folders of its entries."""
    return sorted((cache_folder() / "engines").glob("*/*/"))


def prune() -> int:
    """Remove everything that was built; returns how many entries there were."""
    folders = entries()
    for folder in folders:
        shutil.rmtree(folder)
    return len(folders)
