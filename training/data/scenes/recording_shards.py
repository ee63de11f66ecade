"""Recordings of rooms as a stream of training scenes, read where they lie; see `recordings`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from pan3d_eval.datasets.scenes import SceneReference, list_scenes
from pan3d_eval.datasets.table import dataset_of
from pan3d_sim.data.scene_records import DamagedScene, SceneRecord
from training.data.scenes.recordings import SamplePlan


@dataclass(frozen=True)
class RecordingShards:
    """Samples of all scenes below a folder, a scene a chapter; see `open_recordings`."""

    references: tuple[SceneReference, ...]
    plan: SamplePlan
    worker_context = None
    largest_buffer = 10**7

    @property
    def chapters(self) -> tuple[str, ...]:
        """The scenes' names."""
        return tuple(reference.name for reference in self.references)

    @property
    def kinds(self) -> tuple[str, ...]:
        """As they were asked for."""
        return self.plan.kinds

    @property
    def num_views(self) -> int:
        """Of every sample."""
        return self.plan.views

    def keys(self, chapter: int) -> list[str]:
        """A number for each sample of the scene."""
        return [str(number) for number in range(self.plan.samples_of(self.references[chapter]))]

    def read(self, chapter: int, wanted: Collection[str]) -> Iterator[tuple[str, tuple[int, int]]]:
        """Which scene and sample: the pictures are read when they are wanted."""
        yield from ((key, (chapter, int(key))) for key in self.keys(chapter) if key in wanted)

    def decode(self, stored: tuple[int, int]) -> SceneRecord:
        """Read a sample. Raises `DamagedScene` that names scene and field."""
        chapter, number = stored
        try:
            return self.plan.read(self.references[chapter], number)[0]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedScene(str(error)) from error


def holds_recordings(location: str | Path) -> bool:
    """Whether a folder is, or has directly below it, a scene of a public data set."""
    folder = Path(location)
    return folder.is_dir() and any(dataset_of(path) is not None for path in (folder, *folder.iterdir()) if path.is_dir())


def open_recordings(location: str | Path, plan: SamplePlan) -> RecordingShards:
    """Open all scenes below a folder that `pan3d eval` reads.

    Args:
        location: The folder.
        plan: What a sample is.

    Returns:
        Their samples as a stream's source.

    Raises:
        FileNotFoundError: There is no scene.
    """
    return RecordingShards(tuple(list_scenes([Path(location)])), plan)
