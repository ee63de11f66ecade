"""Scene folders as COCO's panoptic format, and such labels brought back onto the views that they are of.

    OUT/
      annotations/panoptic.json   images, annotations, categories
      annotations/panoptic/NAME.png   id = R + 256 G + 65536 B: the object's, the same in all views of a scene
      images/NAME.png             NAME is SCENE__VIEW, by the names of folder and picture

What is no object is a segment of the stuff "background"; void is 0, as everywhere in this format. It has no cameras, no depth and
no boxes: these stay with the scene folders.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.labelling.review.pixels import ScenePixels, box_of, world_points
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.coco import PanopticFile, write_panoptic
from pan3d_core.refine.labels.ids import Segment
from pan3d_core.runtime.files import named_file
from pan3d_core.structures import unit_range
from pan3d_core.views.camera_files import read_camera_file
from pan3d_core.views.image_files import write_image
from pan3d_core.views.scene_folder import SCENE_FILE, VOID_NAME, Scene, SceneObject, SceneTruth, labels_of, read_scene

BACKGROUND = "background"
ANNOTATIONS = Path("annotations", "panoptic.json")
_MOST = 65535  # that a picture of ids holds


def write_coco(folders: Sequence[Path], out: Path) -> Path:
    """Write the scenes of some folders as one data set.

    Args:
        folders: Scene folders with truth, of different names.
        out: Folder of the data set.

    Returns:
        The JSON file.

    Raises:
        FileNotFoundError: There is no scene in a folder.
        ValueError: A scene has no truth, an object no class, an id no object, or a class is called "background"; names scene
            and field.
    """
    labels = _joined_labels(folders)
    return write_panoptic(out / ANNOTATIONS, _images(folders, out), labels)


def image_names(folder: Path) -> list[str]:
    """Names of a scene's pictures in the data set, without ending, in the order of its views."""
    views = read_camera_file(folder / SCENE_FILE).views
    return [f"{folder.name}__{Path(entry.image or '').stem}" for entry in views]


def _joined_labels(folders: Sequence[Path]) -> LabelSpace:
    kinds: dict[str, bool] = {}
    for folder in folders:
        path = folder / SCENE_FILE
        more = read_camera_file(path).more
        with named_file(path, "labels and objects"):
            own = labels_of(more)
        for name, thing in zip(own.names, own.is_thing, strict=True):
            if name == BACKGROUND:
                raise ValueError(
                    f"{path}: labels: expected classes but {BACKGROUND!r}, which stands for what is no object, got it"
                )
            if kinds.setdefault(name, thing) != thing:
                raise ValueError(f"{path}: labels: is_thing: expected {kinds[name]} of {name!r} as in scenes before, got {thing}")
    names = (*kinds, BACKGROUND)
    return LabelSpace(names, (*kinds.values(), False))


def _images(folders: Sequence[Path], out: Path) -> Iterator[tuple[str, Tensor, Mapping[int, Segment]]]:
    (out / "images").mkdir(parents=True, exist_ok=True)
    for folder in folders:
        scene = read_scene(folder)
        truth = scene.known_truth()
        kinds = {item.instance_id: Segment(truth.labels.name(item.class_id) or None) for item in truth.objects}
        free = 1 + max((int(ids.max()) for ids in truth.instance_ids), default=0)
        void = torch.tensor(truth.void_ids)
        for name, view, ids in zip(image_names(folder), scene.views, truth.instance_ids, strict=True):
            write_image(out / "images" / f"{name}.png", unit_range(view.image))
            written = torch.where(ids == 0, free, torch.where(torch.isin(ids, void), 0, ids))
            present = [value for value in written.unique().tolist() if value]
            if lost := [value for value in present if value != free and value not in kinds]:
                raise ValueError(f"scene {folder}: objects: expected an entry for every id, got none for {lost[0]}")
            yield name, written, {value: kinds.get(value, Segment(BACKGROUND)) for value in present}


def read_coco_onto(annotations: Path, folder: Path) -> Scene:
    """Give the views of a scene folder the labels of a COCO panoptic file.

    Args:
        annotations: The JSON file; its images are named as `write_coco` names them, or by the pictures of the scene alone.
        folder: Scene folder, with or without truth. What COCO does not have stays: cameras, depth, boxes and names of objects
            that are as they were, void of its own.

    Returns:
        The scene with the labels; one id is one object in all its views.

    Raises:
        FileNotFoundError: A view has no annotation.
        ValueError: A file is damaged, a picture of another size, or one id is of two categories; names file and field.
    """
    scene, file = read_scene(folder), PanopticFile.open(annotations)
    kinds: dict[int, tuple[str, bool]] = {}
    found = []
    for name, view in zip(_annotated(file, image_names(folder)), scene.views, strict=True):
        ids = file.ids(name)
        if tuple(ids.shape) != view.hw:
            got = f"{ids.shape[1]}x{ids.shape[0]}"
            raise ValueError(f"{file.picture(name)}: expected {view.hw[1]}x{view.hw[0]} pixels as the view's image, got {got}")
        found.append(_taken(file, name, ids, kinds))
    short = {key: key if max(kinds, default=0) <= _MOST else number for number, key in enumerate(sorted(kinds), start=1)}
    made = tuple(_renumbered(ids, short) for ids in found)
    return replace(scene, truth=_truth(scene, made, {short[key]: kind for key, kind in kinds.items()}))


