"""Decisions brought into scene folders: prepared beside what is there, then put in its place scene by scene."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from pan3d_core.labelling.review.actions import MERGE, OBJECT, SUPPORT, Action, ReviewedObject
from pan3d_core.labelling.review.pixels import ScenePixels, box_of, ids_after, world_points
from pan3d_core.labels import LabelSpace
from pan3d_core.runtime.files import file_sha256
from pan3d_core.views.camera_files import read_camera_file, write_camera_file
from pan3d_core.views.image_files import write_16_bit
from pan3d_core.views.scene_folder import SCENE_FILE, VOID_NAME, Scene, SceneObject, SceneTruth, truth_json

NEXT_FILE = ".next.json"  # what becomes the scene file
_REVISED = re.compile(r"_r\d+$")


def truth_after(scene: Scene, items: Iterable[ReviewedObject], actions: Iterable[Action]) -> SceneTruth:
    """Give the truth of a scene after what was decided.

    Args:
        scene: As it was labelled.
        items: Its objects as they are decided.
        actions: Of this scene, in their order.

    Returns:
        What is table has no id, what was rejected or is still doubtful is void; who changed its pixels has a new box. Classes
        are the names; those that no object has any more are left out.
    """
    truth, actions = scene.known_truth(), tuple(actions)
    ids = list(ids_after(truth.instance_ids, actions))
    known = {item.instance_id: item for item in truth.objects}
    changed = _changed(truth.instance_ids, ids)
    pixels = ScenePixels(tuple(ids), world_points(scene)) if changed else None
    seen = {item.object_id: item for item in items}
    objects: list[tuple[SceneObject, str]] = []
    for number in sorted({*known, *seen} - {action.object_id for action in actions if action.kind == MERGE} | set(seen)):
        item = seen.get(number)
        before = known.get(number, SceneObject(number, ""))
        box = box_of(pixels, number) if pixels is not None and number in changed and item is not None else before.box
        if item is None:  # nobody was asked about it
            objects.append((before, truth.labels.name(before.class_id)))
        elif item.decision == SUPPORT:
            ids = [values.masked_fill(values == number, 0) for values in ids]
        elif item.decision == OBJECT or (not item.decision and not item.doubtful):
            same = item.name == before.name and before.class_id >= 0
            kind = truth.labels.name(before.class_id) if same else item.name
            objects.append((SceneObject(number, item.name, 0, box), kind))
        else:
            objects.append((SceneObject(number, VOID_NAME, -1, box), ""))
    labels = _labels(truth.labels, [kind for _, kind in objects if kind])
    made = tuple(replace(item, class_id=labels.names.index(kind) if kind else -1) for item, kind in objects)
    return replace(truth, instance_ids=tuple(ids), objects=made, labels=labels)


def _changed(before: Iterable[Tensor], after: Iterable[Tensor]) -> set[int]:
    """Objects that gained or lost pixels."""
    pairs = [(old[old != new], new[old != new]) for old, new in zip(before, after, strict=True)]
    return {number for pair in pairs for values in pair for number in values.unique().tolist()}


def _labels(before: LabelSpace, used: Iterable[str]) -> LabelSpace:
    """Classes that are used and all stuff, in their order, and new ones behind them."""
    used = dict.fromkeys(used)
    old = [(name, thing) for name, thing in zip(before.names, before.is_thing, strict=True) if name in used or not thing]
    new = [(name, True) for name in used if name not in before.names]
    both = (*old, *new)
    return LabelSpace(tuple(name for name, _ in both), tuple(thing for _, thing in both))


@dataclass(frozen=True)
class Prepared:
    """A scene file that is written and not yet in its place."""

    folder: Path
    sha256: str


def prepare_scene(folder: Path, truth: SceneTruth, revision: int) -> Prepared:
    """Write pictures of ids and a scene file beside those that are there, which go on being the scene.

    Args:
        folder: Of the scene.
        truth: What it shall hold.
        revision: Tells the new pictures' names from the old ones'.

    Returns:
        What `put_in_place` needs.

    Raises:
        OSError: The disk is full; the scene is as it was.
    """
    cameras = read_camera_file(folder / SCENE_FILE)
    views = []
    for entry, ids in zip(cameras.views, truth.instance_ids, strict=True):
        if entry.instances is None:
            raise ValueError(f"{folder / SCENE_FILE}: instances: expected in every view, got none for {entry.camera!r}")
        old = Path(entry.instances)
        new = old.with_name(f"{_REVISED.sub('', old.stem)}_r{revision}{old.suffix}")
        write_16_bit(folder / new, ids)
        views.append(replace(entry, instances=new.as_posix()))
    write_camera_file(folder / NEXT_FILE, replace(cameras, views=tuple(views), more=truth_json(truth)))
    return Prepared(folder, file_sha256(folder / NEXT_FILE))


def put_in_place(dataset: Path, prepared: Mapping[str, str]) -> None:
    """Let prepared scenes become the scenes; what was interrupted goes on where it stopped.

    Args:
        dataset: Folder of scene folders.
        prepared: Folder -> SHA-256 of its new scene file.

    Raises:
        ValueError: A scene's file is neither there nor prepared; names it.
    """
    for name, sha256 in prepared.items():
        scene, waiting = dataset / name / SCENE_FILE, dataset / name / NEXT_FILE
        if waiting.is_file() and file_sha256(waiting) == sha256:
            os.replace(waiting, scene)
        elif not scene.is_file() or file_sha256(scene) != sha256:
            raise ValueError(f"{scene}: expected the file that the review made, got another one")
        _drop_old_pictures(dataset / name)


def _drop_old_pictures(folder: Path) -> None:
    """Delete pictures of ids that earlier reviews or interrupted ones left."""
    used = {Path(entry.instances) for entry in read_camera_file(folder / SCENE_FILE).views if entry.instances is not None}
    kept = {folder / path for path in used}
    stems = {_REVISED.sub("", path.stem) for path in used}
    for place in {path.parent for path in kept}:
        for path in place.iterdir():
            if path not in kept and _REVISED.sub("", path.stem) in stems:
                path.unlink()
