"""Measures of closed meshes of triangles."""

from __future__ import annotations

import numpy as np


def corners_of(corners: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T, 3, 3) places of each triangle's corners."""
    return corners[triangles]


def volume(corners: np.ndarray, triangles: np.ndarray) -> float:
    """By the divergence theorem: positive where all triangles are counter-clockwise as seen from outside."""
    a, b, c = corners_of(corners, triangles).transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def gap(corners: np.ndarray, triangles: np.ndarray) -> float:
    """Length of the sum of all faces, as vectors: 0 where the surface is closed."""
    a, b, c = corners_of(corners, triangles).transpose(1, 0, 2)
    return float(np.linalg.norm(np.cross(b - a, c - a).sum(0) / 2))
