"""Coloured clouds with instances as PLY and NPZ files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pan3d_core.runtime.files import refuse_endless, shortened, written_whole
from pan3d_core.structures import Panoptic3D, Reconstruction

PLY_FIELDS = [
    ("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("nx", "<f4"), ("ny", "<f4"), ("nz", "<f4"),
    ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("instance_id", "<i4"),
]  # fmt: skip
PLY_TYPES = {"<f4": "float", "u1": "uchar", "<i4": "int"}


@dataclass(frozen=True)
class Cloud:
    """N points of a scene, as numpy arrays."""

    points: npt.NDArray[np.float32]  # (N, 3) float32 metres, world
    normals: npt.NDArray[np.float32]  # (N, 3) float32 unit
    colors: npt.NDArray[np.uint8]  # (N, 3) uint8 RGB
    instance_id: npt.NDArray[np.int32]  # (N,) int32, 0 = none

    @classmethod
    def of(cls, panoptic: Panoptic3D) -> Cloud:
        """The cloud of a scene."""
        return cls(
            points=panoptic.points.numpy(force=True).astype(np.float32),
            normals=panoptic.point_normals.numpy(force=True).astype(np.float32),
            colors=(panoptic.point_colors * 255).round().clamp(0, 255).numpy(force=True).astype(np.uint8),
            instance_id=panoptic.point_instance_id.numpy(force=True).astype(np.int32),
        )


def write_ply(path: Path | str, cloud: Cloud) -> None:
    """Write a binary little-endian PLY with x y z nx ny nz red green blue instance_id per vertex.

    Args:
        path: The file.
        cloud: Points in metres with normals, colours and ids.
    """
    table = np.empty(len(cloud.points), dtype=PLY_FIELDS)
    for name, column in zip(("x", "y", "z"), cloud.points.T):
        table[name] = column
    for name, column in zip(("nx", "ny", "nz"), cloud.normals.T):
        table[name] = column
    for name, column in zip(("red", "green", "blue"), cloud.colors.T):
        table[name] = column
    table["instance_id"] = cloud.instance_id
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
    header += [f"property {PLY_TYPES[kind]} {name}" for name, kind in PLY_FIELDS] + ["end_header\n"]
    with written_whole(path) as part, part.open("wb") as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(table.tobytes())


def read_ply(path: Path | str) -> Cloud:
    """Read what `write_ply` wrote; `ValueError` for another layout, a cut-off file and places that are not finite.

    Args:
        path: A binary little-endian PLY.

    Returns:
        Points, normals, colours and ids of objects.
    """
    refuse_endless(path, "cloud")
    content = Path(path).read_bytes()
    header, separator, body = content.partition(b"end_header\n")
    lines = header.decode("ascii", errors="replace").split("\n")
    wanted = [f"property {PLY_TYPES[kind]} {name}" for name, kind in PLY_FIELDS]
    if not separator or lines[:2] != ["ply", "format binary_little_endian 1.0"] or lines[3:-1] != wanted:
        names = " ".join(name for name, _ in PLY_FIELDS)
        raise ValueError(f"{path}: expected a binary PLY with {names}, got another layout, which begins {shortened(lines[:9])}")
    element = lines[2].split()
    if len(element) != 3 or element[:2] != ["element", "vertex"] or not element[2].isdecimal():
        raise ValueError(f"{path}: expected 'element vertex COUNT', got {lines[2]!r}")
    count = int(element[2])
    dtype = np.dtype(PLY_FIELDS)
    if len(body) != count * dtype.itemsize:
        raise ValueError(f"{path}: expected {count * dtype.itemsize} bytes after the header, got {len(body)}")
    table = np.frombuffer(body, dtype=dtype)
    points = _columns(table, ("x", "y", "z"))
    if not np.isfinite(points).all():
        raise ValueError(
            f"{path}: x, y, z: expected finite numbers, got NaN or infinity in {(~np.isfinite(points)).any(1).sum()} points"
        )
    return Cloud(
        points=points,
        normals=_columns(table, ("nx", "ny", "nz")),
        colors=_columns(table, ("red", "green", "blue")),
        instance_id=np.array(table["instance_id"]),
    )


def _columns(table: npt.NDArray[np.void], names: tuple[str, ...]) -> npt.NDArray[Any]:
    return np.stack([table[name] for name in names], axis=1)


def write_reconstruction(path: Path | str, reconstruction: Reconstruction, panoptic: Panoptic3D) -> None:
    """Write a compressed NPZ: depth, depth_conf, instance_id and semantic_id (S, h, w), intrinsics, cam_from_world, is_metric.

    Args:
        path: The file.
        reconstruction: Depth and cameras.
        panoptic: Ids and classes of the same pixels.
    """
    with written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            depth=reconstruction.depth.numpy(force=True),
            depth_conf=reconstruction.depth_conf.numpy(force=True),
            instance_id=panoptic.instance_id.numpy(force=True).astype(np.int32),
            semantic_id=panoptic.semantic_id.numpy(force=True).astype(np.int32),
            intrinsics=reconstruction.intrinsics.numpy(force=True),
            cam_from_world=reconstruction.cam_from_world.numpy(force=True),
            is_metric=reconstruction.is_metric,
        )
