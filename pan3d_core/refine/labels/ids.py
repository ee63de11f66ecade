"""Images of ids, which label files are made of: what an id means, labels from ids, ids from labels, and how files are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.sources import VOID, FoundSegments, SceneLabels, maps_of_labels, things_first, view_labels
from pan3d_core.refine.losses import ViewLabels
from pan3d_core.structures import CameraView, unit_range
from pan3d_core.views.image_files import opened_picture


@dataclass(frozen=True)
class Segment:
    """What one id of one image means."""

    name: str | None  # of its class; None = an object of unknown class
    crowd: bool = False  # pixels of a class that are no single object


Segments = Mapping[int, Segment]


def image_names(
    views: Sequence[CameraView], names: Sequence[str] | None, is_there: Callable[[str], bool], wanted: str
) -> Iterator[str]:
    """Of every view the name of its image, without ending; of those that it may have, the likeliest that `is_there`.

    `names` are these names where the caller knows them, and needed for a part of a scene's views. Otherwise a view's image is
    named by its place and camera as scene folders have it (`00_front`), or by the camera alone where no two views share it
    (photographs have their file's name as camera). Raises `ValueError` unless there is one of `names` per view, and
    `FileNotFoundError` that says what was `wanted` and which names were tried.
    """
    for possible in _possible_names(views, names):
        found = next(filter(is_there, possible), None)
        if found is None:
            raise FileNotFoundError(f"labels: expected {wanted}, NAME being {' or '.join(possible)}, got none")
        yield found


def _possible_names(views: Sequence[CameraView], names: Sequence[str] | None) -> list[tuple[str, ...]]:
    if names is not None:
        if len(names) != len(views):
            raise ValueError(f"names: expected {len(views)}, one per view, got {len(names)}")
        return [(name,) for name in names]
    cameras = [view.camera.replace("/", "_") for view in views]
    placed = [f"{index:02d}_{camera}" for index, camera in enumerate(cameras)]
    return [(place, camera) if cameras.count(camera) == 1 else (place,) for place, camera in zip(placed, cameras, strict=True)]


def labels_of_ids(view: CameraView, ids: Tensor, segments: Segments, labels: LabelSpace, name: str) -> ViewLabels:
    """Labels of one view from (H, W) int64 ids, 0 = void. Raises `ValueError` that begins with `name`, the file's, for another
    size than the image's, and for an id that has no entry or one of a class that `labels` lacks."""
    hw = tuple(view.image.shape[-2:])
    if tuple(ids.shape) != hw:
        raise ValueError(f"{name}: expected {hw[1]}x{hw[0]} pixels as the view's image, got {ids.shape[1]}x{ids.shape[0]}")
    present = [value for value in ids.unique().tolist() if value != 0]
    if lost := [value for value in present if value not in segments]:
        raise ValueError(f"{name}: expected an entry for every id, got none for {', '.join(map(str, lost[:8]))}")
    class_of = {name: index for index, name in enumerate(labels.names)}
    semantics, masks, classes = torch.full(hw, VOID), [], []
    for value in present:
        segment = segments[value]
        if segment.name is not None and segment.name not in class_of:
            raise ValueError(f"{name}: id {value}: expected one of {', '.join(labels.names)}, got {segment.name!r}")
        class_id = VOID if segment.name is None else class_of[segment.name]
        if class_id == VOID or (labels.is_thing[class_id] and not segment.crowd):
            masks.append(ids == value)
            classes.append(class_id)
        semantics[ids == value] = class_id
    stacked = torch.stack(masks) if masks else torch.zeros(0, *hw, dtype=torch.bool)
    found = FoundSegments(stacked, torch.tensor(classes, dtype=torch.int64), semantics=semantics)
    return view_labels(unit_range(view.image), found, labels, name)


def named_ids(scene: SceneLabels, names: Sequence[str]) -> Iterator[tuple[str, Tensor, dict[int, Segment]]]:
    """Of every view its image's name, (H, W) int64 ids and what they mean; `ValueError` unless each has a name of its own."""
    if len(names) != len(scene.views) or len(set(names)) != len(names):
        raise ValueError(f"names: expected {len(scene.views)} different ones, one per view, got {list(names)}")
    for name, view in zip(names, scene.views, strict=True):
        yield name, *ids_of_labels(view, scene.labels)


def ids_of_labels(view: ViewLabels, labels: LabelSpace) -> tuple[Tensor, dict[int, Segment]]:
    """(H, W) int64 ids of masks, then of classes elsewhere, and what they mean."""
    semantics, ids = maps_of_labels(view)
    segments = {
        row: Segment(labels.names[value] if value >= 0 else None) for row, value in enumerate(view.class_id.tolist(), start=1)
    }
    ids, free = ids.clone(), ids == 0
    for value in semantics[free].unique().tolist():
        if value >= 0:
            key = len(segments) + 1
            ids[free & (semantics == value)] = key
            segments[key] = Segment(labels.names[value], crowd=labels.is_thing[value])
    return ids, segments


def read_pixels(path: Path) -> tuple[np.ndarray, str]:
    """Pixels and Pillow's mode of an image file. Raises `FileNotFoundError`, or `ValueError` for what is no image."""
    with opened_picture(path, "labels", "a PNG file") as picture:
        return np.array(picture), picture.mode


def label_space(classes: Sequence[tuple[str, bool]], where: Path | str) -> LabelSpace:
    """Names and whether they are things, things put first. `ValueError` for names that repeat."""
    try:
        return things_first(LabelSpace(tuple(name for name, _ in classes), tuple(thing for _, thing in classes)))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def required(entry: Any, key: str, kind: type | tuple[type, ...], where: Path | str) -> Any:
    """The value of a key that must be there and of this kind; `ValueError` says where it is not."""
    value = entry.get(key) if isinstance(entry, dict) else None
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"{where}: {key}: expected {' or '.join(item.__name__ for item in kinds)}, got {value!r}")
    return value
