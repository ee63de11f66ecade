"""Scenes in the layout of BOP, the benchmark of object poses, as published or as `pan3d convert --to bop` writes them.

    000001/
      scene_camera.json   cam_K, depth_scale; cam_R_w2c and cam_t_w2c where the cameras' poses are known
      scene_gt.json       of every image its objects: obj_id, cam_R_m2c, cam_t_m2c
      rgb/000000.png      or .jpg, .tif; or gray/
      depth/000000.png    16 bit, times `depth_scale` = millimetres; optional
      mask_visib/000000_000000.png   image and row of `scene_gt.json`
      ../../models/models_info.json  sizes of models, up to four folders above; optional

An object is the same in two images where both know their cameras' poses and it stands at one place of the world, else where it
has the same `obj_id` and the same place among those of its `obj_id`. What `pan3d convert` adds is used where it is there, see
`pan3d_core.labelling.layouts.bop`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.transforms import invert_rigid, rigid
from pan3d_core.labelling.layouts.bop import CAMERA_FILE, GT_FILE, MM_PER_M, MODELS_FILE, MORE_FILE
from pan3d_core.labels import LabelSpace
from pan3d_core.runtime.files import named_file
from pan3d_core.structures import CameraView
from pan3d_core.views.image_files import read_image
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth, objects_of
from pan3d_eval.datasets.published_files import (
    DEFAULT_VIEWS,
    ViewSelection,
    field_of,
    find_above,
    read_integers,
    read_json_object,
    required,
)

ENDINGS = (".png", ".jpg", ".jpeg", ".tif")
LARGEST_ID = 65535  # that a picture of ids holds
SAME_PLACE_M = 0.02  # between the places of one object as two images give them


def is_bop(folder: Path) -> bool:
    """Whether the folder looks like one scene of BOP with objects."""
    return (folder / CAMERA_FILE).exists() and (folder / GT_FILE).exists()


@dataclass(frozen=True)
class _Sighting:
    """An object as one image has it."""

    row: int  # in `scene_gt.json`
    obj_id: int
    cam_from_model: Tensor  # (4, 4) float64 metres
    given: Mapping[str, Any]


@dataclass
class _Known:
    """An object as all images before have it."""

    number: int  # instance id
    obj_id: int
    rank: int  # among those of its `obj_id`
    world_from_model: Tensor | None
    given: Mapping[str, Any] = field(default_factory=dict)


def read_bop(folder: Path, views: ViewSelection = DEFAULT_VIEWS) -> Scene:
    """Read one scene. Raises `FileNotFoundError` or `ValueError` naming the file and what was expected."""
    cameras = read_json_object(folder / CAMERA_FILE, "cameras")
    gt = read_json_object(folder / GT_FILE, "objects")
    with named_file(folder / CAMERA_FILE, "cameras by the numbers of images"):
        numbers = sorted(int(key) for key in cameras)
        poses = {number: _pose(cameras[str(number)], "w2c", folder / CAMERA_FILE, number) for number in numbers}
    with named_file(folder / GT_FILE, "objects by the numbers of images"):
        sightings = {number: _sightings(gt.get(str(number), []), folder / GT_FILE, number) for number in numbers}
    known, ids_of = _same_objects(sightings, poses)
    more = _more(folder / MORE_FILE)
    with named_file(folder / MORE_FILE, "names of views and void"):
        void = objects_of({"objects": more.get("void", [])})
        told = {number: _told(more["views"][place]) for place, number in enumerate(numbers)} if more else {}
    made, ids = [], []
    for number in views.pick(numbers):
        camera = _Camera(number, cameras[str(number)], poses[number], told.get(number, {}), more.get("world_frame_id", "world"))
        with named_file(folder / CAMERA_FILE, "a camera"):
            made.append(_view(folder, camera))
        ids.append(_ids(folder, camera, ids_of[number], made[-1].hw, [item.instance_id for item in void]))
    labels, objects = _objects(folder, known)
    truth = SceneTruth(tuple(ids), tuple(view.depth for view in made), (*objects, *void), labels)
    return Scene(more.get("name", folder.name), tuple(made), truth, more.get("support_height_m"))


@dataclass(frozen=True)
class _Camera:
    """What is known of one image."""

    number: int
    given: Mapping[str, Any]
    cam_from_world: Tensor | None
    told: Mapping[str, Any]
    world_frame_id: str


def _more(path: Path) -> dict[str, Any]:
    """What BOP has no place for, where it is there."""
    if not path.exists():
        return {}
    more = read_json_object(path, "names of views")
    kinds: dict[str, tuple[type, ...]] = {
        "name": (str,), "world_frame_id": (str,), "support_height_m": (int, float, type(None)), "views": (list,), "void": (list,),
    }  # fmt: skip
    for key, kind in kinds.items():
        if type(more.get(key)) not in kind:
            raise ValueError(f"{path}: {key}: expected {' or '.join(item.__name__ for item in kind)}, got {more.get(key)!r}")
    return more


def _told(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Camera, frame and stamp of one view."""
    for key, kind in (("camera", str), ("frame_id", str), ("stamp_ns", int)):
        if type(entry[key]) is not kind:
            raise ValueError(f"views: {key}: expected {kind.__name__}, got {entry[key]!r}")
    return entry


