"""Checkpoint files of a run: written completely or not at all, the newest few and the best one kept.

`last.pt` is always the newest; `step_*.pt` are the newest ones by their step, `best.pt` the one with the best held-out score.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from pan3d_core.runtime.files import written_whole
from pan3d_core.runtime.torch_files import read_torch, write_torch

_log = logging.getLogger("pan3d.training")

LAST, BEST = "last.pt", "best.pt"


class CheckpointFolder:
    """The checkpoints of one run."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = Path(folder), keep

    def save(self, state: dict) -> Path:
        """Write the state of `state["step"]` as the newest checkpoint and drop the oldest ones.

        Raises `OSError` when the disk is full or not writable; earlier checkpoints are then as they were.
        """
        path = self.folder / f"step_{state['step']:08d}.pt"
        self._write(state, path)
        self._point(LAST, path)
        for old in self.numbered()[: -self.keep]:
            old.unlink()
        return path

    def mark_best(self, path: Path) -> None:
        """Keep the checkpoint `path` as the best so far."""
        self._point(BEST, path)

    def numbered(self) -> list[Path]:
        """`step_*.pt`, oldest first."""
        return sorted(self.folder.glob("step_*.pt"))

    def load(self) -> dict | None:
        """The newest readable state, None where there is no checkpoint.

        Damaged files are named and passed over; `ValueError` when nothing but damaged ones is there.
        """
        candidates = [path for path in (self.folder / LAST, *reversed(self.numbered())) if path.exists()]
        for path in candidates:
            try:
                return read_state(path)
            except ValueError as error:
                _log.error("%s; trying an older one", error)
        if candidates:
            raise ValueError(f"out: expected a readable checkpoint in {self.folder}, got only damaged ones: {candidates}")
        return None

    def _write(self, state: dict, path: Path) -> None:
        try:
            write_torch(path, state)
        except OSError as error:
            newest = self.folder / LAST
            rest = f"{newest} is untouched, the run can go on from there" if newest.exists() else "there is no earlier one"
            free = shutil.disk_usage(self.folder).free / 2**20
            raise OSError(f"checkpoint {path} could not be written ({error}; {free:.0f} MiB free on the disk); {rest}") from error

    def _point(self, name: str, path: Path) -> None:
        """Let `name` be the file `path`: a hard link costs no space; a copy where the disk knows no links."""
        with written_whole(self.folder / name) as partial:
            try:
                os.link(path, partial)
            except OSError:
                shutil.copyfile(path, partial)


def read_state(path: Path) -> dict:
    """A checkpoint's state, on the CPU; `ValueError` for a file that is damaged or no training checkpoint."""
    state = read_torch(path, "checkpoint of a training run")
    if not isinstance(state, dict) or "model" not in state:
        raise ValueError(f"checkpoint: expected the state of a training run, got {path} with other things")
    return state
