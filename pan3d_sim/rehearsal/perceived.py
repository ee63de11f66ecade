"""What is known of objects, and several ways in which the sides that nobody saw may go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy.spatial import cKDTree

from pan3d_core.grasping.completion import complete_surface
from pan3d_core.grasping.object_cloud import clean_surface, thin_surface
from pan3d_core.structures import Panoptic3D
from pan3d_sim.rehearsal.parts import ConvexParts, convex_parts

NEAR_M = 0.12  # objects further from the target than this, box from box, are left out
MOST_POINTS, MOST_GUESSED = 420, 260  # of a surface
PARTS_OF_TARGET, PARTS_OF_OTHERS = 16, 8
MORE_M = 0.006  # that unseen sides may reach further out than they are likely to
TOUCH_M, BESIDE_M = 0.004, 0.010  # how near guessed points are to another object's surface, in space and from above
UNKNOWN_SIGMA_M = 0.003  # of a place of which no covariance is known


class Unseen(Enum):
    """How an object goes on where nobody looked."""

    LIKELY = "likely"  # turned about its axis, or straight down to what it stands on
    NOTHING = "nothing"  # it ends where it was seen to end
    MORE = "more"  # as likely, and further out


ALTERNATIVES = tuple(Unseen)


@dataclass(frozen=True)
class PerceivedObject:
    """One object of a scene; float32 arrays, metres, world frame."""

    instance_id: int
    points: np.ndarray  # (N, 3) that were seen
    normals: np.ndarray  # (N, 3) unit, outward
    guessed: np.ndarray  # (K, 3) of sides that were not
    guessed_normals: np.ndarray  # (K, 3)
    axes: np.ndarray  # (3, 3) of its box
    covariance: np.ndarray  # (3, 3) m^2 of its place

    def parts(self, unseen: Unseen, most: int) -> ConvexParts:
        """Its convex parts, if its unseen sides are like this."""
        if unseen is Unseen.NOTHING:
            return convex_parts(self.points, self.normals, np.zeros(len(self.points), bool), self.axes, most)
        further = MORE_M if unseen is Unseen.MORE else 0.0
        guessed = self.guessed + further * self.guessed_normals
        points, normals = np.concatenate([self.points, guessed]), np.concatenate([self.normals, self.guessed_normals])
        return convex_parts(points, normals, np.arange(len(points)) >= len(self.points), self.axes, most)


def perceived_objects(panoptic: Panoptic3D, instance_id: int, support_height_m: float) -> tuple[PerceivedObject, ...]:
    """Take an object and what is around it out of a scene.

    Args:
        panoptic: Metric, z up.
        instance_id: The object that is to be held.
        support_height_m: World z of what things stand on.

    Returns:
        The object first, then its neighbours; without those of which too little was seen.

    Raises:
        KeyError: The object is not in the scene.
    """
    target = panoptic.segment(instance_id)
    points, ids = panoptic.points.cpu().numpy().astype(np.float32), panoptic.point_instance_id.cpu().numpy()
    normals = panoptic.point_normals.cpu().numpy().astype(np.float32)
    own = points[ids == instance_id]
    low, high = own.min(0, initial=np.inf) - NEAR_M, own.max(0, initial=-np.inf) + NEAR_M
    surfaces = []
    for segment in (target, *(item for item in panoptic.segments if item.instance_id != instance_id)):
        rows = ids == segment.instance_id
        if not ((points[rows] > low) & (points[rows] < high)).all(1).any():
            continue
        seen = thin_surface(*clean_surface(points[rows], normals[rows], support_height_m), MOST_POINTS)
        if len(seen[0]):
            surfaces.append((segment, *seen))
    found = []
    for segment, seen_points, seen_normals in surfaces:
        axes = segment.box.world_from_box[:3, :3].double().cpu().numpy()
        guessed = complete_surface(seen_points, seen_normals, axes, support_height_m)
        guessed = thin_surface(*_possible(*guessed, seen_points, [o for s, o, _ in surfaces if s is not segment]), MOST_GUESSED)
        known = segment.position_covariance
        covariance = np.eye(3) * UNKNOWN_SIGMA_M**2 if known is None else known.double().cpu().numpy()
        found.append(PerceivedObject(segment.instance_id, seen_points, seen_normals, *guessed, axes, covariance))
    return tuple(found)


def _possible(
    guessed: np.ndarray, normals: np.ndarray, seen: np.ndarray, others: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Without what would be inside of others: what goes on below one ends on it, what is at the surface of one is left out.

    Where it ends matters: what rests on the target falls when the target is taken away.
    """
    if len(guessed) == 0 or not others:
        return guessed, normals
    around = np.concatenate(list(others))
    above = seen[cKDTree(seen[:, :2]).query(guessed[:, :2])[1], 2]  # height at which the object was seen there
    ends = guessed.copy()
    for row, near in enumerate(cKDTree(around[:, :2]).query_ball_point(guessed[:, :2], BESIDE_M)):
        heights = around[near, 2]
        ends[row, 2] = heights[(heights > guessed[row, 2]) & (heights < above[row])].max(initial=guessed[row, 2])
    touching = cKDTree(around).query(guessed, distance_upper_bound=TOUCH_M)[0] < TOUCH_M
    kept = ~touching | (ends[:, 2] > guessed[:, 2])
    return ends[kept], normals[kept]
