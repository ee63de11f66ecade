"""The folder of prepared objects: a file of arrays each, and `index.json` with kinds, licences, authors and what was left out."""

from __future__ import annotations

import json
import logging
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pan3d_core.runtime.files import inside, named_file, read_json_object
from pan3d_sim.library.convert import PreparedObject, PreparedPart
from pan3d_sim.library.tables import SPLITS

INDEX_FILE, NOTICE_FILE, FORMAT = "index.json", "NOTICE.txt", 1
_log = logging.getLogger("pan3d.sim.library")


@dataclass(frozen=True)
class ObjectFacts:
    """What the index says of one object."""

    name: str
    kind: str
    split: str
    licence: str
    author: str
    file: str
    materials: tuple[str, ...] = ()


@dataclass(frozen=True)
class FolderIndex:
    """Content of `index.json`."""

    source: str  # which package, version and checksum the meshes are from
    objects: tuple[ObjectFacts, ...]
    left_out: dict[str, str]  # name -> why


def save_object(path: Path, item: PreparedObject) -> None:
    """Write one object's arrays."""
    arrays: dict[str, Any] = {
        "hull": item.hull, "rest_quats_wxyz": item.rest_quats_wxyz, "rest_weights": item.rest_weights,
        "looks": np.array([[*part.rgb, part.opacity, part.specular] for part in item.parts], np.float32),
    }  # fmt: skip
    for k, part in enumerate(item.parts):
        arrays[f"vertices_{k}"], arrays[f"faces_{k}"] = part.vertices, part.faces
        if part.texture is not None:
            arrays[f"texcoords_{k}"], arrays[f"texture_{k}"] = part.texcoords, part.texture
    np.savez_compressed(path, **arrays)


def load_object(path: Path) -> PreparedObject:
    """Read what `save_object` wrote.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or holds something else; names the file.
    """
    try:
        with named_file(path, "a prepared object"), np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
            return _checked(arrays)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path}: expected a prepared object, got a damaged file ({error})") from error


def write_index(folder: Path, index: FolderIndex) -> None:
    """Write `index.json`, last of all: its presence means that the folder is complete."""
    content = {"format": FORMAT, **asdict(index)}
    (folder / INDEX_FILE).write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_index(folder: Path) -> FolderIndex:
    """Read which objects a folder holds.

    Args:
        folder: As `pan3d sim objects fetch` writes it.

    Returns:
        Its index.

    Raises:
        ValueError: It is no such folder, or of another format.
    """
    path = Path(folder) / INDEX_FILE
    if not path.is_file():
        raise ValueError(
            f"objects: expected a folder that `pan3d sim objects fetch` has written, got {folder} without {INDEX_FILE}"
        )
    content = read_json_object(path, "the index of modelled objects")
    with named_file(path, "an index of modelled objects"):
        if content.get("format") != FORMAT:
            raise ValueError(f"format: expected {FORMAT}, got {content.get('format')!r}; fetch the objects again")
        objects = tuple(ObjectFacts(**{**row, "materials": tuple(row["materials"])}) for row in content["objects"])
        for row in objects:
            inside(folder, row.file, f"{path}: file")
            if row.split not in SPLITS:
                raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {row.split!r} for {row.name}")
        return FolderIndex(str(content["source"]), objects, dict(content["left_out"]))


def _checked(arrays: dict[str, np.ndarray]) -> PreparedObject:
    parts = []
    for k, look in enumerate(arrays["looks"].astype(float)):
        vertices, faces = arrays[f"vertices_{k}"], arrays[f"faces_{k}"]
        texture, texcoords = arrays.get(f"texture_{k}"), arrays.get(f"texcoords_{k}")
        if vertices.ndim != 2 or vertices.shape[1] != 3 or not np.isfinite(vertices).all() or not len(faces):
            raise ValueError(f"vertices_{k}: expected finite (V, 3) with faces, got {vertices.shape} with {len(faces)} faces")
        if faces.shape[1:] != (3,) or faces.min() < 0 or faces.max() >= len(vertices):
            raise ValueError(f"faces_{k}: expected (F, 3) indices below {len(vertices)}, got {faces.shape} up to {faces.max()}")
        if texture is not None and (texture.ndim != 3 or texture.shape[2] != 3 or texture.dtype != np.uint8 or not texture.size):
            raise ValueError(f"texture_{k}: expected (h, w, 3) uint8, got {texture.shape} of {texture.dtype}")
        if texture is not None and (texcoords is None or texcoords.shape != (len(vertices), 2)):
            raise ValueError(
                f"texcoords_{k}: expected ({len(vertices)}, 2), got {None if texcoords is None else texcoords.shape}"
            )
        parts.append(PreparedPart(vertices, faces, (look[0], look[1], look[2]), look[3], look[4], texcoords, texture))
    quats, weights = arrays["rest_quats_wxyz"], arrays["rest_weights"]
    if not parts or quats.ndim != 2 or quats.shape[1] != 4 or len(weights) != len(quats) or not np.abs(quats).sum(1).all():
        raise ValueError(f"rest_quats_wxyz: expected parts and (N, 4) with a weight each, got {len(parts)} and {quats.shape}")
    return PreparedObject(tuple(parts), arrays["hull"], quats, weights)
