"""2D labels in COCO's panoptic format (Kirillov et al. 2019), by the names of the views' images.

One JSON file with `images`, `annotations` and `categories`, and a folder of PNG files in which an id is R + 256 G + 65536 B and
0 is void. Segments of things are objects, those of stuff and crowds are pixels of a class.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.ids import Segment, image_names, label_space, labels_of_ids, named_ids, read_pixels, required
from pan3d_core.refine.labels.sources import SceneLabels
from pan3d_core.runtime.files import inside, named_file, read_json_object, written_whole
from pan3d_core.structures import CameraView


def read_coco_panoptic(
    annotations: Path | str,
    views: Sequence[CameraView],
    pictures: Path | str | None = None,
    names: Sequence[str] | None = None,
) -> SceneLabels:
    """Labels of all views; of the file's categories those that occur in these views become classes.

    `pictures`: folder of the PNG files, by default the one named like the JSON file, as COCO has it, or else the one it is in.
    `names` of the views' images, without ending, where they do not follow from the views (see `image_names`). Raises
    `FileNotFoundError` or `ValueError` naming file and field for a view without annotation or picture, a picture of another
    size, ids without a segment and segments of unknown category.
    """
    file = PanopticFile.open(annotations, pictures)
    found = []
    for name in image_names(views, names, file.entries.__contains__, f"an annotation for image NAME in {file.path}"):
        found.append((name, file.segments(name)))
    used = {segment.name for _, segments in found for segment in segments.values()}
    labels = label_space([item for item in file.categories.values() if item[0] in used], file.path)
    made = []
    for view, (name, segments) in zip(views, found, strict=True):
        made.append(labels_of_ids(view, file.ids(name), segments, labels, str(file.picture(name))))
    return SceneLabels(labels, tuple(made))


@dataclass(frozen=True)
class PanopticFile:
    """A file of COCO's panoptic format; its pictures are read when they are asked for."""

    path: Path
    folder: Path  # of the pictures
    categories: Mapping[int, tuple[str, bool]]  # number -> name, and whether it is a thing
    entries: Mapping[str, dict[str, Any]]  # by the names of images and pictures, without ending

    @classmethod
    def open(cls, annotations: Path | str, pictures: Path | str | None = None) -> PanopticFile:
        """Read the JSON file; `pictures` and errors as `read_coco_panoptic`."""
        path = Path(annotations)
        own = path.with_suffix("")
        folder = Path(pictures) if pictures is not None else own if own.is_dir() else path.parent
        content = read_json_object(path, "labels")
        with named_file(path, "COCO's panoptic format"):
            return cls(path, folder, _categories(content, path), _entries(content, path))

    def segments(self, name: str) -> dict[int, Segment]:
        """What the ids of an image mean; errors as `read_coco_panoptic`."""
        return _segments(self.entries[name], self.categories, f"{self.path}: {name}")

    def picture(self, name: str) -> Path:
        """The picture of an image's ids."""
        return inside(self.folder, self.entries[name]["file_name"], f"{self.path}: annotations: file_name")

    def ids(self, name: str) -> Tensor:
        """(H, W) int64 ids of an image, 0 = void; errors as `read_coco_panoptic`."""
        return _read_rgb_ids(self.picture(name))


def write_coco_panoptic(path: Path | str, scene: SceneLabels, names: Sequence[str]) -> Path:
    """Write COCO's panoptic format: `path` and beside it a folder of the same name with the pictures. Category k + 1 is class k.

    Raises `ValueError` for masks of unknown class, which the format does not have.
    """
    return write_panoptic(path, named_ids(scene, names), scene.labels)


def write_panoptic(path: Path | str, images: Iterable[tuple[str, Tensor, Mapping[int, Segment]]], labels: LabelSpace) -> Path:
    """Write COCO's panoptic format of images of ids.

    Args:
        path: The JSON file; beside it comes a folder of the same name with the pictures.
        images: Name without ending, (H, W) int64 ids, 0 = void, and what they mean.
        labels: Category k + 1 is class k.

    Returns:
        `path`.

    Raises:
        ValueError: A segment is of unknown class, which the format does not have.
    """
    path = Path(path)
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    described, annotations = [], []
    for number, (name, ids, segments) in enumerate(images, start=1):
        if any(item.name is None for item in segments.values()):
            raise ValueError(f"{name}: class_id: expected a class for every mask, got one of unknown class")
        values = ids.numpy(force=True)
        with written_whole(folder / f"{name}.png") as part:
            Image.fromarray(np.stack([values % 256, values // 256 % 256, values // 65536], -1).astype(np.uint8)).save(part)
        described.append({"id": number, "file_name": f"{name}.png", "width": values.shape[1], "height": values.shape[0]})
        infos = [_info(values == key, key, item, labels) for key, item in segments.items()]
        annotations.append({"image_id": number, "file_name": f"{name}.png", "segments_info": infos})
    categories = [
        {"id": number, "name": name, "supercategory": name, "isthing": int(thing)}
        for number, (name, thing) in enumerate(zip(labels.names, labels.is_thing, strict=True), start=1)
    ]
    content = {"images": described, "annotations": annotations, "categories": categories}
    with written_whole(path) as part:
        part.write_text(json.dumps(content), encoding="utf-8")
    return path


def _categories(content: dict[str, Any], path: Path) -> dict[int, tuple[str, bool]]:
    """Name and whether it is a thing, by number."""
    where = f"{path}: categories"
    return {
        required(item, "id", int, where): (
            required(item, "name", str, where),
            bool(required(item, "isthing", (int, bool), where)),
        )
        for item in required(content, "categories", list, path)
    }


def _entries(content: dict[str, Any], path: Path) -> dict[str, dict[str, Any]]:
    """Annotations by the names of their images and of their pictures, without ending."""
    image_of = {
        required(item, "id", (int, str), f"{path}: images"): Path(required(item, "file_name", str, f"{path}: images")).stem
        for item in required({"images": [], **content}, "images", list, path)
    }
    entries = {}
    for entry in required(content, "annotations", list, path):
        entries[Path(required(entry, "file_name", str, f"{path}: annotations")).stem] = entry
        if entry.get("image_id") in image_of:
            entries[image_of[entry["image_id"]]] = entry
    return entries


def _segments(entry: dict[str, Any], categories: Mapping[int, tuple[str, bool]], where: str) -> dict[int, Segment]:
    segments = {}
    for info in required(entry, "segments_info", list, where):
        key = required(info, "id", int, f"{where}: segments_info")
        category = required(info, "category_id", int, f"{where}: segments_info")
        if category not in categories:
            raise ValueError(f"{where}: category_id: expected one of the file's categories, got {category} for segment {key}")
        segments[key] = Segment(categories[category][0], bool(info.get("iscrowd", 0)))
    return segments


def _info(inside: np.ndarray, key: int, segment: Segment, labels: LabelSpace) -> dict[str, Any]:
    rows, columns = np.nonzero(inside)
    box = [int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1] if len(rows) else [0, 0, 0, 0]
    category = labels.names.index(str(segment.name)) + 1
    return {"id": key, "category_id": category, "area": len(rows), "bbox": box, "iscrowd": int(segment.crowd)}


def _read_rgb_ids(path: Path) -> Tensor:
    """(H, W) int64 of an image whose colours are numbers."""
    pixels, mode = read_pixels(path)
    if mode != "RGB":
        raise ValueError(f"labels: expected 8-bit RGB in {path}, as COCO stores ids, got an image of mode {mode}")
    return torch.from_numpy(pixels.astype(np.int64) @ np.array([1, 256, 65536]))
