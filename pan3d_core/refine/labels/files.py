"""2D labels as files, by the names of the views' images: images of ids with a list of classes, or COCO's panoptic format.

    labels/
      labels.json      classes, and of every image what its ids mean; see below
      NAME.png         one channel of 8 or 16 bits (or a palette), id per pixel, 0 = void

    {"format": "pan3d-labels", "version": 1,
     "classes": [{"name": "mug", "is_thing": true}, {"name": "table", "is_thing": false}],
     "images": {"NAME": {"1": "mug", "2": "mug", "3": "table", "4": null, "5": {"name": "mug", "crowd": true}}}}

Every id of a thing is one object, `null` one of unknown class; a crowd is pixels of a class that are no single object. With
`segments` beside or instead of `images` the ids of all other images mean the same. `coco` has the other format.

NAME is the name of the view's image without ending, see `image_names`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.coco import read_coco_panoptic
from pan3d_core.refine.labels.ids import Segment, image_names, label_space, labels_of_ids, named_ids, read_pixels, required
from pan3d_core.refine.labels.sources import SceneLabels
from pan3d_core.runtime.files import read_json_object, written_whole
from pan3d_core.settings import refuse_unknown
from pan3d_core.structures import CameraView
from pan3d_core.views.image_files import write_16_bit

FORMAT, VERSION = "pan3d-labels", 1
LABELS_FILE = "labels.json"
_ELSEWHERE = {"categories": "classes", "labels": "classes", "annotations": "images"}
ID_MODES = ("L", "P", "I", "I;16", "I;16L", "I;16B")  # Pillow's names of images of one whole number per pixel


def labels_from_files(path: Path | str, views: Sequence[CameraView], names: Sequence[str] | None = None) -> SceneLabels:
    """Read labels of all views: `path` is a folder with `labels.json`, or the JSON file of COCO's panoptic format.

    `names` of the views' images, without ending, where they do not follow from the views (see `image_names`).

    Errors as `read_label_folder` and `read_coco_panoptic`; `FileNotFoundError` where nothing is at `path`.

    Args:
        path: Folder or JSON file.
        views: Images whose labels are wanted, in this order.
        names: One for each view; None = as they follow from the views.

    Returns:
        Labels of every view; pixels that no file speaks of are void.
    """
    path = Path(path)
    if path.is_dir():
        return read_label_folder(path, views, names)
    if not path.is_file():
        raise FileNotFoundError(
            f"labels: expected a folder with {LABELS_FILE} or a COCO panoptic file, got {path}, which does not exist"
        )
    return read_coco_panoptic(path, views, names=names)


def read_label_folder(folder: Path | str, views: Sequence[CameraView], names: Sequence[str] | None = None) -> SceneLabels:
    """Read labels of all views from images of ids, in the classes that the folder lists.

    Args:
        folder: With `labels.json` and `NAME.png` for every view.
        views: Images whose labels are wanted, in this order.
        names: As for `labels_from_files`.

    Returns:
        Labels of every view; pixels with id 0 are void.

    Raises:
        FileNotFoundError: There is no `labels.json`, or no image for a view.
        ValueError: A file is of another kind, an image of another size than its view, an id has no entry, or a class is not
            listed; names file and field.
    """
    folder = Path(folder)
    where = folder / LABELS_FILE
    content = read_json_object(where, "labels")
    refuse_unknown(content, ("format", "version", "classes", "images", "segments"), f"{where}: ", _ELSEWHERE)
    if content.get("format", FORMAT) != FORMAT or content.get("version", VERSION) != VERSION:
        got = f"{content.get('format')!r} {content.get('version')!r}"
        raise ValueError(f"{where}: format, version: expected {FORMAT!r} {VERSION}, got {got}")
    classes = required(content, "classes", list, where)
    place = f"{where}: classes"
    for item in classes:
        refuse_unknown(item if isinstance(item, dict) else (), ("name", "is_thing"), f"{place}: ", {"isthing": "is_thing"})
    kinds = [(required(item, "name", str, place), required(item, "is_thing", bool, place)) for item in classes]
    labels = label_space(kinds, where)
    of_image = required({"images": {}, **content}, "images", dict, where)
    made = []
    images = image_names(views, names, lambda name: (folder / f"{name}.png").is_file(), f"{folder}/NAME.png")
    for view, name in zip(views, images, strict=True):
        entries = of_image.get(name, content.get("segments"))
        if not isinstance(entries, dict):
            raise ValueError(f"{where}: images: expected an entry {name!r} or segments for all images, got neither")
        segments = dict(_segment(key, value, f"{where}: images: {name}") for key, value in entries.items())
        made.append(labels_of_ids(view, _read_ids(folder / f"{name}.png"), segments, labels, f"{folder}/{name}.png"))
    return SceneLabels(labels, tuple(made))


def write_label_folder(folder: Path | str, scene: SceneLabels, names: Sequence[str]) -> Path:
    """Write images of ids and `labels.json`.

    Reading gives the same labels but for the classes of pixels under masks of unknown class, which become void.

    Args:
        folder: Is made where needed.
        scene: Labels of V views.
        names: V different ones, of the views' images without ending.

    Returns:
        The JSON file.

    Raises:
        ValueError: There is not one name for each view, or two are the same.
    """
    return write_label_images(folder, named_ids(scene, names), scene.labels)


def write_label_images(
    folder: Path | str, images: Iterable[tuple[str, Tensor, Mapping[int, Segment]]], labels: LabelSpace
) -> Path:
    """Write images of ids one after the other, and at the end `labels.json`.

    Args:
        folder: Is made where needed.
        images: Name without ending, (H, W) int64 ids, 0 = void, and what they mean.
        labels: Classes, things first.

    Returns:
        The JSON file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entries = {}
    for name, ids, segments in images:
        write_16_bit(folder / f"{name}.png", ids)
        crowds = {key: {"name": item.name, "crowd": True} for key, item in segments.items() if item.crowd}
        entries[name] = {str(key): crowds.get(key, item.name) for key, item in segments.items()}
    classes = [{"name": name, "is_thing": thing} for name, thing in zip(labels.names, labels.is_thing, strict=True)]
    content = {"format": FORMAT, "version": VERSION, "classes": classes, "images": entries}
    with written_whole(folder / LABELS_FILE) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return folder / LABELS_FILE


def _segment(key: str, value: Any, where: str) -> tuple[int, Segment]:
    if not key.isdecimal() or int(key) == 0:
        raise ValueError(f"{where}: expected ids above 0 as keys, got {key!r}")
    if value is None or isinstance(value, str):
        return int(key), Segment(value)
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        refuse_unknown(value, ("name", "crowd"), f"{where}: {key}: ", {"iscrowd": "crowd", "is_crowd": "crowd"})
        return int(key), Segment(value["name"], bool(value.get("crowd", False)))
    raise ValueError(f"{where}: {key}: expected the name of a class, null, or name and crowd, got {value!r}")


def _read_ids(path: Path) -> Tensor:
    """(H, W) int64 of an image of one channel."""
    pixels, mode = read_pixels(path)
    if mode not in ID_MODES:
        raise ValueError(f"labels: expected one channel of whole numbers in {path}, got an image of mode {mode}")
    return torch.from_numpy(pixels.astype(np.int64))
