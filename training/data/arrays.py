"""Batches of training scenes, and folders of memory-mapped arrays as `pan3d sim render --shards` writes them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pan3d_core.runtime.files import read_array, read_json_object
from pan3d_core.structures import present
from pan3d_sim.data.scene_records import (
    EMPTY_KIND,
    FIRST_HELD_OUT_SEED,
    MAX_OBJECTS,
    NAMELESS_KIND,
    SceneRecord,
    shows_trained_things,
)

VOID, NAMELESS = -1, -2  # in the place of a kind: nobody knows what is there; a thing that has no name
# The arrays of a shard, and how many axes each has; the first one is that of the scenes.
_ARRAYS = {"images": 5, "depth": 4, "ids": 4, "kinds": 2, "intrinsics": 4, "cam_from_world": 4, "support_height": 1}
_log = logging.getLogger("pan3d.training")


@dataclass(frozen=True)
class TeacherMaps:
    """What 2D models say about the views of a batch (`training.data.targets.teachers`)."""

    ids: Tensor  # (B, S, H, W) int64 ids that hold within their view, 0 = none
    features: Tensor  # (B, S, E, h, w) text-aligned, of any length, 0 = none
    texts: Tensor | None = None  # (T, E) unit vectors, of which the features are some, where the teacher knows such


@dataclass(frozen=True)
class SceneBatch:
    """B scenes of S views with their truth."""

    images: Tensor  # (B, S, 3, H, W) RGB 0..1
    depth: Tensor  # (B, S, H, W) z-depth in metres, 0 = none
    ids: Tensor  # (B, S, H, W) int64, 0 = no object
    kinds: Tensor  # (B, K) int64, kind of object id k in column k, `VOID` = no such object, or, of an id that is there, void;
    # `NAMELESS` = a thing to find that has no name
    intrinsics: Tensor  # (B, S, 3, 3)
    cam_from_world: Tensor  # (B, S, 4, 4)
    support_height: Tensor  # (B,) metres, NaN = no such surface is known
    teacher: TeacherMaps | None = None

    @property
    def void(self) -> Tensor:
        """(B, S, H, W) bool: nobody has said what is there, so nothing is learnt or judged. Such ids have the kind `VOID`."""
        return (self.ids > 0) & (self.kinds.gather(1, self.ids.flatten(1)).reshape(self.ids.shape) == VOID)

    @property
    def taught(self) -> TeacherMaps:
        """The teacher's maps of a batch that a teacher has been asked about; `ValueError` for another one."""
        return present("SceneBatch.teacher", self.teacher)


def batch_of_records(records: Sequence[SceneRecord], views: Sequence[np.ndarray]) -> SceneBatch:
    """Scenes with views[i] (all of equal length) of record i, in that order."""
    rows = [{name: getattr(record, name) for name in _ARRAYS} for record in records]
    return _batch_of_rows([_with_views(row, chosen) for row, chosen in zip(rows, views, strict=True)])


def _with_views(row: dict[str, np.ndarray], views: np.ndarray) -> dict[str, np.ndarray]:
    return {name: value if name in ("kinds", "support_height") else value[views] for name, value in row.items()}


def _batch_of_rows(rows: list[dict[str, np.ndarray]]) -> SceneBatch:
    stacked = {name: np.stack([row[name] for row in rows]) for name in _ARRAYS if name != "kinds"}
    # Older data have room for fewer objects; scenes that are read one by one must fit together.
    columns = max(MAX_OBJECTS + 1, *(len(row["kinds"]) for row in rows))
    padded = [np.pad(row["kinds"], (0, columns - len(row["kinds"])), constant_values=EMPTY_KIND) for row in rows]
    kinds = np.stack(padded).astype(np.int64)
    return SceneBatch(
        images=torch.from_numpy(stacked["images"]).permute(0, 1, 4, 2, 3).float() / 255,
        depth=torch.from_numpy(stacked["depth"].astype(np.float32) * 1e-4),
        ids=torch.from_numpy(stacked["ids"].astype(np.int64)),
        kinds=torch.from_numpy(np.select([kinds == EMPTY_KIND, kinds == NAMELESS_KIND], [VOID, NAMELESS], kinds)),
        intrinsics=torch.from_numpy(stacked["intrinsics"]),
        cam_from_world=torch.from_numpy(stacked["cam_from_world"]),
        support_height=torch.from_numpy(stacked["support_height"].astype(np.float32)),
    )


