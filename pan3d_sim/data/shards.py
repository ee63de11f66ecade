"""Training data on disk: shards of a fixed number of seeded scenes, as arrays or as tar files.

Array shards are folders of .npy files that can be memory-mapped: the fields of `SceneRecord` with the scenes in front, depth in
0.1 mm, `seeds` (N,), and `vocabulary.json` with the words, written last. Tar shards are described in `scene_records`; one
`vocabulary.json` beside them serves all, and `index.json` lists them for readers that cannot list a folder.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from pan3d_sim.data.bank import Contents, RenderedScene, SceneStream
from pan3d_sim.data.placing import ARRANGEMENTS
from pan3d_sim.data.scene_records import (
    FIRST_HELD_OUT_SEED,
    IMAGE_FORMATS,
    MAX_OBJECTS,
    NAMELESS_KIND,
    VOCABULARY_FILE,
    SceneRecord,
    ShardRange,
    empty_columns,
    encode_record,
    scene_key,
)
from pan3d_sim.library.bank import OBJECT_SPLITS, ObjectLibrary
from pan3d_sim.library.tables import SPLITS, TRAIN, modelled_kinds, modelled_vocabulary
from pan3d_sim.objects.kinds import COLORS, HELD_OUT_KINDS, KINDS
from pan3d_sim.objects.odd_shapes import NAMELESS
from pan3d_sim.objects.vocabulary import vocabulary
from pan3d_sim.worlds.config import CELL, WORLDS
from pan3d_sim.worlds.photographs import read_photographs
from pan3d_sim.worlds.world import World

FORMAT = 3
SHARD_FORMATS = ("arrays", "tar")
KIND_SETS = {"known": KINDS, "held-out": HELD_OUT_KINDS}


@dataclass(frozen=True)
class SceneSettings:
    """What all scenes of a data set share."""

    kind_set: str = "known"  # a key of KIND_SETS
    num_views: int = 4
    width: int = 144
    height: int = 112
    world: str = CELL  # a key of WORLDS
    photographs: str = ""  # folder of photographed surfaces; empty = procedural ones only
    objects: str = ""  # folder of modelled objects; empty = procedural ones only
    object_split: str = "train"  # which of them, a key of OBJECT_SPLITS
    object_share: float = 0.6  # of them among all objects
    printed_share: float = 0.0  # of printed things among the other objects
    odd_share: float = 0.0  # of nameless things among what then is left
    arrangement: str = "plain"  # one of ARRANGEMENTS

    def __post_init__(self) -> None:
        if self.world not in WORLDS:
            raise ValueError(f"world: expected one of {', '.join(WORLDS)}, got {self.world!r}")
        if self.arrangement not in ARRANGEMENTS:
            raise ValueError(f"arrangement: expected one of {', '.join(ARRANGEMENTS)}, got {self.arrangement!r}")
        if self.object_split not in OBJECT_SPLITS:
            raise ValueError(f"object_split: expected one of {', '.join(OBJECT_SPLITS)}, got {self.object_split!r}")
        for name in ("object_share", "printed_share", "odd_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
        if self.kind_set not in KIND_SETS:
            raise ValueError(f"kind_set: expected one of {', '.join(KIND_SETS)}, got {self.kind_set!r}")
        if self.num_views < 1 or min(self.width, self.height) < 16:
            got = f"{self.num_views} of {self.width}x{self.height}"
            raise ValueError(f"num_views, width, height: expected at least 1 view of 16x16 pixels, got {got}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that the scenes may show. Those of held-out data begin with those of training, in the same order."""
        if not self.objects:
            return KIND_SETS[self.kind_set]
        known = (*KINDS, *modelled_kinds(TRAIN))
        shown = known if self.is_for_training else (*known, *modelled_kinds(*SPLITS), *HELD_OUT_KINDS)
        return tuple(dict.fromkeys(shown))

    @property
    def is_for_training(self) -> bool:
        """Whether nothing is shown that is for measuring only; seeds are another matter."""
        return self.kind_set == "known" and (not self.objects or self.object_split == "train")

    def stream(self) -> SceneStream:
        """Renders scenes of these settings."""
        photographs = read_photographs(Path(self.photographs)) if self.photographs else None
        world = World(WORLDS[self.world], photographs)
        contents = Contents(
            self._library() if self.objects else None, self.object_share, self.printed_share, self.odd_share, self.arrangement
        )
        sizes = {"num_views": self.num_views, "width": self.width, "height": self.height}
        return SceneStream(KIND_SETS[self.kind_set], world=world, contents=contents, **sizes)

    def facts(self) -> dict:
        """Contents of a data set's `vocabulary.json`."""
        settings = asdict(self)
        if self.world == CELL:  # data of the plain cell says what it said before there were others; so do the other fields
            del settings["world"]
        if self.arrangement == "plain":
            del settings["arrangement"]
        for name in ("printed_share", "odd_share"):
            if not settings[name]:
                del settings[name]
        # What the pictures and the modelled objects are, not where they lie.
        del settings["photographs"]
        if self.photographs:
            settings["photographs"] = read_photographs(Path(self.photographs)).digest
        modelled = {name: settings.pop(name) for name in ("objects", "object_split", "object_share")}
        if not self.objects:  # likewise
            return {"format": FORMAT, "settings": settings, "colors": list(COLORS), **vocabulary(self.kinds)}
        modelled["objects"] = self._library().digest
        return {"format": FORMAT, "settings": settings | modelled, "colors": list(COLORS), **modelled_vocabulary(self.kinds)}

    def _library(self) -> ObjectLibrary:
        return ObjectLibrary(Path(self.objects), self.object_split)


