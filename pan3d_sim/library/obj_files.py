"""Wavefront OBJ and MTL as far as models of things need them: polygons, texture coordinates, colours, textures, opacity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

DEFAULT_RGB = (0.7, 0.7, 0.7)


@dataclass(frozen=True)
class ObjMaterial:
    """How a part of a model looks."""

    rgb: tuple[float, float, float] = DEFAULT_RGB
    opacity: float = 1.0
    specular: float = 0.0  # mean of the mirrored colour, 0..1
    texture: str = ""  # file that the MTL names, "" = none


@dataclass(frozen=True)
class ObjPart:
    """All triangles of one material. Row k of `corners` and of `texcoord_corners` are the same triangle."""

    material: ObjMaterial
    corners: np.ndarray  # (F, 3) indices of vertices
    texcoord_corners: np.ndarray  # (F, 3) indices of texture coordinates, -1 = none


@dataclass(frozen=True)
class ObjModel:
    """A model as its file has it."""

    vertices: np.ndarray  # (V, 3)
    texcoords: np.ndarray  # (T, 2), v counts upwards
    parts: tuple[ObjPart, ...]


@dataclass
class _Faces:
    corners: list[tuple[int, int, int]] = field(default_factory=list)
    texcoords: list[tuple[int, int, int]] = field(default_factory=list)


def parse_obj(text: str, read_library: Callable[[str], str]) -> ObjModel:
    """Parse an OBJ file.

    Args:
        text: Content of the file.
        read_library: Gives the content of an MTL file that the OBJ names.

    Returns:
        The model in triangles, grouped by material.

    Raises:
        ValueError: A line cannot be understood, indices lead nowhere, or there are no triangles.
    """
    vertices: list[list[float]] = []
    texcoords: list[list[float]] = []
    materials: dict[str, ObjMaterial] = {}
    groups: dict[str, _Faces] = {}
    current = groups.setdefault("", _Faces())
    known: dict[str, tuple[int, int]] = {}  # corners that have been read: each comes about six times
    for number, line in enumerate(text.replace("\\\n", " ").splitlines(), start=1):
        word, _, rest = line.strip().partition(" ")
        try:
            if word == "v":
                vertices.append([float(x) for x in rest.split()[:3]])
            elif word == "vt":
                texcoords.append([float(x) for x in rest.split()[:2]])
            elif word == "f":
                _add_face(current, rest.split(), (len(vertices), len(texcoords)), known)
            elif word == "usemtl":
                current = groups.setdefault(rest.strip(), _Faces())
            elif word == "mtllib":
                materials |= parse_mtl(read_library(rest.strip()))
        except (ValueError, IndexError) as error:
            raise ValueError(f"line {number}: expected {word!r} with numbers, got {line.strip()[:60]!r} ({error})") from error
    return _model(vertices, texcoords, materials, groups)


def parse_mtl(text: str) -> dict[str, ObjMaterial]:
    """Name -> material of an MTL file. Raises `ValueError` for values that are no numbers."""
    found: dict[str, ObjMaterial] = {}
    name = ""
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if word == "newmtl":
            name = rest
            found[name] = ObjMaterial()
        elif name and word == "Kd":
            red, green, blue = (min(max(float(x), 0.0), 1.0) for x in rest.split()[:3])
            found[name] = replace(found[name], rgb=(red, green, blue))
        elif name and word == "Ks":
            found[name] = replace(found[name], specular=float(np.mean([float(x) for x in rest.split()[:3]])))
        elif name and word == "d":
            found[name] = replace(found[name], opacity=float(rest.split()[-1]))
        elif name and word == "map_Kd":
            found[name] = replace(found[name], texture=rest)
    return found


def _add_face(faces: _Faces, corners: list[str], counts: tuple[int, int], known: dict[str, tuple[int, int]]) -> None:
    """Add a polygon as a fan of triangles."""
    found = []
    for corner in corners:
        pair = known.get(corner)
        if pair is None:
            fields = corner.split("/")
            texel = _texel(fields[1], counts[1]) if len(fields) > 1 and fields[1] else -1
            pair = _index(fields[0], counts[0]), texel
            if "-" not in corner:  # indices from the end mean something else further below
                known[corner] = pair
        found.append(pair)
    first = found[0]
    for second, third in zip(found[1:-1], found[2:]):
        faces.corners.append((first[0], second[0], third[0]))
        faces.texcoords.append((first[1], second[1], third[1]))


def _index(text: str, count: int) -> int:
    """Indices count from 1, negative ones from the end."""
    number = int(text)
    index = number - 1 if number > 0 else count + number
    if not 0 <= index < count:
        raise ValueError(f"index {number} of {count}")
    return index


def _texel(text: str, count: int) -> int:
    """Like `_index`, but -1 for what leads nowhere: a wrong spot of a texture spoils no shape, and such files exist."""
    number = int(text)
    index = number - 1 if number > 0 else count + number
    return index if 0 <= index < count else -1


def _model(
    vertices: list[list[float]], texcoords: list[list[float]], materials: dict[str, ObjMaterial], groups: dict[str, _Faces]
) -> ObjModel:
    parts = []
    for name, faces in groups.items():
        if faces.corners:
            corners, texels = np.array(faces.corners, np.int64), np.array(faces.texcoords, np.int64)
            parts.append(ObjPart(materials.get(name, ObjMaterial()), corners, texels))
    points = np.array(vertices, float).reshape(-1, 3)
    if not parts or not np.isfinite(points).all():
        raise ValueError(f"model: expected triangles with finite vertices, got {len(points)} vertices in {len(parts)} parts")
    return ObjModel(points, np.array(texcoords, float).reshape(-1, 2), tuple(parts))
