"""One training scene as plain arrays, and its form as files of a tar shard. Needs neither MuJoCo nor torch.

Every shard is named by its first and last seed, such as `scenes_00000200-00000399`.

A tar shard follows the convention of webdataset: members `KEY.NAME`, all of a scene in a row. KEY is the scene's seed, NAME
one of `image0.png` (RGB; or .jpg, .webp), `depth0.png` (16 bit, 0.1 mm, 0 = none), `ids0.png` (8 bit, 0 = none, k = object k),
likewise for every view, and last `json` with cameras and objects.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pan3d_core.views.image_files import opened_picture

VOCABULARY_FILE, INDEX_FILE = "vocabulary.json", "index.json"
# Seeds from here on are for measuring only; nothing is ever trained on them.
FIRST_HELD_OUT_SEED = 1_000_000
MAX_OBJECTS = 31
EMPTY_KIND = 255
NAMELESS_KIND = 254  # of objects that are there and have no name
IMAGE_FORMATS = {"png": {"compress_level": 4}, "jpg": {"quality": 95, "subsampling": 0}, "webp": {"quality": 95}}
_PIL_NAMES = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
_NAME = re.compile(r"scenes_(\d{8,})-(\d{8,})")


def shows_trained_things(settings: Mapping[str, object]) -> bool:
    """Whether data of these settings (of its vocabulary file) shows neither kinds nor objects that are for measuring only."""
    return settings.get("kind_set", "known") == "known" and settings.get("object_split", "train") == "train"


@dataclass(frozen=True)
class SceneRecord:
    """One scene of S views of H x W pixels. Column k of the arrays over objects is object id k; column 0 is no object."""

    seed: int
    images: np.ndarray  # (S, H, W, 3) uint8 RGB
    depth: np.ndarray  # (S, H, W) uint16 z-depth in 0.1 mm, 0 = none
    ids: np.ndarray  # (S, H, W) uint8, 0 = none; recordings of rooms may have more objects, then uint16 and longer columns
    kinds: np.ndarray  # (32,) uint8, index into the kinds of the data set, 255 = no such object, or void where its id is seen
    colors: np.ndarray  # (32,) uint8, index into the colour words of the data set, 255 likewise
    rgb: np.ndarray  # (32, 3) uint8, main colour
    visible_pixels: np.ndarray  # (32, S) uint16
    world_from_box: np.ndarray  # (32, 4, 4) float32 m, along the object's own axes; zeros where there is no object
    box_size: np.ndarray  # (32, 3) float32 m, full extents
    intrinsics: np.ndarray  # (S, 3, 3) float32 px
    cam_from_world: np.ndarray  # (S, 4, 4) float32 m
    support_height: np.ndarray  # () float32 m; NaN in recordings that have no such surface

    @property
    def num_views(self) -> int:
        """S."""
        return len(self.images)


@dataclass(frozen=True)
class ShardRange:
    """Scenes `first` to `last`, both included, in one shard."""

    first: int
    last: int

    @property
    def name(self) -> str:
        """`scenes_FIRST-LAST`."""
        return f"scenes_{self.first:08d}-{self.last:08d}"

    @property
    def seeds(self) -> range:
        """The seeds of its scenes."""
        return range(self.first, self.last + 1)

    @staticmethod
    def parse(name: str) -> ShardRange | None:
        """Range of a shard's name (with or without .tar); None for other names."""
        match = _NAME.fullmatch(name.removesuffix(".tar"))
        return ShardRange(int(match[1]), int(match[2])) if match else None


def scene_key(seed: int) -> str:
    """Name of a scene within a tar shard."""
    return f"{seed:08d}"


class DamagedScene(ValueError):
    """A scene of a shard cannot be read; the text says why."""


def encode_record(record: SceneRecord, image_format: str = "png") -> dict[str, bytes]:
    """Members of a tar shard by name without the key, in the order in which they are stored."""
    if image_format not in IMAGE_FORMATS:
        raise ValueError(f"image_format: expected one of {', '.join(IMAGE_FORMATS)}, got {image_format!r}")
    members = {}
    for view in range(record.num_views):
        members[f"image{view}.{image_format}"] = _picture(record.images[view], image_format)
        members[f"depth{view}.png"] = _picture(record.depth[view], "png")
        members[f"ids{view}.png"] = _picture(record.ids[view], "png")
    present = np.flatnonzero(record.kinds != EMPTY_KIND)
    objects = [
        {
            "id": int(k), "kind": int(record.kinds[k]), "color": int(record.colors[k]), "rgb": record.rgb[k].tolist(),
            "visible_pixels": record.visible_pixels[k].tolist(), "world_from_box": record.world_from_box[k].tolist(),
            "box_size_m": record.box_size[k].tolist(),
        }
        for k in present
    ]  # fmt: skip
    facts = {
        "seed": record.seed, "views": record.num_views, "image_format": image_format,
        "support_height_m": float(record.support_height), "intrinsics": record.intrinsics.tolist(),
        "cam_from_world": record.cam_from_world.tolist(), "objects": objects,
    }  # fmt: skip
    members["json"] = json.dumps(facts).encode()
    return members


