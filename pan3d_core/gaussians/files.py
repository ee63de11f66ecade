"""Scenes of Gaussians from and to files, by suffix: `.safetensors` keeps everything, `.ply` is for other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from pan3d_core.gaussians.ply import read_gaussian_ply, write_gaussian_ply
from pan3d_core.gaussians.scene import GaussianScene, read_gaussian_scene, write_gaussian_scene

PICTURE_HW = (480, 640)  # of a scene whose file says nothing about views


def scene_of_ply(path: Path | str) -> GaussianScene:
    """A scene of a PLY file: no objects, no views, no unit. Errors as `read_gaussian_ply`."""
    gaussians = read_gaussian_ply(path)
    no_ids = torch.zeros(len(gaussians), dtype=torch.int64)
    return GaussianScene(gaussians, no_ids, {}, torch.zeros(0, 4, 4), torch.zeros(0, 3, 3), PICTURE_HW, is_metric=False)


def _write_ply(path: Path | str, scene: GaussianScene) -> None:
    write_gaussian_ply(path, scene.gaussians)


READERS: dict[str, Callable[[Path], GaussianScene]] = {".safetensors": read_gaussian_scene, ".ply": scene_of_ply}
WRITERS: dict[str, Callable[[Path, GaussianScene], None]] = {".safetensors": write_gaussian_scene, ".ply": _write_ply}


def read_scene_file(path: Path | str) -> GaussianScene:
    """Read a scene from either kind of file. Raises `FileNotFoundError`, or `ValueError` for another suffix and damaged files.

    Args:
        path: `.safetensors` or `.ply`; a PLY has no objects, no views and no unit.

    Returns:
        The scene, on the CPU.
    """
    return READERS[_known_suffix(path)](Path(path))


def write_scene_file(path: Path | str, scene: GaussianScene) -> None:
    """Write a scene; `.ply` keeps the Gaussians alone. Raises `ValueError` for another suffix.

    Args:
        path: `.safetensors`, or `.ply` for other viewers; its folder is made where needed.
        scene: Everything of it is kept, but in a PLY.
    """
    WRITERS[_known_suffix(path)](Path(path), scene)


def _known_suffix(path: Path | str) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        raise ValueError(f"scene: expected a file ending in {' or '.join(READERS)}, got {path}")
    return suffix