def shard_ranges(first: int, count: int, shard_size: int) -> list[ShardRange]:
    """Cut `count` seeds from `first` on into shards. Raises `ValueError` for seeds on both sides of the held-out border."""
    if first < 0 or count < 1 or shard_size < 1:
        raise ValueError(f"seed, count, shard size: expected at least 0, 1 and 1, got {first}, {count}, {shard_size}")
    if first < FIRST_HELD_OUT_SEED < first + count:
        raise ValueError(
            f"seed, count: expected seeds below {FIRST_HELD_OUT_SEED} (training) or from there on (held out), "
            f"got {first} to {first + count - 1}"
        )
    end = first + count
    return [ShardRange(start, min(start + shard_size, end) - 1) for start in range(first, end, shard_size)]


def record_scene(seed: int, scene: RenderedScene, kinds: tuple[str, ...]) -> SceneRecord:
    """A rendered scene as it is stored; `kinds` are those that the indices refer to."""
    if len(scene.objects) > MAX_OBJECTS:
        raise ValueError(f"objects: expected at most {MAX_OBJECTS} in a scene, got {len(scene.objects)}")
    columns = empty_columns(len(scene.images))
    words = tuple(COLORS)
    for k, placed in enumerate(scene.objects, start=1):
        columns["kinds"][k] = NAMELESS_KIND if placed.spec.kind == NAMELESS else kinds.index(placed.spec.kind)
        columns["colors"][k] = words.index(placed.color_name)
        columns["rgb"][k] = np.round(255 * np.array(placed.rgb))
        columns["visible_pixels"][k] = (scene.ids == k).sum((1, 2))
        columns["world_from_box"][k], columns["box_size"][k] = placed.box()
    return SceneRecord(
        seed,
        scene.images,
        # uint16 in 0.1 mm ends at 6.55 m; what is farther is no target for a robot and counts as not measured.
        np.where(scene.depth < 6.5, np.round(scene.depth * 1e4), 0).astype(np.uint16),
        scene.ids,
        **columns,
        intrinsics=np.stack([camera.intrinsics for camera in scene.cameras]).astype(np.float32),
        cam_from_world=np.stack([camera.cam_from_world for camera in scene.cameras]).astype(np.float32),
        support_height=np.array(scene.support_height_m, np.float32),
    )


def write_array_shard(folder: Path, records: Iterable[SceneRecord], facts: dict) -> None:
    """Write the arrays into an existing folder. Nothing is written before all records are there, so that a full disk is met
    by an `OSError` and not by a crash inside a memory-mapped file."""
    records = list(records)
    columns = {field.name: [getattr(record, field.name) for record in records] for field in fields(SceneRecord)}
    columns["seeds"] = columns.pop("seed")
    for name, values in columns.items():
        array = np.stack(values) if name != "seeds" else np.array(values, np.int64)
        with (folder / f"{name}.npy").open("wb") as stream:
            # Not `np.save`: on a full disk it may leave a short file without raising.
            np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
            stream.write(np.ascontiguousarray(array).data)
            _to_disk(stream)
    with (folder / VOCABULARY_FILE).open("w", encoding="utf-8") as stream:
        json.dump({**facts, "seed": records[0].seed, "scenes": len(records)}, stream, indent=1)
        _to_disk(stream)


def write_tar_shard(path: Path, records: Iterable[SceneRecord], image_format: str = "png") -> None:
    """Write a tar file, scene by scene; equal scenes give equal bytes."""
    if image_format not in IMAGE_FORMATS:
        raise ValueError(f"image_format: expected one of {', '.join(IMAGE_FORMATS)}, got {image_format!r}")
    with path.open("wb") as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for record in records:
                for name, content in encode_record(record, image_format).items():
                    member = tarfile.TarInfo(f"{scene_key(record.seed)}.{name}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        _to_disk(stream)


def _to_disk(stream) -> None:
    stream.flush()
    os.fsync(stream.fileno())
