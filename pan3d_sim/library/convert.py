"""From a model of a catalogue to a prepared object: real size, z up, few triangles, one part per material, resting poses."""

from __future__ import annotations

import logging
import zipfile
from dataclasses import dataclass

import numpy as np

from pan3d_core.views.image_files import opened_picture
from pan3d_sim.library.catalogue import CatalogueEntry, beside, read_member
from pan3d_sim.library.obj_files import ObjMaterial, ObjModel, ObjPart, parse_obj
from pan3d_sim.library.simplify import Triangles, simplified, unique_rows
from pan3d_sim.objects.coats import mean_rgb
from pan3d_sim.objects.rest_poses import hull_vertices, stable_poses

_log = logging.getLogger("pan3d.sim.library")

MAX_FACES, MAX_PARTS, MAX_TEXTURE = 2500, 8, 256
MIN_EXTENT_M, MIN_OPACITY = 0.02, 0.35
_UV_CELLS = 8  # triangles of one vertex share a texture coordinate where theirs fall into the same of so many cells


@dataclass(frozen=True)
class PreparedPart:
    """Triangles of one material."""

    vertices: np.ndarray  # (V, 3) float32 metres
    faces: np.ndarray  # (F, 3) int32
    rgb: tuple[float, float, float]  # mean colour, of the texture where there is one
    opacity: float
    specular: float
    texcoords: np.ndarray | None = None  # (V, 2) float32, v counts downwards
    texture: np.ndarray | None = None  # (h, w, 3) uint8


@dataclass(frozen=True)
class PreparedObject:
    """A thing standing upright on z = 0, its box centred above the origin."""

    parts: tuple[PreparedPart, ...]  # the largest first
    hull: np.ndarray  # (H, 3) float32 corners of the convex hull
    rest_quats_wxyz: np.ndarray  # (N, 4) upright first
    rest_weights: np.ndarray  # (N,) of all others together 1 where there are any; upright has 0 here


def prepare(archive: zipfile.ZipFile, entry: CatalogueEntry, longest_m: float | None = None) -> PreparedObject:
    """Convert a model.

    Args:
        archive: The catalogue.
        entry: The model's row.
        longest_m: Longest extent where the catalogue's size is not wanted.

    Returns:
        The object with at most about `MAX_FACES` triangles (twice as many where surfaces are seen from both sides).

    Raises:
        ValueError: The model is missing, damaged, flat or does not rest on any side.
    """

    def text_of(name: str) -> str:
        return read_member(archive, beside(entry.obj_path, name)).decode("latin-1")

    model = parse_obj(read_member(archive, entry.obj_path).decode("latin-1"), text_of)
    vertices = _real_size(model.vertices @ entry.upright_from_file.T, model, entry.size_m, longest_m)
    materials, mesh = _merged_parts(model, vertices)
    mesh = simplified(mesh, MAX_FACES)
    parts = [_part(mesh, k, material, archive, entry) for k, material in enumerate(materials) if (mesh.part == k).any()]
    parts.sort(key=lambda part: -_area(part))
    hull = hull_vertices(mesh.vertices)
    quats, weights = stable_poses(hull, _center(mesh))
    upright = np.array([[1.0, 0.0, 0.0, 0.0]])
    return PreparedObject(
        tuple(parts), hull.astype(np.float32), np.concatenate([upright, quats]).astype(np.float32),
        np.concatenate([[0.0], weights]).astype(np.float32),
    )  # fmt: skip


def _real_size(points: np.ndarray, model: ObjModel, size_m: np.ndarray, longest_m: float | None) -> np.ndarray:
    """Scaled so that what the triangles span has the wanted extents; upright on z = 0 above the origin."""
    used = np.unique(np.concatenate([part.corners.ravel() for part in model.parts]))
    low, high = points[used].min(0), points[used].max(0)
    if (high - low).max() <= 0:
        raise ValueError("vertices: expected a thing of some size, got one point")
    wanted = size_m * (longest_m / size_m.max()) if longest_m else size_m
    if wanted.max() < MIN_EXTENT_M:
        raise ValueError(f"size: expected at least {MIN_EXTENT_M} m, got {wanted.max():.3f}")
    scale = np.where(high - low > 1e-9, wanted / np.maximum(high - low, 1e-9), 1.0)
    scaled: np.ndarray = (points - [*(0.5 * (low + high))[:2], low[2]]) * scale
    return scaled


def _merged_parts(model: ObjModel, vertices: np.ndarray) -> tuple[list[ObjMaterial], Triangles]:
    """Triangles of all parts; small parts beyond `MAX_PARTS` take the material with the most similar colour."""
    areas = [_triangle_areas(vertices, part.corners).sum() for part in model.parts]
    order = np.argsort(-np.array(areas))
    kept = [model.parts[k].material for k in order[:MAX_PARTS]]
    corners, texcoords, owner = [], [], []
    for rank, index in enumerate(order):
        part = model.parts[index]
        target = rank if rank < MAX_PARTS else _most_similar(part.material, kept)
        corners.append(part.corners)
        texcoords.append(_corner_texcoords(model, part))
        owner.append(np.full(len(part.corners), target))
    # Vertices at one place are one, so that neighbours stay together when triangles become fewer.
    first, index = _welded(vertices)
    return kept, Triangles(vertices[first], index[np.concatenate(corners)], np.concatenate(texcoords), np.concatenate(owner))


