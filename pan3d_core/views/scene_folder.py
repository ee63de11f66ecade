"""Scene folders: views of one scene with cameras and, where known, the truth about it.

    scene/
      scene.json        cameras, labels, objects; see `write_scene`
      images/NAME.png   8-bit RGB
      depth/NAME.png    16-bit, z-depth in units of 0.1 mm, 0 = no measurement (also beyond 6.5535 m)
      instances/NAME.png  16-bit instance ids, 0 = none

A cameras file for plain photographs is the same `scene.json` with the `views` list alone, and of each view `image` and
`intrinsics` suffice: `cam_from_world` (4x4, metres), `depth`, `distortion` and the rest may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from pan3d_core.geometry.distortion import undistort
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import CameraView, OrientedBox, unit_range

FORMAT, VERSION = "pan3d-scene", 1
DEPTH_UNIT_M = 1e-4
SCENE_FILE = "scene.json"


@dataclass(frozen=True)
class SceneObject:
    """One true object."""

    instance_id: int  # value in the instance images
    name: str  # for people: "red mug"
    class_id: int = -1  # index into `SceneTruth.labels`, -1 = none
    box: OrientedBox | None = None  # world, metres


@dataclass(frozen=True)
class MeshTruth:
    """Truth on the N vertices of a scan, numbered as the ScanNet benchmark numbers it."""

    vertices: Tensor  # (N, 3) float32 metres, world
    ids: Tensor  # (N,) int64 label * 1000 + instance, 0 = not annotated
    class_of_label: dict[int, int]  # label -> index into `SceneTruth.labels`; ids of other labels are void
    superpoints: Tensor | None = None  # (N,) int64 piece of the published over-segmentation that holds each vertex
    # Depth for the test whether a view sees a vertex, per view or None: as the sensor measured it, at its own size, or where
    # there was no sensor as it was rendered.
    sensor_depth: tuple[Tensor | None, ...] = ()  # (Hd, Wd) z-depth, metres, 0 = none
    sensor_intrinsics: tuple[Tensor | None, ...] = ()  # (3, 3) pixels of the depth image


@dataclass(frozen=True)
class SceneTruth:
    """What is known about a scene beyond its images."""

    instance_ids: tuple[Tensor, ...]  # per view (H, W) int64, 0 = none
    depth: tuple[Tensor | None, ...]  # per view (H, W) z-depth, metres, 0 = none
    objects: tuple[SceneObject, ...] = ()
    labels: LabelSpace = field(default_factory=lambda: LabelSpace.things(()))
    mesh: MeshTruth | None = None  # where the data set publishes a scan; scene folders do not hold it


@dataclass(frozen=True)
class Scene:
    """Views of one scene; `truth` is None for photographs."""

    name: str
    views: tuple[CameraView, ...]
    truth: SceneTruth | None = None
    support_height_m: float | None = None  # world z of the surface that objects stand on

    def without_depth(self) -> Scene:
        """The same scene as colour cameras see it; the truth keeps its depth."""
        return replace(self, views=tuple(replace(view, depth=None) for view in self.views))


def read_image(path: Path | str) -> Tensor:
    """(3, H, W) RGB in 0..1, turned upright when the file says how it was held.

    Raises `FileNotFoundError`, or `ValueError` for a file that is no image or is cut off.
    """
    try:
        with Image.open(path) as file:
            pixels = np.array(ImageOps.exif_transpose(file).convert("RGB"))
    except FileNotFoundError:
        raise FileNotFoundError(f"image: expected a file, got {path}, which does not exist") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # Pillow reports damaged PNG chunks as SyntaxError
        raise ValueError(f"image: expected a picture (PNG, JPEG, ...), got {path}, which cannot be decoded ({error})") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255.0


def write_image(path: Path, image: Tensor) -> None:
    """(3, H, W) RGB in 0..1 -> 8-bit file."""
    pixels = (image * 255.0).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def read_depth(path: Path | str) -> Tensor:
    """(H, W) metres of a 16-bit depth PNG in 0.1 mm; errors as `read_image`."""
    return torch.from_numpy(_read_16_bit(path).astype(np.float64) * DEPTH_UNIT_M).float()


def write_depth(path: Path, depth: Tensor) -> None:
    """(H, W) metres -> 16-bit PNG in 0.1 mm; what does not fit (NaN, negative, beyond 6.5535 m) becomes 0."""
    units = (depth.double() / DEPTH_UNIT_M).round()
    usable = torch.isfinite(units) & (units > 0) & (units <= 65535)
    _write_16_bit(path, torch.where(usable, units, 0.0))


def write_scene(folder: Path | str, scene: Scene) -> Path:
    """Write a scene folder (made where needed) and return the path of its `scene.json`."""
    folder = Path(folder)
    for part in ("images", "depth", "instances"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    entries = []
    for index, view in enumerate(scene.views):
        name = f"{index:02d}_{view.camera}.png".replace("/", "_")
        entry = _view_entry(view, name)
        depth = view.depth if scene.truth is None else scene.truth.depth[index]
        write_image(folder / entry["image"], unit_range(view.image))
        if depth is not None:
            entry["depth"] = f"depth/{name}"
            write_depth(folder / entry["depth"], depth)
        if scene.truth is not None:
            entry["instances"] = f"instances/{name}"
            _write_16_bit(folder / entry["instances"], scene.truth.instance_ids[index])
        entries.append(entry)
    content: dict[str, Any] = {"format": FORMAT, "version": VERSION, "name": scene.name, "views": entries}
    content |= {"world_frame_id": scene.views[0].world_frame_id, "support_height_m": scene.support_height_m}
    if scene.truth is not None:
        labels = scene.truth.labels
        content["labels"] = [{"name": name, "is_thing": thing} for name, thing in zip(labels.names, labels.is_thing)]
        content["objects"] = [_object_entry(item) for item in scene.truth.objects]
    path = folder / SCENE_FILE
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def read_scene(folder: Path | str) -> Scene:
    """Read a scene folder. Raises `FileNotFoundError` or `ValueError` naming file and field."""
    folder = Path(folder)
    content = _read_json(folder / SCENE_FILE)
    entries = content["views"]
    frame = content.get("world_frame_id", "world")
    views = tuple(_read_view(entry, folder / _required(entry, "image"), folder, frame) for entry in entries)
    truth = _read_truth(content, entries, views, folder) if all("instances" in entry for entry in entries) else None
    return Scene(content.get("name", folder.name), views, truth, content.get("support_height_m"))


def read_photographs(images: Sequence[Path | str], cameras: Path | str | None = None) -> Scene:
    """Image files and an optional cameras file -> a scene without truth.

    Entries of the cameras file belong to the images of the same file name, or in order when none of them names an image.
    Distorted images are undistorted. Raises `FileNotFoundError` or `ValueError` naming file and field.
    """
    paths = [Path(image) for image in images]
    if not paths:
        raise ValueError("images: expected at least one file, got none")
    if cameras is None:
        views = tuple(CameraView(image=read_image(path), camera=path.stem, frame_id=path.stem) for path in paths)
        return Scene(paths[0].parent.name or "images", views)
    content = _read_json(Path(cameras))
    entries = _entries_for(paths, content["views"], cameras)
    frame = content.get("world_frame_id", "world")
    views = tuple(_read_view(entry, path, Path(cameras).parent, frame) for entry, path in zip(entries, paths))
    return Scene(paths[0].parent.name or "images", views, support_height_m=content.get("support_height_m"))


def _entries_for(paths: list[Path], entries: list[dict], cameras: Path | str) -> list[dict]:
    if any("image" in entry for entry in entries):
        by_name = {Path(_required(entry, "image")).name: entry for entry in entries}
        missing = [path.name for path in paths if path.name not in by_name]
        if missing:
            raise ValueError(f"{cameras}: views: expected one for every image, got none for {', '.join(missing)}")
        return [by_name[path.name] for path in paths]
    if len(entries) != len(paths):
        raise ValueError(f"{cameras}: views: expected {len(paths)} as there are images, got {len(entries)}")
    return entries


def _view_entry(view: CameraView, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"camera": view.camera, "frame_id": view.frame_id, "stamp_ns": view.stamp_ns}
    entry["image"] = f"images/{name}"
    for key in ("intrinsics", "cam_from_world"):
        if (matrix := getattr(view, key)) is not None:
            entry[key] = matrix.double().tolist()
    return entry


def _object_entry(item: SceneObject) -> dict[str, Any]:
    entry: dict[str, Any] = {"instance_id": item.instance_id, "name": item.name, "class_id": item.class_id}
    if item.box is not None:
        entry["box"] = {"world_from_box": item.box.world_from_box.double().tolist(), "size_m": item.box.size_m.double().tolist()}
    return entry


def _read_view(entry: dict, image_path: Path, folder: Path, world_frame_id: str) -> CameraView:
    intrinsics, cam_from_world = read_matrix(entry, "intrinsics", 3), read_matrix(entry, "cam_from_world", 4)
    image = read_image(image_path)
    depth = read_depth(folder / entry["depth"]) if "depth" in entry else None
    if "distortion" in entry:
        if intrinsics is None:
            raise ValueError(f"{image_path.name}: intrinsics: expected a 3x3 matrix beside the distortion, got none")
        distortion = entry["distortion"]
        image, depth = undistort(image, intrinsics, _required(distortion, "model"), _required(distortion, "coefficients"), depth)
    try:
        return CameraView(
            image=image,
            intrinsics=intrinsics,
            cam_from_world=cam_from_world,
            depth=depth,
            stamp_ns=int(entry.get("stamp_ns", 0)),
            frame_id=entry.get("frame_id", image_path.stem),
            world_frame_id=world_frame_id,
            camera=entry.get("camera", image_path.stem),
        )
    except ValueError as error:
        raise ValueError(f"{image_path.name}: {error}") from error


def _read_truth(content: dict, entries: list[dict], views: tuple[CameraView, ...], folder: Path) -> SceneTruth:
    labels = content.get("labels", [])
    objects = []
    for entry in content.get("objects", []):
        box = entry.get("box")
        made = None if box is None else OrientedBox(torch.tensor(box["world_from_box"]), torch.tensor(box["size_m"]))
        objects.append(SceneObject(int(_required(entry, "instance_id")), entry.get("name", ""), entry.get("class_id", -1), made))
    return SceneTruth(
        instance_ids=tuple(torch.from_numpy(_read_16_bit(folder / entry["instances"]).astype(np.int64)) for entry in entries),
        depth=tuple(view.depth for view in views),
        objects=tuple(objects),
        labels=LabelSpace(tuple(item["name"] for item in labels), tuple(bool(item["is_thing"]) for item in labels)),
    )


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"scene: expected a file {path}, which does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected JSON, got something else: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected names with values, got a {type(content).__name__}")
    if content.get("format", FORMAT) != FORMAT:
        raise ValueError(f"{path}: format: expected {FORMAT!r}, got {content['format']!r}")
    if content.get("version", VERSION) != VERSION:
        raise ValueError(f"{path}: version: expected {VERSION}, got {content['version']!r}")
    views = content.get("views")
    if not isinstance(views, list) or not views or not all(isinstance(entry, dict) for entry in views):
        raise ValueError(f"{path}: views: expected a list with one entry per image, got {views!r}")
    return content


def _required(entry: dict, key: str) -> Any:
    if key not in entry:
        raise ValueError(f"{key}: expected in every entry, got only {', '.join(sorted(entry)) or 'nothing'}")
    return entry[key]


def read_matrix(entry: dict, key: str, size: int) -> Tensor | None:
    """The float32 (size, size) matrix of a view's entry, None where it has none; `ValueError` for anything else."""
    if entry.get(key) is None:
        return None
    try:
        matrix = torch.tensor(entry[key], dtype=torch.float64).float()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key}: expected {size} rows of {size} numbers, got {entry[key]!r}") from error
    if tuple(matrix.shape) != (size, size):
        raise ValueError(f"{key}: expected {size} rows of {size} numbers, got shape {tuple(matrix.shape)}")
    return matrix


def _read_16_bit(path: Path | str) -> np.ndarray:
    try:
        with Image.open(path) as file:
            pixels = np.array(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"image: expected a file, got {path}, which does not exist") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"image: expected a 16-bit PNG, got {path}, which cannot be decoded ({error})") from error
    if pixels.ndim != 2 or pixels.dtype not in (np.uint16, np.int32):
        raise ValueError(f"image: expected one 16-bit channel, got {path} with shape {pixels.shape} of {pixels.dtype}")
    return pixels


def _write_16_bit(path: Path, values: Tensor) -> None:
    Image.fromarray(values.cpu().numpy().astype(np.uint16)).save(path)
