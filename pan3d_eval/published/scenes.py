"""Which scenes a published table is taken on: those of a list, by the names that their data set gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pan3d_core.views.scene_folder import Scene
from pan3d_eval.datasets import SceneReference, dataset_of
from pan3d_eval.datasets.scannetpp import DEVICES
from pan3d_eval.execution import Failure


@dataclass(frozen=True)
class NamedScene:
    """One scene of a data set, small enough to be handed to another process."""

    reference: SceneReference
    name: str  # as messages and tables call it
    kept: Path  # what was measured, once it is

    def read(self) -> Scene:
        """The scene. Raises `FileNotFoundError` or `ValueError` naming scene, file and field."""
        try:
            return self.reference.read()
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f"scene {self.name}: {error}") from error


def require_views(scene: Scene, count: int) -> None:
    """Raise `ValueError` for a scene of fewer views."""
    if len(scene.views) < count:
        raise ValueError(f"scene {scene.name}: views: expected at least {count} images with poses, got {len(scene.views)}")


def full_name(path: Path) -> str:
    """`scene0000_00`, `SCENE/iphone` or `room_0/Sequence_1`: the folder's name, with the one above where it says too little."""
    own = path.resolve()
    short = own.name in DEVICES or dataset_of(path) == "replica"
    return f"{own.parent.name}/{own.name}" if short else own.name


def read_split(path: Path) -> tuple[str, ...]:
    """Read a list of scenes.

    Args:
        path: A text file with one name a line; empty lines and what follows # are left out.

    Returns:
        The names in their order.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It names none, or one twice.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--split: expected a file with one scene a line, got {path}, which does not exist")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"--split: {path}: expected text, got something else: {error}") from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    if not names:
        raise ValueError(f"--split: {path}: expected one scene a line, got none")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"--split: {path}: expected every scene once, got {', '.join(twice)} more often")
    return tuple(names)


def scenes_of_split(references: Sequence[SceneReference], split: Sequence[str]) -> tuple[list[SceneReference], list[Failure]]:
    """Choose the scenes of a list.

    Args:
        references: Those that are there.
        split: Names as `full_name` gives them; the folder above alone stands for all that lie in it.

    Returns:
        The scenes in the order of the list, and a failure for each name of which there is none.
    """
    by_name: dict[str, list[SceneReference]] = {}
    for reference in references:
        name = full_name(reference.path)
        for known in {name, name.rpartition("/")[0] or name}:
            by_name.setdefault(known, []).append(reference)
    chosen = [reference for name in split for reference in by_name.get(name, ())]
    missing = [
        Failure(name, f"scene {name}: expected in the folders, as the list names it, got none")
        for name in split
        if name not in by_name
    ]
    return chosen, missing
