"""What one refinement of the node has on disk: its job, its views, its last checkpoint and the scene. No ROS in here."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pan3d_core.refine.optimise import CHECKPOINT_FILE
from pan3d_core.runtime.files import named_file, read_json_object, written_whole
from pan3d_core.runtime.torch_files import read_torch, write_torch
from pan3d_core.settings import read_settings
from pan3d_ros.parameters.values import expanded_path
from pan3d_ros.refinement.views import UnderstoodView, restored, stored

SCENE_FILE, VIEWS_FILE, JOB_FILE = "gaussians.safetensors", "views.pt", "job.json"


class FolderProblem(ValueError):
    """The folder cannot be used as it was asked for."""


class FolderInUse(FolderProblem):
    """Another process refines in it."""


def expanded(name: str, path: str) -> Path:
    """Replace `~` in the path of a parameter. Raises `FolderProblem` that names it for a user without a home folder."""
    try:
        return expanded_path(name, path)
    except ValueError as error:
        raise FolderProblem(str(error)) from error


@dataclass(frozen=True)
class RefinementJob:
    """What the process is asked to do with the views of its folder."""

    steps: int  # at most, with those before a resume; 0 = as many as the minutes allow
    minutes: float  # at most, with those before a resume; 0 = no limit
    resume: bool = False  # from the checkpoint
    stop_below: float = 0.0  # `EarlyStop.below`
    checkpoint_every: int = 50
    world_frame_id: str = ""  # that the views must have; empty = any
    device: str = "cpu"
    threads: int = 1
    niceness: int = 10


@dataclass(frozen=True)
class RefinementFolder:
    """One folder. Every file in it appears whole or not at all."""

    path: Path
    fresh: bool  # made by this goal, so that nobody misses it

    @classmethod
    def made(cls, root: str, name: str) -> RefinementFolder:
        """Make a new folder.

        Args:
            root: Folder of all refinements; `~` is known.
            name: Of this one.

        Returns:
            The folder, empty.

        Raises:
            FolderProblem: That is not possible, or something of that name is there.
        """
        found = cls(expanded("refine.folder", root) / name, fresh=True)
        try:
            found.path.mkdir(parents=True)
        except FileExistsError as error:
            more = "; resume goes on with it" if found.can_go_on else ""
            raise FolderProblem(f"output: expected a new name, got '{name}': {found.path} exists{more}") from error
        except OSError as error:
            raise FolderProblem(f"refine.folder: expected a place to write to, got {error}") from error
        return found

    @classmethod
    def left(cls, root: str, name: str) -> RefinementFolder:
        """Find what an earlier goal has left.

        Args:
            root: As for `made`.
            name: Of that one.

        Returns:
            The folder, with views and checkpoint.

        Raises:
            FolderProblem: There is nothing to go on from.
        """
        found = cls(expanded("refine.folder", root) / name, fresh=False)
        if not found.path.is_dir():
            raise FolderProblem(f"output: expected what an earlier goal has left, got '{name}': {found.path} does not exist")
        missing = [file for file in (VIEWS_FILE, CHECKPOINT_FILE) if not (found.path / file).is_file()]
        if missing:
            raise FolderProblem(f"output: expected something to go on from, got {found.path} without {' and '.join(missing)}")
        return found

    @property
    def scene_file(self) -> Path:
        """The result."""
        return self.path / SCENE_FILE

    @property
    def checkpoint(self) -> Path:
        """The last state of the optimisation."""
        return self.path / CHECKPOINT_FILE

    @property
    def can_go_on(self) -> bool:
        """Whether there is a checkpoint with its views."""
        return (self.path / VIEWS_FILE).is_file() and self.checkpoint.is_file()

    def write_views(self, views: Sequence[UnderstoodView]) -> None:
        """Keep them for the process, and for all that go on from there."""
        write_torch(self.path / VIEWS_FILE, stored(views))

    def read_views(self) -> list[UnderstoodView]:
        """What `write_views` kept. Raises `FolderProblem` for a file of another kind."""
        path = self.path / VIEWS_FILE
        try:
            with named_file(path, "the views of a refinement"):
                return restored(read_torch(path, "the views of a refinement"))
        except (ValueError, FileNotFoundError) as error:
            raise FolderProblem(str(error)) from error

    def write_job(self, job: RefinementJob) -> None:
        """For the process that is started next."""
        with written_whole(self.path / JOB_FILE) as part:
            part.write_text(json.dumps(asdict(job)), encoding="utf-8")

    def read_job(self) -> RefinementJob:
        """What `write_job` wrote. Raises `FolderProblem` for a file of another kind, with the field at fault."""
        path = self.path / JOB_FILE
        try:
            with named_file(path, "what a refinement is asked to do"):
                return read_settings(RefinementJob, read_json_object(path, "what a refinement is asked to do"))
        except (ValueError, FileNotFoundError) as error:
            raise FolderProblem(str(error)) from error

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """For one process at a time, as one may outlive its node by a step. Raises `FolderInUse` while another one has it."""
        with (self.path / VIEWS_FILE).open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise FolderInUse(f"another process refines in {self.path}; wait until it has ended") from error
            yield

    def give_up(self) -> str:
        """After a refinement that did not end well: remove what nobody can go on from. What is kept, in words."""
        if self.can_go_on:
            return f"{self.path} keeps the last checkpoint, from which a goal of the same output with resume goes on"
        if self.fresh:
            shutil.rmtree(self.path)
        return "nothing is kept"