def _numbers(entry: Mapping[str, Any], key: str, count: int, where: str) -> Tensor:
    """(count,) float64 of a field."""
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if (
        not isinstance(value, list)
        or len(value) != count
        or not all(type(item) in (int, float) and abs(item) < 1e12 for item in value)
    ):
        raise ValueError(f"{where}: {key}: expected {count} finite numbers, got {value!r}")
    return torch.tensor(value, dtype=torch.float64)


def _pose(entry: Mapping[str, Any], name: str, path: Path, number: int) -> Tensor | None:
    """(4, 4) float64 metres; None where the entry has none."""
    if f"cam_R_{name}" not in entry and f"cam_t_{name}" not in entry:
        return None
    where = f"{path}: image {number}"
    turn = _numbers(entry, f"cam_R_{name}", 9, where).reshape(3, 3)
    return rigid(turn, _numbers(entry, f"cam_t_{name}", 3, where) / MM_PER_M)


def _sightings(entries: Sequence[Mapping[str, Any]], path: Path, number: int) -> list[_Sighting]:
    made = []
    for row, entry in enumerate(entries):
        obj_id = field_of(dict(entry), "obj_id", path)
        pose = _pose(entry, "m2c", path, number)
        own = entry.get("instance_id", 1)
        if type(own) is not int or not 0 < own <= LARGEST_ID:
            raise ValueError(f"{path}: image {number}: instance_id: expected 1 to {LARGEST_ID}, got {own!r}")
        if type(obj_id) is not int or pose is None:
            raise ValueError(
                f"{path}: image {number}: expected obj_id, cam_R_m2c and cam_t_m2c of object {row}, got {dict(entry)}"
            )
        made.append(_Sighting(row, obj_id, pose, entry))
    return made


def _same_objects(
    sightings: Mapping[int, list[_Sighting]], poses: Mapping[int, Tensor | None]
) -> tuple[list[_Known], dict[int, dict[int, int]]]:
    """All objects, and per image the instance id of each row."""
    known: list[_Known] = []
    ids_of: dict[int, dict[int, int]] = {}
    for number, seen in sightings.items():
        pose = poses[number]
        ids_of[number] = {}
        for item in seen:
            rank = sum(other.obj_id == item.obj_id for other in seen[: item.row])
            world_from_model = None if pose is None else invert_rigid(pose) @ item.cam_from_model
            taken = set(ids_of[number].values())
            found = next((one for one in known if one.number not in taken and _is_same(one, item, rank, world_from_model)), None)
            if found is None:
                free = 1 + max((one.number for one in known), default=0)
                found = _Known(item.given.get("instance_id", free), item.obj_id, rank, world_from_model, item.given)
                known.append(found)
            ids_of[number][item.row] = found.number
    return known, ids_of


def _is_same(one: _Known, item: _Sighting, rank: int, world_from_model: Tensor | None) -> bool:
    if "instance_id" in item.given:
        return bool(one.number == item.given["instance_id"])
    if one.obj_id != item.obj_id:
        return False
    if one.world_from_model is None or world_from_model is None:
        return one.rank == rank
    return float(torch.dist(one.world_from_model[:3, 3], world_from_model[:3, 3])) < SAME_PLACE_M


