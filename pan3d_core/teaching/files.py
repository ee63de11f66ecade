"""A library of taught objects as a folder: one folder for each object, which people can read, copy and delete.

LIBRARY/blue_valve/
  object.json        name, sizes, colours in words, engine, when: the card
  model.ply          its points with colours, in the frame of its box
  looks.safetensors  what it is recognised by
  view_0.png ...     what the views showed of it
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from pan3d_core.pictures.cloud_files import read_ply, write_ply
from pan3d_core.pictures.overlays import save
from pan3d_core.runtime.checksums import check_checksum, read_stored, write_weights
from pan3d_core.runtime.files import inside, named_file, read_json_object, written_whole
from pan3d_core.structures import require_shape
from pan3d_core.teaching.looks import COLOR_BINS, DISTANCE_BINS, TEXTURE_BINS, Looks
from pan3d_core.teaching.objects import TaughtLibrary, TaughtObject, checked_name, key_of
from pan3d_core.views.image_files import read_pixels

FORMAT, VERSION = "pan3d-taught-object", 1
CARD, MODEL, LOOKS = "object.json", "model.ply", "looks.safetensors"
MAX_ARCHIVE_BYTES = 1 << 30  # of what an archive unpacks to
_CARD_FIELDS: Mapping[str, type] = {"name": str, "description": str, "engine": str, "stamp_ns": int, "checkpoint": str}
_COLORS = int(np.prod(COLOR_BINS))
# Tensors of `looks.safetensors`, each a field of `Looks`.
_NEEDED: Mapping[str, tuple[int | None, ...]] = {
    "colors": (None, _COLORS), "pixels": (None,), "textures": (None, TEXTURE_BINS), "tone": (6,),
}  # fmt: skip
_OPTIONAL: Mapping[str, tuple[int | None, ...]] = {
    "size_m": (3,), "spread_m": (3,), "distances": (DISTANCE_BINS,), "vectors": (None, None), "meaning": (None,),
    "crops": (None, None),
}  # fmt: skip


def write_object(library: Path, item: TaughtObject, *, replace: bool = False) -> Path:
    """Write a taught object into its folder, whole or not at all.

    Args:
        library: The folder of all objects, made where needed.
        item: The object.
        replace: Whether an object of the same name may be there, which then goes.

    Returns:
        The folder of the object.

    Raises:
        ValueError: The name is taken.
        OSError: It cannot be written; what was there stays.
    """
    path = Path(library) / key_of(checked_name(item.name))
    if path.exists() and not replace:
        raise ValueError(f"name: expected one that is not taken, got {item.name!r}, which {path} holds already (see --replace)")
    before = path.with_name(f".{path.name}.{uuid4().hex[:12]}")
    with written_whole(path) as part:
        part.mkdir()
        write_ply(part / MODEL, item.cloud)
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in _arrays(item.looks)}
        write_weights(part / LOOKS, tensors, {"format": FORMAT, "checkpoint": item.looks.checkpoint, "space": item.looks.space})
        for index, picture in enumerate(item.thumbnails):
            save(part / f"view_{index}.png", picture)
        (part / CARD).write_text(json.dumps(_card(item), indent=1, ensure_ascii=False), encoding="utf-8")
        if path.exists():
            path.rename(before)
    shutil.rmtree(before, ignore_errors=True)
    return path


def _arrays(looks: Looks) -> Iterator[tuple[str, np.ndarray]]:
    for name in (*_NEEDED, *_OPTIONAL):
        if (value := getattr(looks, name)) is not None:
            yield name, value


def _card(item: TaughtObject) -> dict[str, Any]:
    looks = item.looks
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": item.name,
        "description": item.description,
        "size_m": None if looks.size_m is None else [round(float(side), 4) for side in looks.size_m],
        "views": len(looks.pixels),
        "points": len(item.cloud.points),
        "engine": item.engine,
        "checkpoint": looks.checkpoint,
        "stamp_ns": item.stamp_ns,
    }


def read_object(folder: Path) -> TaughtObject:
    """Read the folder of one object, strictly.

    Args:
        folder: As `write_object` makes it.

    Returns:
        The object.

    Raises:
        FileNotFoundError: One of its files is missing; names it.
        ValueError: One of them is damaged; names the file and the field.
    """
    card = read_json_object(folder / CARD, "the card of a taught object")
    with named_file(folder / CARD, "the card of a taught object"):
        if (card.get("format"), card.get("version")) != (FORMAT, VERSION):
            raise ValueError(f"format: expected {FORMAT!r} {VERSION}, got {card.get('format')!r} {card.get('version')!r}")
        for name, kind in _CARD_FIELDS.items():
            if not isinstance(card.get(name), kind) or isinstance(card.get(name), bool):
                raise ValueError(f"{name}: expected {kind.__name__}, got {card.get(name)!r}")
        own_name = checked_name(card["name"])
        if key_of(own_name) != folder.name:
            raise ValueError(f"name: expected one whose folder is {folder.name!r}, got {own_name!r}")
    if not (folder / MODEL).is_file():
        raise FileNotFoundError(f"model: expected a file {folder / MODEL}, which does not exist")
    cloud = read_ply(folder / MODEL)
    tensors, metadata = read_stored(folder / LOOKS, "looks", "what an object is recognised by")
    check_checksum(folder / LOOKS, tensors, metadata)
    with named_file(folder / LOOKS, "what an object is recognised by"):
        looks = _looks(tensors, metadata)
        if looks.checkpoint != card["checkpoint"]:
            raise ValueError(f"checkpoint: expected {card['checkpoint'][:16]!r} as in {CARD}, got {looks.checkpoint[:16]!r}")
    pictures = tuple(read_pixels(path, f"{path}", upright=False) for path in sorted(folder.glob("view_*.png")))
    return TaughtObject(own_name, looks, cloud, pictures, card["description"], card["engine"], card["stamp_ns"])


def _looks(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Looks:
    for name, shape in _NEEDED.items():
        if name not in tensors:
            raise ValueError(f"{name}: expected a tensor, got none")
        require_shape(name, tensors[name], shape)
    for name, shape in _OPTIONAL.items():
        if name in tensors:
            require_shape(name, tensors[name], shape)
    for name, values in tensors.items():
        if values.dtype != torch.float32 or not bool(values.isfinite().all()) or not values.numel():
            raise ValueError(f"{name}: expected finite 32-bit numbers, got {values.dtype} of shape {tuple(values.shape)}")
    count = len(tensors["colors"])
    if len(tensors["pixels"]) != count or len(tensors["textures"]) != count or bool((tensors["pixels"] <= 0).any()):
        counts = f"{len(tensors['pixels'])} and {len(tensors['textures'])}"
        raise ValueError(f"pixels, textures: expected rows for each of {count} views, all of some pixels, got {counts}")
    known = {name: tensors[name].numpy() for name in (*_NEEDED, *_OPTIONAL) if name in tensors}
    return Looks(**known, space=metadata.get("space", ""), checkpoint=metadata.get("checkpoint", ""))


def read_library(folder: Path) -> TaughtLibrary:
    """Read all objects of a library. One that is damaged is left out, and the others serve.

    Args:
        folder: Of the library.

    Returns:
        The objects, and why entries were left out, each with file and field.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"objects: expected a folder of taught objects, got {folder}, which does not exist")
    found, skipped = TaughtLibrary(), []
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        try:
            found = found.with_object(read_object(path))
        except (ValueError, OSError) as error:
            skipped.append(f"{path.name} is left out: {error}")
    return TaughtLibrary(found.objects, tuple(skipped))


