"""Where scenes with truth come from: scene folders, shards of training data, and public data sets in their own layout."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.runtime.files import named_file, read_array, read_json_object
from pan3d_core.structures import CameraView
from pan3d_core.views.depth_files import DEPTH_UNIT_M
from pan3d_core.views.scene_folder import SCENE_FILE, Scene, SceneObject, SceneTruth, read_scene, read_usable_scene
from pan3d_eval.datasets.published_files import DEFAULT_VIEWS, ViewSelection
from pan3d_eval.datasets.table import DATASETS, dataset_of, read_dataset_scene

log = logging.getLogger("pan3d.datasets")

# So many folders without a scene are named; of more, how many.
NAMED_FOLDERS = 5
_EMPTY_KIND, _NAMELESS = 255, "thing"  # of a shard: there is no such object; what an object without a name is called


@dataclass(frozen=True)
class SceneReference:
    """Where one scene lies; small enough to be handed to another process, which reads it."""

    path: Path  # scene folder, shard folder, or scene of a public data set
    index: int | None = None  # row of the shard
    views: ViewSelection = DEFAULT_VIEWS  # of a public data set's recording

    @property
    def name(self) -> str:
        """Name for messages; the same that the scene of a shard has."""
        return self.path.name if self.index is None else f"{self.path.name}/{self.index}"

    def read(self) -> Scene:
        """The scene. Raises `FileNotFoundError` or `ValueError` naming file and field."""
        if self.index is not None:
            return read_shard_scene(self.path, self.index)
        return read_scene(self.path) if self._is_folder else read_dataset_scene(self.path, self.views)

    def read_usable(self) -> Scene:
        """The same of a scene folder without the cameras that cannot be used."""
        return read_usable_scene(self.path) if self._is_folder else self.read()

    @property
    def _is_folder(self) -> bool:
        return self.index is None and (self.path / SCENE_FILE).exists()


def list_scenes(paths: Sequence[Path], limit: int = 0, views: ViewSelection = DEFAULT_VIEWS) -> list[SceneReference]:
    """List the scenes below some paths without reading them; folders beside them that hold none are named in the log.

    Args:
        paths: Scene folders, shards of training data, scenes of public data sets, or folders of these.
        limit: Ends after so many; 0: all.
        views: Which images of a public data set's recording are taken.

    Returns:
        Where they are, in the order of the paths.

    Raises:
        FileNotFoundError: There is no scene in or below a path.
    """
    found = itertools.chain.from_iterable(_references_of(Path(path), views) for path in paths)
    return list(itertools.islice(found, limit or None))


def find_scenes(paths: Sequence[Path], limit: int = 0, views: ViewSelection = DEFAULT_VIEWS) -> Iterator[Scene]:
    """Read the scenes of `list_scenes`, one at a time.

    Args:
        paths: As for `list_scenes`.
        limit: Ends after so many; 0: all.
        views: Which images of a public data set's recording are taken.

    Yields:
        Each scene.

    Raises:
        FileNotFoundError: There is no scene in or below a path, or a file of one is missing.
        ValueError: A scene cannot be read; names file and field.
    """
    for reference in list_scenes(paths, limit, views):
        yield reference.read()


def paraphrases(references: Sequence[SceneReference], otherwise: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Collect descriptions that no training has seen.

    Args:
        references: Scenes; shards have such descriptions beside them.
        otherwise: Class name -> descriptions, where no shard has any.

    Returns:
        Class name -> descriptions.
    """
    files = {reference.path / "vocabulary.json" for reference in references if reference.index is not None}
    contents = [read_json_object(path, "the words of a shard").get("paraphrases", {}) for path in sorted(files)]
    if not any(contents):
        contents = [otherwise]
    return {kind: tuple(texts) for content in contents for kind, texts in content.items()}


