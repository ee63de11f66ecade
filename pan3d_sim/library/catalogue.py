"""Reading the catalogues of Sweet Home 3D (`.sh3f`): a zip archive of models in OBJ form and a table of their real sizes."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

_ENTRY = re.compile(r"(\w+)#(\d+)\s*=\s*(.*)")
_TABLE = "PluginFurnitureCatalog.properties"
_Y_UP_TO_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True)
class CatalogueEntry:
    """One model of a catalogue."""

    model: str  # name within the catalogue
    obj_path: str  # within the archive
    author: str
    size_m: np.ndarray  # (3,) width, depth and height: extents along x, y and z of the model standing upright
    upright_from_file: np.ndarray  # (3, 3) rotation from the axes of the OBJ file to z up


def read_catalogue(archive: zipfile.ZipFile) -> dict[str, CatalogueEntry]:
    """Read the table of a catalogue.

    Args:
        archive: The opened `.sh3f` file.

    Returns:
        Name of the model -> where it lies, how large it is and who made it.

    Raises:
        ValueError: The archive has no such table, or a row lacks a size.
    """
    try:
        text = archive.read(_TABLE).decode("latin-1")
    except KeyError:
        raise ValueError(f"{archive.filename}: expected a catalogue with {_TABLE}, got none") from None
    rows: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        if match := _ENTRY.match(line):
            rows.setdefault(int(match[2]), {})[match[1]] = match[3].strip()
    try:
        entries = [_entry(row) for row in rows.values()]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{archive.filename}: {_TABLE}: expected model, id and sizes in every row, got {error!r}") from error
    return {entry.model: entry for entry in entries}


def read_member(archive: zipfile.ZipFile, path: str) -> bytes:
    """Content of a file in the archive. Raises `ValueError` that names it where it is missing or damaged."""
    try:
        return archive.read(path)
    except KeyError:
        raise ValueError(f"{archive.filename}: expected {path}, got none") from None
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError) as error:
        raise ValueError(f"{archive.filename}: {path} is damaged: {error}") from error


def beside(path: str, name: str) -> str:
    """Path within the archive of a file that another one names relative to itself."""
    parts: list[str] = []
    for part in (*PurePosixPath(path).parent.parts, *PurePosixPath(name.replace("\\", "/")).parts):
        if part == "..":
            parts = parts[:-1]
        elif part not in (".", "/"):
            parts.append(part)
    return "/".join(parts)


def open_catalogue(path: Path) -> zipfile.ZipFile:
    """Open a `.sh3f` file. Raises `ValueError` where it is no such archive."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path}: expected a catalogue of models, got {error}") from error


def _entry(row: dict[str, str]) -> CatalogueEntry:
    turn = np.array([float(x) for x in row.get("modelRotation", "1 0 0 0 1 0 0 0 1").split()]).reshape(3, 3)
    size = np.array([float(row[name]) for name in ("width", "depth", "height")]) / 100
    return CatalogueEntry(row["id"].split("#")[-1], row["model"].lstrip("/"), row.get("creator", ""), size, _Y_UP_TO_Z_UP @ turn)