def _read_shard(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a shard by name. Raises `ValueError` for files that do not belong together."""
    arrays = {name: read_array(folder / f"{name}.npy", "an array of a shard") for name in _ARRAYS}
    scenes, views, *_ = arrays["images"].shape if arrays["images"].ndim == 5 else (None, None)
    for name, ndim in _ARRAYS.items():
        shape = arrays[name].shape
        per_view = name not in ("kinds", "support_height")
        if len(shape) != ndim or shape[0] != scenes or (per_view and shape[1] != views):
            raise ValueError(f"{folder / name}.npy: expected {ndim} axes for {scenes} scenes of {views} views, got shape {shape}")
    return arrays


def _require_whole(path: Path, array: np.ndarray) -> None:
    """Raise `ValueError` where a mapped file has become shorter since it was opened: the system ends who reads behind its end."""
    if isinstance(array, np.memmap) and isinstance(array.base, mmap) and array.base.size() < array.offset + array.nbytes:
        raise ValueError(f"{path}: expected {array.offset + array.nbytes} bytes as before, got {array.base.size()}")


class ShardSet:
    """All complete shard folders below one folder, as one indexable set of scenes."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._shards: dict[Path, dict[str, np.ndarray]] = {}
        self._starts = np.zeros(1, dtype=np.int64)
        self.refresh()
        if not len(self):
            raise ValueError(f"data: expected shard folders with vocabulary.json below {folder}, got none")

    def __len__(self) -> int:
        return int(self._starts[-1])

    def refresh(self) -> int:
        """Take in shards completed since the last call; number of scenes now."""
        # The vocabulary is written last, so its presence means that the arrays are complete.
        for marker in sorted(self.folder.glob("*/vocabulary.json")):
            # Hidden folders are on their way to another name.
            if marker.parent not in self._shards and not marker.parent.name.startswith("."):
                self._shards[marker.parent] = _read_shard(marker.parent)
        self._count()
        _log.info("%s: %d scenes in %d shards", self.folder, len(self), len(self._shards))
        return len(self)

    def _count(self) -> None:
        sizes = [len(arrays["kinds"]) for arrays in self._shards.values()]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def names(self) -> list[str]:
        """Names of the shards in the order of the indices, which is that in which they were found complete."""
        return [folder.name for folder in self._shards]

    def arrange(self, names: list[str]) -> None:
        """Put the shards `names` first, in this order, so that indices mean again what they meant when it was taken."""
        if missing := sorted(set(names) - set(self.names())):
            raise ValueError(f"data: expected the shards that the run began with in {self.folder}, got none named {missing[0]}")
        first = {self.folder / name: self._shards[self.folder / name] for name in names}
        self._shards = first | {folder: arrays for folder, arrays in self._shards.items() if folder not in first}
        self._count()

    @property
    def num_views(self) -> int:
        """That every scene has at least."""
        return min(arrays["images"].shape[1] for arrays in self._shards.values())

    def require_views(self, count: int) -> None:
        """Raise `ValueError` when a scene has fewer views than `count`."""
        for folder, arrays in self._shards.items():
            if (found := arrays["images"].shape[1]) < count:
                raise ValueError(f"data: expected scenes of at least {count} cameras, got {folder} with {found}")

    @property
    def image_hw(self) -> tuple[int, int]:
        """Height and width of the pictures of the first shard."""
        _, _, height, width, _ = next(iter(self._shards.values()))["images"].shape
        return height, width

    def vocabulary(self) -> dict:
        """The `vocabulary.json` of the first shard: kinds, descriptions, synonyms_per_kind."""
        return read_json_object(next(iter(self._shards)) / "vocabulary.json", "the words of a shard")

    def _scene(self, index: int, views: np.ndarray) -> dict[str, np.ndarray]:
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        row = index - int(self._starts[shard])
        folder, arrays = list(self._shards.items())[shard]
        if (found := arrays["images"].shape[1]) <= max(views, default=0):
            raise ValueError(f"data: expected scenes of at least {max(views) + 1} cameras, got {folder} with {found}")
        for name, array in arrays.items():
            _require_whole(folder / f"{name}.npy", array)
        return _with_views({name: arrays[name][row] for name in _ARRAYS}, views)

    def batch(self, indices: np.ndarray, views: list[np.ndarray]) -> SceneBatch:
        """Scenes `indices` with views[i] (all of equal length) of scene i, in that order."""
        return _batch_of_rows([self._scene(int(i), v) for i, v in zip(indices, views, strict=True)])

    def refuse_held_out(self) -> None:
        """Raise `ValueError` when a shard holds seeds, kinds or objects that are for measuring only."""
        for folder in self._shards:
            facts = read_json_object(folder / "vocabulary.json", "the words of a shard")
            settings = facts.get("settings")  # older shards have one seed for all scenes, which says nothing
            if settings and (not shows_trained_things(settings) or facts["seed"] + facts["scenes"] > FIRST_HELD_OUT_SEED):
                raise ValueError(f"data: expected scenes for training, got held-out ones in {folder}")


def training_vocabulary(data: Path) -> dict:
    """Words of the training data in `data`/train or, where those are streamed, of the held-out data in `data`/val."""
    folder = data / "train"
    return ShardSet(folder if folder.exists() else data / "val").vocabulary()


class Sampler:
    """Endless permutations of the training scenes, split over ranks; new shards join at each new permutation.

    Raises `ValueError` for held-out scenes: what samples are drawn from is trained on.
    """

    def __init__(self, shards: ShardSet, seed: int, rank: int, world: int) -> None:
        shards.refuse_held_out()
        self.shards, self.seed, self.rank, self.world = shards, seed, rank, world
        self.epoch, self.position, self._order = 0, 0, np.zeros(0, dtype=np.int64)
        self._size = len(shards)

    def _permute(self) -> None:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self._size)
        self._order = order[self.rank :: self.world]

    def next(self, count: int) -> np.ndarray:
        """`count` scene indices."""
        taken: list[int] = []
        while len(taken) < count:
            if self.position >= len(self._order):
                if len(self._order):
                    self.epoch, self._size = self.epoch + 1, self.shards.refresh()
                    self.shards.refuse_held_out()
                self.position = 0
                self._permute()
            taken.append(int(self._order[self.position]))
            self.position += 1
        return np.array(taken)

    def state(self) -> dict:
        """Where the permutation stands; `restore` continues exactly, also when shards were added in between."""
        return {"epoch": self.epoch, "position": self.position, "size": self._size, "shards": self.shards.names()}

    def restore(self, state: dict) -> None:
        """Continue where `state` was taken."""
        self.shards.arrange(state.get("shards", []))
        self.epoch, self._size = state["epoch"], state["size"]
        self._permute()
        self.position = state["position"]
