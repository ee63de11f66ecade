"""Scenes as data sets publish them, scene folders and recordings -> arrays that every family trains on.

    python -m training.data.convert scannet/scans -o data/train --size 518x392 --views 8 --interval 20 --samples 4

Each scene becomes a shard of its own, so the same command goes on after an interruption, and machines may share the work
(`--workers`, `--ray`). Scenes that cannot be used are left out, counted and named with the field that is missing.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pan3d_core.runtime.files import read_json_object, written_whole
from pan3d_core.settings import did_you_mean
from pan3d_eval.datasets.scenes import SceneReference, list_scenes
from pan3d_eval.datasets.table import names_of_objects
from pan3d_eval.execution import Failure, Processes, run_items
from pan3d_sim.data.scene_records import NAMELESS_KIND, VOCABULARY_FILE, SceneRecord, empty_columns
from pan3d_sim.data.shards import write_array_shard
from training.data.scenes.recordings import SamplePlan, labelled_kinds, names_of, plain


@dataclass(frozen=True)
class ConvertedScene:
    """What became of one scene."""

    name: str
    samples: int
    objects: Counter[str] = field(default_factory=Counter)  # kind -> objects in its samples
    labels: frozenset[str] = frozenset()  # names that the data set has for classes
    annotated: bool = True  # otherwise all of it is void


def vocabulary(plan: SamplePlan) -> dict[str, Any]:
    """Words and settings of a shard."""
    settings = {name: value for name, value in asdict(plan).items() if name != "kinds"}
    kinds = list(plan.kinds)
    return {
        "kinds": kinds, "descriptions": {kind: [kind] for kind in kinds}, "synonyms_per_kind": 1, "colors": [],
        "settings": {**settings, "num_views": plan.views},
    }  # fmt: skip


@dataclass(frozen=True)
class SceneToConvert:
    """Where a scene lies, and the name of its shard, which no other scene has."""

    reference: SceneReference
    name: str

    @classmethod
    def each(cls, references: Sequence[SceneReference]) -> list[SceneToConvert]:
        """The scenes by their own names; where two have the same, by as many folders above them as tell all apart. A scene
        that is named twice is one."""
        references = list({(item.path.resolve(), item.index): item for item in references}.values())
        for depth in range(1, 1 + max(len(item.path.resolve().parts) for item in references)):
            folders = ["_".join(item.path.resolve().parts[-depth:]) for item in references]
            rows = ["" if item.index is None else f"_{item.index}" for item in references]
            names = [folder + row for folder, row in zip(folders, rows, strict=True)]
            if len(set(names)) == len(names):
                break
        return [cls(reference, name) for reference, name in zip(references, names, strict=True)]


def convert_scene(item: SceneToConvert, plan: SamplePlan, out: Path) -> ConvertedScene:
    """Write the shard of one scene, unless it is there.

    Args:
        item: Which scene.
        plan: What a sample is.
        out: Folder of the shards.

    Returns:
        What is in it.

    Raises:
        FileNotFoundError: A file of the scene is missing.
        ValueError: The scene lacks something, or there is a shard of its name with other settings; names scene and field.
    """
    reference, place, words = item.reference, out / item.name, vocabulary(plan)
    if place.exists():
        held = read_json_object(place / VOCABULARY_FILE, "the words of a shard")
        differing = [name for name, value in words.items() if held.get(name) != value]
        if differing:
            raise ValueError(f"out: expected shards with {differing[0]} {words[differing[0]]}, got {place} with others")
        known = frozenset(held["labels"])
        return ConvertedScene(item.name, held["scenes"], Counter(held["objects"]), known, held["annotated"])
    objects, annotated = Counter[str](), False
    labels, records = set(map(plain, names_of_objects(reference.path))), []
    for number in range(plan.samples_of(reference)):
        record, scene = plan.read(reference, number)
        records.append(record)
        objects.update(plan.kinds[kind] for kind in record.kinds.tolist() if kind < NAMELESS_KIND)
        if scene.truth is not None:
            annotated = True
            labels |= {plain(name) for name in scene.truth.labels.names}
            labels |= {name for item in scene.truth.objects for name in names_of(item, scene)}
    facts = {**words, "objects": objects, "labels": sorted(labels), "annotated": annotated}
    with written_whole(place) as part:
        part.mkdir()
        write_array_shard(part, same_columns(records), facts)
    return ConvertedScene(item.name, len(records), objects, frozenset(labels), annotated)


def same_columns(records: Sequence[SceneRecord]) -> list[SceneRecord]:
    """The records with room for as many objects as the one with most of them has."""
    room = max(len(record.kinds) for record in records) - 1
    return [_with_room(record, room) for record in records]


def _with_room(record: SceneRecord, room: int) -> SceneRecord:
    columns: dict[str, Any] = empty_columns(record.num_views, room)
    for name, column in columns.items():
        own = getattr(record, name)
        column[: len(own)] = own
    return replace(record, **columns)


def require_known_kinds(scenes: Sequence[ConvertedScene], kinds: Sequence[str]) -> None:
    """Raise `ValueError` for a kind that no object of any scene and no label of the data sets is called."""
    known = frozenset[str]().union(*(scene.labels for scene in scenes))
    if known and (unknown := [kind for kind in kinds if plain(kind) not in known]):
        raise ValueError(
            f"classes: expected names of objects or labels of these scenes, got {', '.join(map(repr, unknown))}"
            f"{did_you_mean(plain(unknown[0]), known)}"
        )


def convert(
    references: Sequence[SceneReference], plan: SamplePlan, out: Path, processes: Processes | None = None
) -> tuple[list[ConvertedScene], list[Failure]]:
    """Write a shard of every scene that can be used.

    Args:
        references: Where the scenes lie.
        plan: What a sample is.
        out: Folder of the shards; those that are there stay.
        processes: Where the work is done; in this process where it is not given.

    Returns:
        What was made of scenes, and which were left out, why.

    Raises:
        ValueError: No scene could be used, or a kind is no name that any of them has.
    """
    worker = partial(partial, convert_scene, plan=plan, out=out)
    outcomes = run_items(worker, SceneToConvert.each(references), processes=processes)
    failures = [item for item in outcomes if isinstance(item, Failure)]
    made = [item for item in outcomes if not isinstance(item, Failure)]
    if not made:
        raise ValueError(
            f"scenes: expected some that can be used, got none of {len(references)}; the first: {failures[0].message}"
        )
    require_known_kinds(made, plan.kinds)
    return made, failures


def report(made: Sequence[ConvertedScene], failures: Sequence[Failure], kinds: Sequence[str]) -> list[str]:
    """Sentences for people: how much there is of what, and what was left out."""
    counts = sum((scene.objects for scene in made), Counter[str]())
    told = [f"{sum(scene.samples for scene in made)} samples of {len(made)} scenes; objects in them:"]
    told.append("  " + ", ".join(f"{kind} {counts[kind]}" for kind in kinds))
    if absent := [kind for kind in kinds if not counts[kind]]:
        told.append(f"  never seen, so nothing will be learnt of it: {', '.join(absent)}")
    if unknown := [scene.name for scene in made if not scene.annotated]:
        told.append(f"not annotated, so only depth and cameras can be learnt of them: {', '.join(unknown)}")
    return told + [f"left out ({place} of {len(failures)}): {item.message}" for place, item in enumerate(failures, start=1)]


def plan_of(options: argparse.Namespace, references: Sequence[SceneReference]) -> SamplePlan:
    """The plan that a command line asks for."""
    width, cross, height = options.size.partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        raise ValueError(f"--size: expected WIDTHxHEIGHT in pixels, got {options.size!r}")
    kinds = tuple(name.strip() for name in options.classes.split(",") if name.strip())
    if options.classes and not kinds:
        raise ValueError(f"--classes: expected names, separated by commas, got {options.classes!r}")
    kinds = kinds or labelled_kinds(references)
    return SamplePlan(kinds, options.views, options.interval, options.samples, int(width), int(height))


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="+", type=Path, help="scenes of data sets, scene folders, shards, or folders of them")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the shards, such as data/train or data/val")
    parser.add_argument("--classes", default="", help="names, separated by commas (default: the labels of the first scene)")
    parser.add_argument("--size", default="518x392", metavar="WxH", help="of the pictures in pixels (default: 518x392)")
    parser.add_argument("--views", type=int, default=8, help="of a sample (default: 8)")
    parser.add_argument("--interval", type=int, default=20, help="images of a recording from view to view (default: 20)")
    parser.add_argument("--samples", type=int, default=4, help="of a recording (default: 4)")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes of one thread each (default: this one)")
    parser.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster: auto, local or host:port (extra: ray)")
    options = parser.parse_args()
    try:
        references = list_scenes(options.scenes)
        plan = plan_of(options, references)
        made, failures = convert(references, plan, options.out, Processes(options.workers, options.ray))
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    print("\n".join(report(made, failures, plan.kinds)))


if __name__ == "__main__":
    main()