def read_shard_scene(folder: Path, index: int) -> Scene:
    """Row `index` of a training shard: `images` (N, S, h, w, 3) uint8, `depth` in 0.1 mm, `ids`, `kinds`, cameras; where they
    are there, also the objects' colours and boxes."""
    with named_file(folder, "a shard of scenes"):
        return _shard_scene(folder, index)


def _shard_scene(folder: Path, index: int) -> Scene:
    names = ("images", "depth", "ids", "kinds", "intrinsics", "cam_from_world", "support_height")
    more = [name for name in ("colors", "world_from_box", "box_size") if (folder / f"{name}.npy").exists()]
    arrays = {name: read_array(folder / f"{name}.npy", "an array of a shard")[index] for name in (*names, *more)}
    facts = read_json_object(folder / "vocabulary.json", "the words of a shard")
    labels = LabelSpace.things(tuple(facts["kinds"]))
    images = torch.from_numpy(arrays["images"].copy()).permute(0, 3, 1, 2).float() / 255
    depth = torch.from_numpy(arrays["depth"].astype(np.float32)) * DEPTH_UNIT_M
    ids = torch.from_numpy(arrays["ids"].astype(np.int64))
    views = tuple(
        CameraView(
            image=images[view],
            intrinsics=torch.from_numpy(arrays["intrinsics"][view].copy()),
            cam_from_world=torch.from_numpy(arrays["cam_from_world"][view].copy()),
            depth=depth[view],
            camera=f"camera_{view}",
        )
        for view in range(len(images))
    )
    truth = SceneTruth(tuple(ids), tuple(depth), _shard_objects(arrays, labels, facts.get("colors", ())), labels)
    return Scene(f"{folder.name}/{index}", views, truth, float(arrays["support_height"]))


def _shard_objects(arrays: dict[str, np.ndarray], labels: LabelSpace, colors: Sequence[str]) -> tuple[SceneObject, ...]:
    kinds, objects = arrays["kinds"], []
    for k in range(1, len(kinds)):
        if kinds[k] == _EMPTY_KIND:
            continue
        class_id = int(kinds[k]) if kinds[k] < len(labels) else -1
        name, box = labels.names[class_id] if class_id >= 0 else _NAMELESS, None
        if "box_size" in arrays:
            box = OrientedBox(torch.tensor(arrays["world_from_box"][k]), torch.tensor(arrays["box_size"][k]))
        if "colors" in arrays and arrays["colors"][k] < len(colors):
            name = f"{colors[arrays['colors'][k]]} {name}"
        objects.append(SceneObject(k, name, class_id, box))
    return tuple(objects)


def _references_of(path: Path, views: ViewSelection) -> Iterator[SceneReference]:
    if (path / SCENE_FILE).exists():
        yield SceneReference(path)
    elif _is_shard(path):
        yield from (SceneReference(path, index) for index in range(len(read_array(path / "images.npy", "an array of a shard"))))
    elif dataset_of(path) is not None:
        yield SceneReference(path, views=views)
    else:
        inner: list[Path] = []
        others: list[Path] = []
        for item in sorted(item for item in path.iterdir() if item.is_dir()) if path.is_dir() else ():
            is_scene = (item / SCENE_FILE).exists() or _is_shard(item) or dataset_of(item) is not None
            (inner if is_scene else others).append(item)
        wanted = f"{SCENE_FILE}, images.npy or the layout of {', '.join(DATASETS)}"
        if not inner:
            raise FileNotFoundError(f"scenes: expected {wanted} in or below {path}, got none")
        if names := [item.name for item in others if not item.name.startswith(".")]:
            rest = f" and {len(names) - NAMED_FOLDERS} more" if len(names) > NAMED_FOLDERS else ""
            named = ", ".join(names[:NAMED_FOLDERS]) + rest
            log.warning("scenes: left out of %s, where no %s was found: %s", path, wanted, named)
        for item in inner:
            yield from _references_of(item, views)


def _is_shard(path: Path) -> bool:
    """A complete shard; hidden folders are being written."""
    return (path / "images.npy").exists() and (path / "vocabulary.json").exists() and not path.name.startswith(".")
