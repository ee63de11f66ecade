"""Clouds with known shapes: points and outward normals on boxes, cylinders, balls, bowls and plates, as panoptic scenes."""

import numpy as np
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import Panoptic3D, Segment

SPACING = 0.005


def box_surface(center, size, rng):
    """Points and outward normals of an upright box."""
    points, normals = [], []
    for axis in range(3):
        u, v = [k for k in range(3) if k != axis]
        for sign in (-1, 1):
            count = max(4, int(size[u] * size[v] / SPACING**2))
            face = rng.uniform(-0.5, 0.5, (count, 3)) * size
            face[:, axis] = sign * size[axis] / 2
            normal = np.zeros((count, 3))
            normal[:, axis] = sign
            points.append(face + center)
            normals.append(normal)
    return np.concatenate(points), np.concatenate(normals)


def cylinder_surface(center, radius, height, rng, lid=True):
    angle = rng.uniform(-np.pi, np.pi, max(8, int(2 * np.pi * radius * height / SPACING**2)))
    normal = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], 1)
    points = normal * radius + np.column_stack([np.zeros((len(angle), 2)), rng.uniform(-height / 2, height / 2, len(angle))])
    if lid:
        flat = rng.uniform(-radius, radius, (int(4 * radius**2 / SPACING**2), 2))
        flat = flat[np.linalg.norm(flat, axis=1) < radius]
        points = np.concatenate([points, np.column_stack([flat, np.full(len(flat), height / 2)])])
        normal = np.concatenate([normal, np.tile([0.0, 0.0, 1.0], (len(flat), 1))])
    return points + center, normal


def sphere_surface(center, radius, rng):
    normal = rng.normal(size=(int(4 * np.pi * radius**2 / SPACING**2), 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return normal * radius + center, normal


def bowl_surface(center, radius, height, rng, wall=0.005):
    """A cone that opens upwards, seen from outside and inside."""
    outer, normal = cylinder_surface(np.zeros(3), 1.0, height, rng, lid=False)
    growth = 0.5 + 0.5 * (outer[:, 2] / height + 0.5)
    outside, inside = outer.copy(), outer.copy()
    outside[:, :2] *= (growth * radius)[:, None]
    inside[:, :2] *= (growth * radius - wall)[:, None]
    thin = rng.random(len(outer)) < radius
    return np.concatenate([outside[thin], inside[thin]]) + center, np.concatenate([normal[thin], -normal[thin]])


def as_scene(*objects, noise=0.0, seed=0):
    """Panoptic scene of (points, normals) clouds with ids 1, 2, ..."""
    rng = np.random.default_rng(seed)
    segments, ids = [], []
    for index, (points, _) in enumerate(objects, 1):
        low, high = points.min(0), points.max(0)
        world_from_box = torch.eye(4)
        world_from_box[:3, 3] = torch.from_numpy((low + high) / 2)
        box = OrientedBox(world_from_box, torch.from_numpy(high - low).float())
        centroid = torch.from_numpy(points.mean(0)).float()
        segments.append(Segment(index, 0, 1.0, 1.0, len(points), 4, centroid, box, torch.zeros(3)))
        ids.append(np.full(len(points), index))
    points = np.concatenate([p for p, _ in objects])
    normals = np.concatenate([n for _, n in objects])
    points = points + rng.normal(0, noise, points.shape)
    normals = normals + rng.normal(0, noise * 60, normals.shape)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    grid = torch.zeros(1, 2, 2, dtype=torch.int64)
    return Panoptic3D(
        grid - 1, grid, tuple(segments), torch.from_numpy(points).float(), torch.zeros(len(points), 3),
        torch.from_numpy(np.concatenate(ids)), torch.from_numpy(normals).float(), LabelSpace.things(["thing"]), stamp_ns=5,
    )  # fmt: skip


def plate_surface(radius, height, rng, thick=0.004):
    """A flat bottom and a rim that rises by `height` over the outer 40 % of the radius, seen from above and below."""
    count = int(np.pi * radius**2 / SPACING**2)
    r, angle = radius * np.sqrt(rng.random(2 * count)), rng.uniform(-np.pi, np.pi, 2 * count)
    slope = np.where(r > 0.6 * radius, height / (0.4 * radius), 0.0)
    z = slope * (r - 0.6 * radius)
    around = np.stack([np.cos(angle), np.sin(angle)], 1)
    up = np.column_stack([-slope[:, None] * around, np.ones(2 * count)])
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    top = np.column_stack([around * r[:, None], z + thick])
    bottom = np.column_stack([around * r[:, None], z])
    return np.concatenate([top[:count], bottom[count:]]), np.concatenate([up[:count], -up[count:]])