def _annotated(file: PanopticFile, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        plain = name.partition("__")[2]
        known = next((item for item in (name, plain) if item in file.entries), None)
        if known is None:
            raise FileNotFoundError(f"{file.path}: annotations: expected one for image {name} or {plain}, got none")
        yield known


def _taken(file: PanopticFile, name: str, ids: Tensor, kinds: dict[int, tuple[str, bool]]) -> Tensor:
    """Ids of one view, 0 = none, -1 = void; what they mean is added to `kinds`."""
    segments, things = file.segments(name), dict(file.categories.values())
    made = torch.full_like(ids, -1)
    for key in ids.unique().tolist():
        if not key:
            continue
        segment = segments.get(key)
        if segment is None:
            raise ValueError(f"{file.path}: {name}: segments_info: expected an entry for every id, got none for {key}")
        if segment.name == BACKGROUND:
            made[ids == key] = 0
        elif not segment.crowd and segment.name is not None:
            kind = segment.name, things[segment.name]
            if kinds.setdefault(key, kind) != kind:
                raise ValueError(
                    f"{file.path}: {name}: category_id: expected {kinds[key][0]!r} for segment {key} as in other views of the "
                    f"scene, got {segment.name!r}"
                )
            made[ids == key] = key
    return made


def _renumbered(ids: Tensor, short: Mapping[int, int]) -> Tensor:
    made = ids.clone()
    for key, number in short.items():
        made[ids == key] = number
    return made


def _truth(scene: Scene, found: Sequence[Tensor], kinds: Mapping[int, tuple[str, bool]]) -> SceneTruth:
    nothing = SceneTruth(tuple(torch.zeros_like(ids) for ids in found), tuple(view.depth for view in scene.views))
    before = scene.truth or nothing
    ids, void = _with_void(before, found, kinds)
    labels = before.labels
    for name, thing in kinds.values():
        if name not in labels.names:
            labels = LabelSpace((*labels.names, name), (*labels.is_thing, thing))
    known = {item.instance_id: item for item in before.objects if not item.is_void}
    base = replace(scene, truth=replace(before, instance_ids=ids))
    pixels = ScenePixels(ids, world_points(base))
    objects = []
    for number, (name, _) in sorted(kinds.items()):
        old = known.get(number)
        same = old is not None and all(
            torch.equal(a == number, b == number) for a, b in zip(ids, before.instance_ids, strict=True)
        )
        box = old.box if same and old is not None else box_of(pixels, number)
        kept = old is not None and before.labels.name(old.class_id) == name
        called = old.name if kept and old is not None else name
        objects.append(SceneObject(number, called, labels.names.index(name), box))
    # What no view shows has no segment, and is as it was.
    seen = {value for item in before.instance_ids for value in item.unique().tolist()}
    objects += [item for number, item in known.items() if number not in seen and number not in kinds]
    return replace(before, instance_ids=ids, objects=(*sorted(objects, key=lambda item: item.instance_id), *void), labels=labels)


def _with_void(
    before: SceneTruth, found: Sequence[Tensor], taken: Collection[int]
) -> tuple[tuple[Tensor, ...], list[SceneObject]]:
    """Void pixels keep the void that they were of; the others are of the void without a box, or of a new one."""
    old = [item for item in before.objects if item.is_void and item.instance_id not in taken]
    whole = next((item for item in old if item.box is None), None)
    highest = max((*taken, *(item.instance_id for item in before.objects)), default=0)
    rest = whole or SceneObject(1 + highest, VOID_NAME)
    kept = torch.tensor([item.instance_id for item in old], dtype=torch.int64)
    ids = tuple(
        torch.where(now >= 0, now, torch.where(torch.isin(then, kept), then, rest.instance_id))
        for now, then in zip(found, before.instance_ids, strict=True)
    )
    present = {value for item in ids for value in item.unique().tolist()}
    every = old if whole is not None else [*old, rest]
    return ids, [item for item in every if item.instance_id in present]
