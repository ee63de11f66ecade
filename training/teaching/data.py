"""Labelled scenes and generated ones as one set of training data, and views of the former that are held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pan3d_core.runtime.files import file_sha256, read_json_object, written_whole
from pan3d_core.views.scene_folder import SCENE_FILE, Scene, read_scene
from pan3d_sim.data.scene_records import FIRST_HELD_OUT_SEED, SceneRecord
from pan3d_sim.data.shards import SceneSettings, record_scene, write_array_shard
from training.data.convert import same_columns
from training.data.scenes.recordings import SamplePlan, plain
from training.judge.objects import HELD_OUT_VIEWS

MIN_VIEWS = 2 * HELD_OUT_VIEWS  # of a scene: as many to learn from as to be judged by
MIN_SMALL = 4  # scenes of fewer views, of which whole ones are held out
PLAN_FILE = "teaching.json"
OWN, GENERATED = "own", "generated"


@dataclass(frozen=True)
class DataPlan:
    """How much of what there is in the data."""

    height: int = 112
    width: int = 144
    generated: int = 200  # scenes of the simulated cell to learn from
    own_share: float = 0.5  # of the samples, from one's own scenes; the rest are generated
    held_out_share: float = 0.25  # of every scene's views
    kept: int = 40  # generated scenes to be judged by: is anything forgotten
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.own_share < 1:
            raise ValueError(f"own_share: expected more than 0 and less than 1, got {self.own_share:g}")
        if not 0 < self.held_out_share <= 0.5:
            raise ValueError(f"held_out_share: expected more than 0 and at most a half, got {self.held_out_share:g}")
        if self.generated < 1 or self.kept < 1:
            raise ValueError(f"generated, kept: expected at least 1, got {self.generated} and {self.kept}")

    @property
    def own(self) -> int:
        """Samples of one's own scenes, all together."""
        return max(1, round(self.generated * self.own_share / (1 - self.own_share)))


@dataclass(frozen=True)
class TeachingData:
    """Where the data lie, and what is in them."""

    folder: Path  # train/ and val/ as every family reads them; kept/ has val/ of generated scenes
    scenes: tuple[str, ...]  # names
    samples_of: tuple[int, ...]  # held-out samples of each scene that has some, in the order of val/
    names: tuple[str, ...]  # of objects in them

    @property
    def kept(self) -> Path:
        """Folder of the generated scenes to be judged by."""
        return self.folder / "kept"


def read_dataset(dataset: Path) -> list[Scene]:
    """Read the scene folders of a data set.

    Args:
        dataset: Of `pan3d teach label`, or any folder of scene folders.

    Returns:
        The scenes, by name of their folders.

    Raises:
        ValueError: There are none, or one lacks truth, the support's height, views, or a name; names scene and field. Scenes of
            fewer views than are held out of one and learnt from are taken where there are several.
    """
    folders = [path.parent for path in sorted(Path(dataset).glob(f"*/{SCENE_FILE}"))]
    if not folders:
        raise ValueError(f"DATASET: expected scene folders with {SCENE_FILE} below {dataset}, got none")
    scenes = [read_scene(folder) for folder in folders]
    small = sum(len(scene.views) < MIN_VIEWS for scene in scenes)
    for folder, scene in zip(folders, scenes, strict=True):
        truth, count = scene.known_truth(), len(scene.views)
        if count < HELD_OUT_VIEWS or (count < MIN_VIEWS and small < MIN_SMALL):
            raise ValueError(f"scene {folder}: views: expected at least {MIN_VIEWS}, half of them to be judged by, got "
                             f"{count}; or {MIN_SMALL} scenes of at least {HELD_OUT_VIEWS}")  # fmt: skip
        if scene.support_height_m is None:
            raise ValueError(f"scene {folder}: support_height_m: expected the height that objects stand on, got none")
        if nameless := [item.instance_id for item in truth.objects if not item.is_void and not plain(item.name)]:
            raise ValueError(f"scene {folder}: objects: expected a name of each, got none for {nameless[0]}")
    return scenes