def _view(folder: Path, camera: _Camera) -> CameraView:
    number, where = camera.number, f"{folder / CAMERA_FILE}: image {camera.number}"
    intrinsics = _numbers(camera.given, "cam_K", 9, where).reshape(3, 3)
    wanted = [folder / part / f"{number:06d}{ending}" for part in ("rgb", "gray") for ending in ENDINGS]
    image = next((path for path in wanted if path.exists()), None)
    depth_file, depth = folder / "depth" / f"{number:06d}.png", None
    if depth_file.exists():
        scale = camera.given.get("depth_scale", 1.0)
        if type(scale) not in (int, float) or not scale > 0:
            raise ValueError(f"{where}: depth_scale: expected a number above 0, got {scale!r}")
        depth = (read_integers(depth_file, f"depth of image {number}").double() * scale / MM_PER_M).float()
    return CameraView(
        image=read_image(required(wanted[0] if image is None else image, f"image {number}"), upright=False),
        intrinsics=intrinsics.float(),
        cam_from_world=None if camera.cam_from_world is None else camera.cam_from_world.float(),
        depth=depth,
        stamp_ns=camera.told.get("stamp_ns", 0),
        frame_id=camera.told.get("frame_id", f"image_{number}"),
        world_frame_id=camera.world_frame_id,
        camera=camera.told.get("camera", f"image_{number}"),
    )


def _ids(folder: Path, camera: _Camera, ids_of: Mapping[int, int], hw: tuple[int, int], void: Sequence[int]) -> Tensor:
    """(H, W) int64 ids of one image; void only where no object is."""
    ids = torch.zeros(hw, dtype=torch.int64)
    masks = [(f"mask_void/{camera.number:06d}_{value:06d}.png", value) for value in void]
    masks = [(name, value) for name, value in masks if (folder / name).exists()]
    masks += [(f"mask_visib/{camera.number:06d}_{row:06d}.png", value) for row, value in ids_of.items()]
    for name, value in masks:
        mask = read_integers(folder / name, f"mask {name}") > 0
        if tuple(mask.shape) != hw:
            raise ValueError(
                f"{folder / name}: expected {hw[1]}x{hw[0]} pixels as the image, got {mask.shape[1]}x{mask.shape[0]}"
            )
        ids[mask] = value
    return ids


def _objects(folder: Path, known: Sequence[_Known]) -> tuple[LabelSpace, list[SceneObject]]:
    path = find_above(folder, [str(MODELS_FILE)])
    models = {} if path is None else read_json_object(path, "models")
    numbers = sorted({one.obj_id for one in known})
    names = {number: str(models.get(str(number), {}).get("name", f"obj_{number:06d}")) for number in numbers}
    labels = LabelSpace.things(tuple(dict.fromkeys(names.values())))
    made = []
    with named_file(path or folder, "models"):
        for one in sorted(known, key=lambda item: item.number):
            name = names[one.obj_id]
            box = _box(one, models.get(str(one.obj_id)), f"{path or folder}: {one.obj_id}")
            made.append(SceneObject(one.number, str(one.given.get("name", name)), labels.names.index(name), box))
    return labels, made


def _box(one: _Known, model: Mapping[str, Any] | None, where: str) -> OrientedBox | None:
    """The object's own box, or its model's; None where its size or place is not known."""
    if one.world_from_model is None:
        return None
    middle = torch.zeros(3, dtype=torch.float64)
    if "size" in one.given:
        size = _numbers(one.given, "size", 3, where)
    elif model is not None:
        size, least = (
            torch.tensor([float(model[f"{word}_{axis}"]) for axis in "xyz"], dtype=torch.float64) for word in ("size", "min")
        )
        middle = least + size / 2
    else:
        return None
    world_from_box = one.world_from_model.clone()
    world_from_box[:3, 3] += world_from_box[:3, :3] @ middle / MM_PER_M
    return OrientedBox(world_from_box.float(), (size / MM_PER_M).float())
