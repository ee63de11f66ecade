"""Files of cameras: `scene.json` of a scene folder, a cameras file for photographs, a camera path. One description of all.

The file is JSON: `views` with one entry per picture beside facts about the scene, or the list of entries alone. The fields of
`CameraEntry` and `CameraFile` are its keys. What is wrong with the calibration or the pose of one entry is that camera's fault,
and says nothing of the others; names, keys and structure are the file's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pan3d_core.geometry.camera_checks import CalibrationRefused, CameraRefused, PoseRefused
from pan3d_core.runtime.files import read_json, shortened, written_whole
from pan3d_core.settings import refuse_unknown

FORMAT, VERSION = "pan3d-scene", 1
MORE_KEYS = ("labels", "objects")
MAX_HEIGHT_M = 1e6
LONGEST_NAME = 120  # of a camera, after which files of results are named
_NAMES = ("camera", "frame_id", "name", "world_frame_id")
# What other programs call the keys of an entry -> what it is here.
_ELSEWHERE = {
    **dict.fromkeys(("K", "k", "camera_matrix", "intrinsic", "intrinsic_matrix", "fx", "fy", "cx", "cy", "fl_x"), "intrinsics"),
    **dict.fromkeys(("w2c", "world_to_cam", "extrinsics", "extrinsic", "T_cam_world"), "cam_from_world"),
    **dict.fromkeys(
        (
            "world_from_cam",
            "world_from_camera",
            "c2w",
            "cam_to_world",
            "camera_to_world",
            "pose",
            "transform_matrix",
            "T_world_cam",
        ),
        "cam_from_world, which is the inverse of world_from_cam",
    ),
    **dict.fromkeys(("D", "d", "dist", "dist_coeffs", "distortion_coefficients"), "distortion"),
    **dict.fromkeys(("file_path", "file_name", "filename", "path", "rgb"), "image"),
    **dict.fromkeys(("width", "height", "w", "h"), "image_hw"),
}


_OUTSIDE = {"cameras": "views", "frames": "views", "images": "views", "support_height": "support_height_m"}


@dataclass(frozen=True)
class Distortion:
    """How a lens bends the picture, as `undistort` takes it."""

    model: str
    coefficients: tuple[float, ...]


@dataclass(frozen=True)
class CameraEntry:
    """What a file says about one picture; None = nothing. Paths start at the folder of the file."""

    camera: str | None = None  # name; one that moves has views at several stamps
    frame_id: str | None = None  # name of the optical frame
    stamp_ns: int = 0  # time of exposure
    image: str | None = None  # path of the picture
    intrinsics: Tensor | None = None  # (3, 3) float32, pixels of the picture
    cam_from_world: Tensor | None = None  # (4, 4) float32, metres
    depth: str | None = None  # path of the depth picture
    instances: str | None = None  # path of the picture of true instance ids
    image_hw: tuple[int, int] | None = None  # height and width that the intrinsics are of, where no picture tells
    distortion: Distortion | None = None
    refused: CameraRefused | None = None  # what is wrong with its calibration or pose, which are left out then; no key of a file


ENTRY_KEYS = tuple(item.name for item in fields(CameraEntry) if item.name != "refused")


@dataclass(frozen=True)
class CameraFile:
    """What a file says."""

    views: tuple[CameraEntry, ...]
    name: str | None = None  # of the scene
    world_frame_id: str = "world"  # that `cam_from_world` maps from
    support_height_m: float | None = None  # world z of the surface that objects stand on
    more: Mapping[str, Any] = field(default_factory=dict)  # `MORE_KEYS`: what a scene folder knows beyond its cameras


def read_camera_file(path: Path | str) -> CameraFile:
    """Read a file of cameras that can all be used.

    Args:
        path: Of a JSON file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON, is of another format or version, or has an entry that cannot be; names file, view and key.
    """
    found = read_camera_entries(path)
    for index, entry in enumerate(found.views):
        if entry.refused is not None:
            raise ValueError(f"{path}: view {index}: {entry.refused}") from entry.refused
    return found


def read_camera_entries(path: Path | str) -> CameraFile:
    """Read a file of cameras, some of which may be of no use: their entries say why (`CameraEntry.refused`).

    Args:
        path: Of a JSON file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Something is wrong with the file as a whole: it is no JSON, is of another format or version, has a key that
            nobody reads or a name of another kind, or names a picture or a camera twice.
    """
    content = read_json(path, "cameras")
    try:
        return _file_of(content if isinstance(content, dict) else {"views": content})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_camera_file(path: Path | str, cameras: CameraFile) -> None:
    """Write what `read_camera_file` reads; keys of which nothing is known are left out.

    Args:
        path: Of the JSON file, which appears whole or not at all.
        cameras: What it shall say.
    """
    content: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    if cameras.name is not None:
        content["name"] = cameras.name
    content["views"] = [_entry_json(entry) for entry in cameras.views]
    content |= {"world_frame_id": cameras.world_frame_id, "support_height_m": cameras.support_height_m, **cameras.more}
    with written_whole(path) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")


def entries_of(images: Sequence[Path], entries: Sequence[CameraEntry], file: Path | str) -> list[CameraEntry]:
    """Give the entries that belong to pictures: those of the same file name, or in order where none of them names a picture.

    Args:
        images: The pictures.
        entries: All of the file.
        file: That they are of, for errors.

    Returns:
        One per picture.

    Raises:
        ValueError: A picture has none, two have the same, or there are more or fewer entries than pictures.
    """
    names = [path.name for path in images]
    if twice := next((path for path in images if images.count(path) > 1), None):
        raise ValueError(f"images: expected different files, got {twice} twice")
    by_name: dict[str, CameraEntry] = {}
    for entry in entries:
        if entry.image is not None and (other := by_name.setdefault(Path(entry.image).name, entry)) is not entry:
            raise ValueError(
                f"{file}: image: expected another file name in each view, got {shortened([other.image, entry.image])}"
            )
    if by_name:
        missing = [name for name in names if name not in by_name]
        if missing:
            there = shortened(list(by_name))
            raise ValueError(f"{file}: views: expected one for every image, got none for {', '.join(missing)}; there are {there}")
        if twice_named := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"images: expected one for each view of {file}, got {twice_named} of several folders")
        return [by_name[name] for name in names]
    if len(entries) != len(images):
        raise ValueError(f"{file}: views: expected {len(images)} as there are images, got {len(entries)}")
    return list(entries)


def _file_of(content: dict[str, Any]) -> CameraFile:
    refuse_unknown(
        content, ("format", "version", "views", "name", "world_frame_id", "support_height_m", *MORE_KEYS), "", _OUTSIDE
    )
    rest = dict(content)
    for key, known in (("format", FORMAT), ("version", VERSION)):
        if (found := rest.pop(key, known)) != known or isinstance(found, bool):
            raise ValueError(f"{key}: expected {known!r}, got {found!r}")
    views = rest.pop("views", None)
    if not isinstance(views, list) or not views:
        raise ValueError(f"views: expected a list of views, one entry per picture, got {shortened(views)}")
    entries = []
    for index, values in enumerate(views):
        try:
            entries.append(_entry_of(values))
        except ValueError as error:
            raise ValueError(f"view {index}: {error}") from error
    cameras = [None if entry.camera is None else (entry.camera, entry.stamp_ns) for entry in entries]
    _require_different("camera", cameras, " at the same stamp_ns (one that moves has a view at each)")
    _require_different("image", [entry.image for entry in entries])
    height = rest.pop("support_height_m", None)
    if height is not None and not (type(height) in (int, float) and abs(height) < MAX_HEIGHT_M):
        raise ValueError(f"support_height_m: expected a number, got {height!r}")
    return CameraFile(tuple(entries), _text(rest, "name"), _text(rest, "world_frame_id") or "world", height, rest)


def _text(values: dict[str, Any], key: str) -> str | None:
    """Take a text out of the values."""
    value = values.pop(key, None)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key}: expected a text, got {value!r}")
    if value == "":
        raise ValueError(f"{key}: expected a text, got an empty one; leave the key out where there is none")
    if value is not None and key in _NAMES and not (value.isprintable() and len(value) <= LONGEST_NAME):
        raise ValueError(f"{key}: expected at most {LONGEST_NAME} letters that can be printed, got {shortened(value)}")
    return value


def _require_different(key: str, values: Sequence[str | tuple[str, int] | None], when: str = "") -> None:
    """`ValueError` where two entries say the same."""
    for index, value in enumerate(values):
        if value is not None and value in values[:index]:
            said = value if isinstance(value, str) else value[0]
            raise ValueError(
                f"view {index}: {key}: expected another one in each view, got {said!r} of view {values.index(value)}{when}"
            )


def _entry_of(values: object) -> CameraEntry:
    if not isinstance(values, dict):
        raise ValueError(f"expected keys such as intrinsics with values, got {type(values).__name__}")
    refuse_unknown(values, ENTRY_KEYS, "", _ELSEWHERE)
    rest = dict(values)
    stamp_ns = rest.get("stamp_ns", 0)
    if type(stamp_ns) is not int or not -(2**63) <= stamp_ns < 2**63:
        raise ValueError(f"stamp_ns: expected whole nanoseconds, got {stamp_ns!r}")
    entry = CameraEntry(
        camera=_text(rest, "camera"),
        frame_id=_text(rest, "frame_id"),
        stamp_ns=stamp_ns,
        image=_text(rest, "image"),
        depth=_text(rest, "depth"),
        instances=_text(rest, "instances"),
    )
    try:
        return replace(
            entry,
            cam_from_world=_matrix(rest, "cam_from_world", 4, PoseRefused),
            intrinsics=_matrix(rest, "intrinsics", 3, CalibrationRefused),
            image_hw=_size_of(rest.get("image_hw")),
            distortion=_distortion_of(rest.get("distortion")),
        )
    except CameraRefused as error:
        return replace(entry, refused=error)


def _size_of(size: object) -> tuple[int, int] | None:
    if size is None:
        return None
    if not (isinstance(size, list) and len(size) == 2 and all(type(s) is int and 0 < s < 2**31 for s in size)):
        raise CalibrationRefused(f"image_hw: expected height and width in pixels, got {shortened(size)}")
    return size[0], size[1]


def _distortion_of(values: object) -> Distortion | None:
    if values is None:
        return None
    if not isinstance(values, dict):
        raise CalibrationRefused(f"distortion: expected a model and its coefficients, got {shortened(values)}")
    known = tuple(item.name for item in fields(Distortion))
    refuse_unknown(values, known, "distortion: ", {"d": "coefficients", "D": "coefficients"})
    if missing := [key for key in known if values.get(key) is None]:
        raise CalibrationRefused(f"distortion: expected a model and its coefficients, got no {' and no '.join(missing)}")
    coefficients = values["coefficients"]
    if not isinstance(coefficients, list) or not all(type(item) in (int, float) and abs(item) < 1e30 for item in coefficients):
        raise CalibrationRefused(f"distortion: coefficients: expected a list of numbers, got {shortened(coefficients)}")
    return Distortion(str(values["model"]), tuple(map(float, coefficients)))


def _matrix(values: Mapping[str, Any], key: str, size: int, refused: type[CameraRefused]) -> Tensor | None:
    if values.get(key) is None:
        return None
    try:
        if _holds_truth_values(values[key]):
            raise ValueError("truth values")
        matrix = torch.tensor(values[key], dtype=torch.float64).float()
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # torch has one for each way of being no matrix
        raise refused(f"{key}: expected {size} rows of {size} numbers, got {shortened(values[key])}") from error
    if tuple(matrix.shape) != (size, size):
        raise refused(f"{key}: expected {size} rows of {size} numbers, got shape {tuple(matrix.shape)}")
    if not bool(torch.isfinite(matrix).all()):
        raise refused(f"{key}: expected finite numbers, got {shortened(values[key])}")
    return matrix


def _holds_truth_values(rows: object) -> bool:
    """Whether true or false, which torch takes for 1 and 0, stand among the numbers."""
    return isinstance(rows, bool) or (isinstance(rows, list) and any(map(_holds_truth_values, rows)))


def _entry_json(entry: CameraEntry) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key in ENTRY_KEYS:
        value = getattr(entry, key)
        if isinstance(value, Tensor):
            made[key] = value.double().tolist()
        elif isinstance(value, Distortion):
            made[key] = asdict(value)
        elif value is not None:
            made[key] = value
    return made