def decode_record(members: Mapping[str, bytes]) -> SceneRecord:
    """Inverse of `encode_record`; exact but for lossy image formats. Raises `DamagedScene` naming the member at fault."""
    facts = _facts(members)
    try:
        views, image_format = int(facts["views"]), facts["image_format"]
        images = np.stack([_pixels(members, f"image{view}.{image_format}", np.uint8, 3) for view in range(views)])
        depth = np.stack([_pixels(members, f"depth{view}.png", np.uint16, 2) for view in range(views)])
        ids = np.stack([_pixels(members, f"ids{view}.png", np.uint8, 2) for view in range(views)])
        record = SceneRecord(
            int(facts["seed"]), images, depth, ids, **_object_columns(facts["objects"], views),
            intrinsics=np.array(facts["intrinsics"], np.float32).reshape(views, 3, 3),
            cam_from_world=np.array(facts["cam_from_world"], np.float32).reshape(views, 4, 4),
            support_height=np.array(facts["support_height_m"], np.float32),
        )  # fmt: skip
    except DamagedScene:
        raise
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise DamagedScene(f"json or sizes: {type(error).__name__}: {error}") from error
    if images.shape[:3] != depth.shape or depth.shape != ids.shape:
        raise DamagedScene(f"sizes: expected equal ones, got images {images.shape}, depth {depth.shape}, ids {ids.shape}")
    if not all(np.isfinite(values).all() for values in (record.intrinsics, record.cam_from_world, record.support_height)):
        raise DamagedScene("json: expected finite cameras and heights, got NaN or infinity")
    if (record.intrinsics[:, [0, 1], [0, 1]] <= 0).any():
        raise DamagedScene("json: intrinsics: expected positive focal lengths")
    if ids.max() > MAX_OBJECTS or not (record.kinds[np.setdiff1d(ids, [0])] != EMPTY_KIND).all():
        raise DamagedScene("ids: expected only objects that json lists")
    return record


def empty_columns(views: int, objects: int = MAX_OBJECTS) -> dict[str, np.ndarray]:
    """The fields of `SceneRecord` over objects, for a scene without any, with room for `objects`."""
    count = objects + 1
    return {
        "kinds": np.full(count, EMPTY_KIND, np.uint8), "colors": np.full(count, EMPTY_KIND, np.uint8),
        "rgb": np.zeros((count, 3), np.uint8), "visible_pixels": np.zeros((count, views), np.uint16),
        "world_from_box": np.zeros((count, 4, 4), np.float32), "box_size": np.zeros((count, 3), np.float32),
    }  # fmt: skip


def _object_columns(objects: list[dict], views: int) -> dict[str, np.ndarray]:
    columns = empty_columns(views)
    for entry in objects:
        k = int(entry["id"])
        if not 1 <= k <= MAX_OBJECTS:
            raise DamagedScene(f"json: objects: id: expected 1 to {MAX_OBJECTS}, got {k}")
        columns["kinds"][k], columns["colors"][k], columns["rgb"][k] = entry["kind"], entry["color"], entry["rgb"]
        columns["visible_pixels"][k] = entry["visible_pixels"]
        columns["world_from_box"][k], columns["box_size"][k] = entry["world_from_box"], entry["box_size_m"]
    return columns


def _facts(members: Mapping[str, bytes]) -> dict:
    if "json" not in members:
        raise DamagedScene("json: missing")
    try:
        facts = json.loads(members["json"])
    except ValueError as error:
        raise DamagedScene(f"json: {error}") from error
    if not isinstance(facts, dict):
        raise DamagedScene(f"json: expected names with values, got a {type(facts).__name__}")
    return facts


def _picture(pixels: np.ndarray, image_format: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, _PIL_NAMES[image_format], **IMAGE_FORMATS[image_format])
    return stream.getvalue()


def _pixels(members: Mapping[str, bytes], name: str, dtype: type, ndim: int) -> np.ndarray:
    if name not in members:
        raise DamagedScene(f"{name}: missing")
    try:
        with opened_picture(members[name], name) as picture:
            pixels = np.array(picture)
    except ValueError as error:
        raise DamagedScene(str(error)) from error
    if pixels.ndim != ndim or (pixels.dtype != dtype and not (dtype is np.uint16 and pixels.dtype == np.int32)):
        raise DamagedScene(f"{name}: expected {ndim} axes of {np.dtype(dtype)}, got {pixels.ndim} of {pixels.dtype}")
    return pixels.astype(dtype)