def prepare(dataset: Path, folder: Path, plan: DataPlan) -> TeachingData:
    """Write the data of a run, unless they are there.

    Args:
        dataset: Folder of scene folders.
        folder: Of the data; appears whole or not at all.
        plan: How much of what.

    Returns:
        What is in them.

    Raises:
        ValueError: The data set cannot be used, or other data are there.
        OSError: The disk is full; nothing is left then.
    """
    scenes = read_dataset(dataset)
    names = tuple(dict.fromkeys(plain(item.name) for scene in scenes for item in scene.known_truth().objects if not item.is_void))
    held = _all_held_out([len(scene.views) for scene in scenes], plan)
    samples_of = tuple(len(rows) // HELD_OUT_VIEWS for rows in held if rows)
    facts = {
        "dataset": str(dataset.resolve()), "scenes": [scene.name for scene in scenes], "names": list(names),
        "labels": _state_of(dataset), **asdict(plan),
    }  # fmt: skip
    made = TeachingData(folder, tuple(scene.name for scene in scenes), samples_of, names)
    if folder.exists():
        found = read_json_object(folder / PLAN_FILE, "the data of a run")
        if differing := [name for name, value in facts.items() if found.get(name) != value]:
            raise ValueError(f"run: expected data with {differing[0]} {facts[differing[0]]}, got {folder} with others")
        return made
    settings = SceneSettings(num_views=HELD_OUT_VIEWS, width=plan.width, height=plan.height)
    words = vocabulary(settings, names)
    sampler = SamplePlan(tuple(words["kinds"]), HELD_OUT_VIEWS, width=plan.width, height=plan.height)
    with written_whole(folder) as part:
        _write(part / "train" / OWN, _drawn(scenes, held, sampler, plan), words)
        _write(part / "train" / GENERATED, _rendered(range(plan.generated), settings), words)
        _write(part / "val" / OWN, _judged(scenes, held, sampler), words)
        # Beyond the border that training never crosses.
        kept = range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + plan.kept)
        _write(part / "kept" / "val" / GENERATED, _rendered(kept, settings), words)
        (part / PLAN_FILE).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return made


def _state_of(dataset: Path) -> str:
    """What changes when labels do: a review writes every scene file anew that it changes."""
    sums = [file_sha256(path) for path in sorted(dataset.glob(f"*/{SCENE_FILE}"))]
    return hashlib.sha256(" ".join(sums).encode()).hexdigest()[:16]


def vocabulary(settings: SceneSettings, names: Sequence[str]) -> dict[str, Any]:
    """Words of generated scenes, with those that are new behind them."""
    words = settings.facts()
    new = [name for name in names if name not in words["kinds"]]
    descriptions = {**words["descriptions"], **{name: [name] for name in new}}
    return {**words, "kinds": [*words["kinds"], *new], "descriptions": descriptions}


def _all_held_out(counts: Sequence[int], plan: DataPlan) -> list[list[int]]:
    """Views of each scene to be judged by; of scenes with few views whole ones, evenly among them."""
    small = [row for row, count in enumerate(counts) if count < MIN_VIEWS]
    wanted = max(1, round(plan.held_out_share * len(small)))
    whole = {small[int((place + 0.5) * len(small) / wanted)] for place in range(wanted)} if small else set()
    return [
        _held_out(count, plan) if count >= MIN_VIEWS else list(range(count))[:HELD_OUT_VIEWS] if row in whole else []
        for row, count in enumerate(counts)
    ]


def _held_out(count: int, plan: DataPlan) -> list[int]:
    """Views to be judged by, evenly over the recording and in whole samples."""
    wanted = max(1, round(count * plan.held_out_share / HELD_OUT_VIEWS)) * HELD_OUT_VIEWS
    return sorted({int((place + 0.5) * count / wanted) for place in range(wanted)})


def _of_rows(scene: Scene, rows: Sequence[int]) -> Scene:
    return scene.of_cameras([scene.views[row].camera for row in rows])


def _drawn(scenes: Sequence[Scene], held: Sequence[Sequence[int]], sampler: SamplePlan, plan: DataPlan) -> Iterator[SceneRecord]:
    """Samples to learn from: views of one scene that are not held out, drawn anew for each."""
    rng = np.random.default_rng([plan.seed, 1])
    learnt = [(scene, out) for scene, out in zip(scenes, held, strict=True) if len(out) + HELD_OUT_VIEWS <= len(scene.views)]
    for number in range(plan.own):
        scene, out = learnt[number % len(learnt)]
        free = [row for row in range(len(scene.views)) if row not in out]
        yield sampler.record(_of_rows(scene, rng.choice(free, HELD_OUT_VIEWS, replace=False).tolist()), number)


def _judged(scenes: Sequence[Scene], held: Sequence[Sequence[int]], sampler: SamplePlan) -> Iterator[SceneRecord]:
    """Samples of the held-out views, each from all of the recording."""
    for scene, rows in zip(scenes, held, strict=True):
        count = len(rows) // HELD_OUT_VIEWS
        for first in range(count):
            yield sampler.record(_of_rows(scene, rows[first::count][:HELD_OUT_VIEWS]), first)


def _rendered(seeds: range, settings: SceneSettings) -> Iterator[SceneRecord]:
    with settings.stream() as stream:
        for seed in seeds:
            yield record_scene(seed, stream.render(seed), settings.kinds)


def _write(folder: Path, records: Iterator[SceneRecord], words: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    write_array_shard(folder, same_columns(list(records)), words)
