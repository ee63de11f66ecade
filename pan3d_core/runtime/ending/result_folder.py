"""Folders of results: a run's files take the place of those of an older run as a whole, and files of others stay."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from pan3d_core.runtime.files import disk_full_named, inside, named_as_it_shall_be, read_json_object, written_whole

LIST_FILE = ".pan3d_results.json"


class ResultFolder:
    """The results of one kind in a folder, which may hold those of other kinds and files of anybody beside them.

    A hidden list in the folder says which files are whose.

    Args:
        folder: Made where needed, once there is something to put into it.
        kind: Of results, as `"reconstruct"`; only files of the same kind are replaced.
        older: Patterns of file names that count as ours where results are not listed, as before there was a list.
    """

    def __init__(self, folder: Path, kind: str, older: Collection[str] = ()) -> None:
        self.folder, self.kind, self._older = folder, kind, older

    @contextmanager
    def replaced(self, keep: Callable[[str], bool] = lambda name: False) -> Iterator[Path]:
        """Write a result that takes the place of the older one when the block ends, or leave everything as it was.

        The older files go before the first new one comes, so that an interruption at any moment leaves the files of one run only;
        the next run removes what an interrupted one has left.

        Args:
            keep: Says of an older file, by its path in the folder, that it belongs to the new result, too.

        Yields:
            A folder to write to, with the paths that the files shall have.

        Raises:
            OSError: The disk is full or may not be written, or something else stands where a file should be; the older result is
                as it was.
        """
        made = not self.folder.exists()
        part = self.folder / f".pan3d_{self.kind}.{uuid4().hex[:12]}"
        with disk_full_named(self.folder), named_as_it_shall_be(part, self.folder), ExitStack() as after:
            if made:
                after.callback(_remove_empty, self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder, wait=True):  # or another run takes a part that is not locked yet for what one has left
                self._remove_leftovers()
                part.mkdir()
                after.callback(shutil.rmtree, part, ignore_errors=True)
                after.enter_context(_locked(part))
            yield part
            names = sorted(str(path.relative_to(part)) for path in part.rglob("*") if not path.is_dir())
            for name in names:
                _bring_to_disk(part / name)
                _require_place(self.folder, name)
            with _locked(self.folder, wait=True):
                kept = {name for name in self.listed() if keep(name)}
                self._list(self.listed() | set(names))  # an interruption from here on leaves nothing that is not listed
                self._remove(self.listed() - kept)
                for name in names:
                    place = Path(os.path.realpath(self.folder / name))
                    place.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(part / name, place)
                self._list(kept | set(names))

    def clear(self) -> None:
        """Remove the older result."""
        with disk_full_named(self.folder), ExitStack() as held:
            if self.folder.exists():
                held.enter_context(_locked(self.folder, wait=True))
                self._remove_leftovers()
                if names := self.listed():
                    self._remove(names)
                    self._list(set())

    def place(self, name: str) -> Path:
        """Give the path of a file that is written on its own, before the result is whole, and list it.

        Args:
            name: Its path in the folder.

        Returns:
            The path; the folders above it are there.
        """
        with disk_full_named(self.folder):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder, wait=True):
                self._list(self.listed() | {name})
        return path

    def listed(self) -> set[str]:
        """Name the files of the result that is there, by their paths in the folder."""
        file = self.folder / LIST_FILE
        if not file.is_file():
            return {str(path.relative_to(self.folder)) for pattern in self._older for path in self.folder.glob(pattern)}
        names = read_json_object(file, "the list of results").get(self.kind, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(
                f"{file}: {self.kind}: expected paths of files, got something else; remove the folder's list or name another"
            )
        for name in names:
            inside(self.folder, name, f"{file}: {self.kind}")
        return set(names)

    def _list(self, names: Collection[str]) -> None:
        """Say which files are of this kind. A file that another kind had is now of this one."""
        file = self.folder / LIST_FILE
        for begun in self.folder.glob(f".{file.stem}.{'[0-9a-f]' * 12}{file.suffix}"):
            begun.unlink()  # nobody else writes one now
        content = read_json_object(file, "the list of results") if file.is_file() else {}
        for kind, others in content.items():
            content[kind] = sorted(set(others) - set(names))
        content[self.kind] = sorted(names)
        with written_whole(file) as part:
            part.write_text(json.dumps({kind: found for kind, found in content.items() if found}, indent=1), encoding="utf-8")

    def _remove(self, names: Collection[str]) -> None:
        for name in names:
            path = self.folder / name
            if path.is_file() or path.is_symlink():
                path.unlink()
        for above in sorted(
            {above for name in names for above in Path(name).parents} - {Path()}, key=lambda item: -len(item.parts)
        ):
            _remove_empty(self.folder / above)

    def _remove_leftovers(self) -> None:
        """Remove what runs have left that were killed on the way; those that are still writing hold a lock."""
        for part in self.folder.glob(f".pan3d_{self.kind}.{'[0-9a-f]' * 12}"):
            with suppress(OSError), _locked(part):
                shutil.rmtree(part)


@contextmanager
def _locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder for this process alone; raises `BlockingIOError` where another has it and there is no waiting."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):  # of network file systems that know no locks
                raise
        yield
    finally:
        os.close(handle)


def _bring_to_disk(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _require_place(folder: Path, name: str) -> None:
    path = folder / name
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "expected room for a file of the result, got a folder", str(path))
    for above in path.parents:
        if above.exists():
            if not above.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "expected a folder for files of the result, got a file", str(above))
            return


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # not empty, or gone
        folder.rmdir()