def _welded(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`unique_rows` of places, to a micrometre."""
    return unique_rows(np.round(vertices * 1e6).astype(np.int64))


def _most_similar(material: ObjMaterial, others: list[ObjMaterial]) -> int:
    return int(np.argmin([np.abs(np.subtract(material.rgb, other.rgb)).sum() for other in others]))


def _corner_texcoords(model: ObjModel, part: ObjPart) -> np.ndarray:
    if not len(model.texcoords):
        return np.zeros((len(part.corners), 3, 2))
    found: np.ndarray = np.where(part.texcoord_corners[..., None] >= 0, model.texcoords[part.texcoord_corners], 0.0)
    return found


def _part(mesh: Triangles, index: int, material: ObjMaterial, archive: zipfile.ZipFile, entry: CatalogueEntry) -> PreparedPart:
    own = mesh.part == index
    corners, texels = mesh.corners[own], mesh.texcoords[own]
    texture = _texture(archive, beside(entry.obj_path, material.texture), entry.model) if material.texture else None
    if texture is None:
        used, faces = np.unique(corners, return_inverse=True)
        vertices, texcoords = mesh.vertices[used], None
    else:
        vertices, faces, texcoords = _textured(mesh.vertices, corners, texels)
    faces = faces.reshape(-1, 3)
    if not _is_closed(vertices, faces):
        faces = np.concatenate([faces, faces[:, ::-1] + len(vertices)])
        vertices = np.concatenate([vertices, vertices])
        texcoords = None if texcoords is None else np.concatenate([texcoords, texcoords])
    return PreparedPart(
        vertices.astype(np.float32), faces.astype(np.int32),
        material.rgb if texture is None else mean_rgb(texture), float(np.clip(material.opacity, MIN_OPACITY, 1.0)),
        float(np.clip(material.specular, 0.0, 1.0)),
        None if texcoords is None else texcoords.astype(np.float32), texture,
    )  # fmt: skip


def _textured(vertices: np.ndarray, corners: np.ndarray, texels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and texture coordinates per vertex: a vertex is there once for each patch of the texture it lies in."""
    flat, points = texels.reshape(-1, 2), corners.reshape(-1)
    keys = np.column_stack([points, np.floor(flat * _UV_CELLS).astype(np.int64)])
    first, index = unique_rows(keys)
    members = np.bincount(index)[:, None]
    mean = np.stack([np.bincount(index, flat[:, axis]) for axis in range(2)], axis=1) / members
    return vertices[points[first]], index, np.column_stack([mean[:, 0], 1.0 - mean[:, 1]])


def _texture(archive: zipfile.ZipFile, path: str, model: str) -> np.ndarray | None:
    """(h, w, 3) uint8, at most `MAX_TEXTURE` wide and high; what is transparent takes the colour of the rest. None, with a word,
    where the picture is missing or damaged: the part then has its plain colour."""
    try:
        with opened_picture(read_member(archive, path), path) as picture:
            picture = picture.convert("RGBA")
            picture.thumbnail((MAX_TEXTURE, MAX_TEXTURE))
            pixels = np.array(picture)
    except ValueError as error:
        _log.warning("%s: a part has its plain colour: %s", model, error)
        return None
    seen = pixels[..., 3] > 127
    rgb = pixels[..., :3].copy()
    if seen.any():
        rgb[~seen] = rgb[seen].mean(0)
    return rgb


def _is_closed(vertices: np.ndarray, faces: np.ndarray) -> bool:
    """Whether every edge has exactly one neighbour on the other side and the faces look outwards."""
    welded = _welded(vertices)[1][faces]
    edges = np.concatenate([welded[:, [0, 1]], welded[:, [1, 2]], welded[:, [2, 0]]])
    keys, back = edges[:, 0] * len(vertices) + edges[:, 1], edges[:, 1] * len(vertices) + edges[:, 0]
    if len(np.unique(keys)) < len(keys) or not np.array_equal(np.sort(keys), np.sort(back)):
        return False
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return bool(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() > 0)


def _triangle_areas(vertices: np.ndarray, corners: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[corners[:, k]] for k in range(3))
    areas: np.ndarray = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return areas


def _area(part: PreparedPart) -> float:
    return float(_triangle_areas(part.vertices, part.faces).sum())


def _center(mesh: Triangles) -> np.ndarray:
    """Centre of mass of a shell of even thickness."""
    areas = _triangle_areas(mesh.vertices, mesh.corners)
    middles = mesh.vertices[mesh.corners].mean(1)
    center: np.ndarray = (middles * areas[:, None]).sum(0) / max(areas.sum(), 1e-12)
    return center