def forget_object(library: Path, name: str) -> Path:
    """Delete an object's folder, whatever state it is in.

    Args:
        library: The folder of all objects.
        name: Of the object.

    Returns:
        The folder that was deleted.

    Raises:
        ValueError: There is none of this name; lists those that there are.
    """
    path = Path(library) / key_of(name)
    if not key_of(name) or not path.is_dir():
        names = read_library(library).names
        raise ValueError(f"name: expected one of {', '.join(names) or 'none, as nothing was taught'}, got {name!r}")
    gone = path.with_name(f".{path.name}.{uuid4().hex[:12]}")
    path.rename(gone)  # at once for readers, however long deleting takes
    shutil.rmtree(gone)
    return path


def export_objects(library: Path, archive: Path, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Write objects into one file for another robot.

    Args:
        library: The folder of all objects.
        archive: The .zip file; an older one is replaced.
        names: Of the objects; empty = all.

    Returns:
        Their names.

    Raises:
        ValueError: A name is unknown, there is nothing to write, or the file has another ending.
        FileNotFoundError: There is no library.
    """
    if archive.suffix != ".zip":
        raise ValueError(f"out: expected a file ending in .zip, got {archive}")
    known = read_library(library)
    chosen = tuple(_found(known, name) for name in names) or known.objects
    if not chosen:
        raise ValueError(f"objects: expected at least one in {library}, got none")
    with written_whole(archive) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as stream:
        for item in chosen:
            key = key_of(item.name)
            for path in sorted((Path(library) / key).iterdir()):
                stream.write(path, f"{key}/{path.name}")
    return tuple(item.name for item in chosen)


def _found(library: TaughtLibrary, name: str) -> TaughtObject:
    item = library.find(name)
    if item is None:
        raise ValueError(f"name: expected one of {', '.join(library.names) or 'none'}, got {name!r}")
    return item


def import_objects(library: Path, archive: Path, *, replace: bool = False) -> TaughtLibrary:
    """Take the objects of a file that `export_objects` wrote. All of them are read before one is written.

    Args:
        library: The folder of all objects, made where needed.
        archive: The .zip file.
        replace: Whether objects of the same names give way.

    Returns:
        The objects that were taken; `skipped` says why others were not.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such archive, or a name is taken.
    """
    if not archive.is_file():
        raise FileNotFoundError(f"archive: expected a file of taught objects, got {archive}, which does not exist")
    with tempfile.TemporaryDirectory() as name, named_file(archive, "an archive of taught objects"):
        with zipfile.ZipFile(archive) as stream:
            if sum(item.file_size for item in stream.infolist()) > MAX_ARCHIVE_BYTES:
                raise ValueError(f"expected at most {MAX_ARCHIVE_BYTES} bytes when unpacked, got more")
            for item in stream.infolist():
                path = inside(Path(name), item.filename, "an entry")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(stream.read(item))
        found = read_library(Path(name))
    taken = [item.name for item in found.objects if (Path(library) / key_of(item.name)).exists()]
    if taken and not replace:
        raise ValueError(f"name: expected names that are not taken, got {', '.join(taken)} (see --replace)")
    for taken_over in found.objects:
        write_object(library, taken_over, replace=replace)
    return found
