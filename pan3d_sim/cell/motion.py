"""Rigid motions of (4, 4) poses in numpy."""

from __future__ import annotations

import numpy as np


def displacement(poses: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Translation (m) and rotation (deg) between two (N, 4, 4) sets of poses."""
    shift = np.linalg.norm(poses[:, :3, 3] - reference[:, :3, 3], axis=1)
    trace = np.einsum("nij,nij->n", poses[:, :3, :3], reference[:, :3, :3])
    return shift, np.degrees(np.arccos(np.clip((trace - 1) / 2, -1.0, 1.0)))


def raised(pose: np.ndarray, height_m: float) -> np.ndarray:
    """Copy of a (4, 4) pose, higher along world z."""
    raised = pose.copy()
    raised[2, 3] += height_m
    return raised


def rotation(axis: np.ndarray, angle_rad: float) -> np.ndarray:
    """(3, 3) rotation about a unit axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross


def between(start: np.ndarray, goal: np.ndarray, t: float) -> np.ndarray:
    """Pose at fraction t of the way; the rotation turns about one fixed axis."""
    pose = start.copy()
    pose[:3, 3] += t * (goal[:3, 3] - start[:3, 3])
    relative = start[:3, :3].T @ goal[:3, :3]
    angle = np.arccos(np.clip((np.trace(relative) - 1) / 2, -1.0, 1.0))
    if angle > 1e-6:
        axis = np.array([relative[2, 1] - relative[1, 2], relative[0, 2] - relative[2, 0], relative[1, 0] - relative[0, 1]])
        pose[:3, :3] = start[:3, :3] @ rotation(axis / (2 * np.sin(angle)), t * angle)
    return pose
