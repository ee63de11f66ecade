"""Triangles and per-element numbers of PLY meshes, in any order and type of properties."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pan3d_core.runtime.files import named_file

SCALARS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "<"}
INDEX_LISTS = ("vertex_indices", "vertex_index")


@dataclass(frozen=True)
class PlyMesh:
    """Vertices and polygons of equal size."""

    vertices: np.ndarray  # (N, 3) float64, the file's unit
    faces: np.ndarray  # (F, K) int64 vertex numbers, K corners each; (0, 3) for a file without faces
    face_properties: dict[str, np.ndarray] = field(default_factory=dict)  # (F,) further numbers of each face

    @property
    def triangles(self) -> np.ndarray:
        """(F (K - 2), 3) fans of the polygons, those of one polygon next to each other."""
        corners = self.faces.shape[1]
        fans = [self.faces[:, [0, corner, corner + 1]] for corner in range(1, corners - 1)]
        return np.stack(fans, axis=1).reshape(-1, 3)


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[tuple[str, ...], ...]  # (type, name) or ("list", type of count, type of entry, name)


def read_ply_mesh(path: Path) -> PlyMesh:
    """Read a mesh. Raises `ValueError` naming the file for another format, polygons of several sizes, or a cut-off file."""
    with named_file(path, "a PLY mesh"):
        mesh = _mesh_of(path, path.read_bytes())
        if mesh.faces.size and not 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices):
            raise ValueError(f"{path}: face: expected numbers of {len(mesh.vertices)} vertices, got others")
    return mesh


def _mesh_of(path: Path, content: bytes) -> PlyMesh:
    header, separator, body = content.partition(b"end_header\n")
    lines = header.decode("ascii", errors="replace").replace("\r", "").split("\n")
    if lines[0] != "ply" or not separator:
        raise ValueError(f"{path}: expected a PLY file, got one that starts with {content[:16]!r}")
    kind = next((line.split()[1] for line in lines if line.startswith("format ")), "")
    if kind not in BYTE_ORDERS:
        raise ValueError(f"{path}: format: expected one of {', '.join(BYTE_ORDERS)}, got {kind!r}")
    tables = _ascii_tables(body, _elements(lines)) if kind == "ascii" else _binary_tables(path, body, lines, BYTE_ORDERS[kind])
    if "vertex" not in tables or not {"x", "y", "z"} <= set(tables["vertex"]):
        raise ValueError(f"{path}: expected vertices with x, y and z, got elements {', '.join(tables) or 'none'}")
    vertices = np.stack([tables["vertex"][axis] for axis in "xyz"], axis=1).astype(np.float64)
    face_table = tables.get("face", {})
    faces = next((face_table[name] for name in INDEX_LISTS if name in face_table), np.zeros((0, 3)))
    others = {name: values for name, values in face_table.items() if values.ndim == 1}
    return PlyMesh(vertices, faces.astype(np.int64), others)


def _elements(lines: list[str]) -> list[_Element]:
    found: list[_Element] = []
    for words in (line.split() for line in lines):
        if words[:1] == ["element"]:
            if len(words) != 3 or not words[2].isdecimal():
                raise ValueError(f"header: expected 'element NAME COUNT', got {' '.join(words)!r}")
            found.append(_Element(words[1], int(words[2]), ()))
        elif words[:1] == ["property"]:
            last = found[-1]
            found[-1] = _Element(last.name, last.count, (*last.properties, tuple(words[1:])))
    return found


def _binary_tables(path: Path, body: bytes, lines: list[str], order: str) -> dict[str, dict[str, np.ndarray]]:
    tables, start = {}, 0
    for element in _elements(lines):
        dtype = _row_type(element, body[start:], order)
        end = start + element.count * dtype.itemsize
        if end > len(body):
            raise ValueError(f"{path}: expected {end} bytes after the header, got {len(body)}")
        rows = np.frombuffer(body, dtype=dtype, count=element.count, offset=start)
        for name in dtype.names or ():
            if name.startswith("count of ") and len(rows) and not (rows[name] == rows[name][0]).all():
                raise ValueError(f"{path}: {element.name}: expected lists of one length, got several")
        tables[element.name] = {name: rows[name] for name in dtype.names or () if not name.startswith("count of ")}
        start = end
    return tables


def _row_type(element: _Element, body: bytes, order: str) -> np.dtype:
    """Type of one row; a list gets the length that it has in the first row."""
    fields: list[tuple] = []
    for words in element.properties:
        if words[0] != "list":
            fields.append((words[1], order + SCALARS[words[0]]))
            continue
        place = np.dtype(fields).itemsize
        count_type = np.dtype(order + SCALARS[words[1]])
        length = int(np.frombuffer(body, count_type, 1, place)[0]) if element.count else 0
        fields += [(f"count of {words[3]}", count_type), (words[3], order + SCALARS[words[2]], (length,))]
    return np.dtype(fields)


def _ascii_tables(body: bytes, elements: list[_Element]) -> dict[str, dict[str, np.ndarray]]:
    rows = [line.split() for line in body.decode("ascii").splitlines() if line.strip()]
    tables: dict[str, dict[str, np.ndarray]] = {}
    for element in elements:
        mine, rows = rows[: element.count], rows[element.count :]
        numbers = np.array(mine, dtype=np.float64).reshape(element.count, -1)
        table, column = {}, 0
        for words in element.properties:
            if words[0] == "list":
                length = int(numbers[0, column]) if element.count else 0
                table[words[3]] = numbers[:, column + 1 : column + 1 + length]
                column += 1 + length
            else:
                table[words[1]] = numbers[:, column]
                column += 1
        tables[element.name] = table
    return tables
