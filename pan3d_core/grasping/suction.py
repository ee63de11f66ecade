"""Where a suction cup seals on one object, and whether it holds the object there.

The cup is modelled after Dex-Net 3.0 (Mahler et al. 2018, arXiv 1709.06670): it seals where its lip meets the surface all around
without being bent further than it gives (their section "Seal formation", here a plane through the points under the cup in the
place of springs), and it holds while force and torque about the middle of the lip stay within the constraints of their section
"Wrench space analysis", for a cup of radius r that presses with f_N = V - pull, V the vacuum's force:

    friction  sqrt(3) |f_x|, sqrt(3) |f_y| <= mu f_N   and   sqrt(3) |tau_z| <= r mu f_N
    material  sqrt(2) |tau_x|, sqrt(2) |tau_y| <= pi r kappa
    suction   pull <= V

Their kappa is a constant of the material. Here it is f_N / (2 pi): a torque tau loads a ring by tau / (pi r^2) a metre on one
side, and the lip lifts off where that is as much as the vacuum presses it, f_N / (2 pi r).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import ConvexHull, QhullError, cKDTree

from pan3d_core.config import GraspConfig, SuctionConfig
from pan3d_core.grasping.answers import GraspResult, SuctionCounts, best_apart
from pan3d_core.grasping.object_cloud import ObjectCloud
from pan3d_core.grasping.scoring import COVERED_COST, TILT_COST
from pan3d_core.structures import GraspTarget, Panoptic3D

GRAVITY = 9.81
SUCTION_POINTS = 6000  # of the surface: all around the lip of a cup on a large object there must be some
SECTORS = 8  # of the lip, in each of which some surface must have been seen
RING = (1.0, 1.4)  # shares of the radius between which the surface must go on: the lip may be a little beside its place
SAME_FACE, GOES_ON = 0.3, 0.8  # cosines of normals of points that may be under the cup together, and around it
UNDER_M = 0.015  # points further before or behind the plane than this are of another face
FITS = 2  # of the plane: points, then those under the cup along its normal
LIP = (0.75, 1.15)  # shares of the radius between which points are under the lip
USABLE_GIVE = 0.8  # share of what the lip gives: smoothing makes round surfaces flatter than they are
UNEVEN_SHARES = (0.04, 0.96)  # quantiles of the heights under the lip between which it must follow
BEHIND_M = 0.004  # what is this far behind the lip is in the way of the cup
MIN_SCORE = 0.05  # less is left only where nearly all that it holds is used
FULL_MARGIN = 0.7  # share of what it holds that is left, beyond which more is no better
LEAST_VOLUME_M3 = 1e-6


@dataclass(frozen=True)
class Seats:
    """Places for the cup; float64, metres, world frame."""

    middle: np.ndarray  # (P, 3) of the lip
    normal: np.ndarray  # (P, 3) unit, outward
    unevenness: np.ndarray  # (P,) metres by which the surface under the lip is above and below its middle
    sectors: np.ndarray  # (P,) of the lip, in which surface was seen

    def __getitem__(self, rows: np.ndarray) -> Seats:
        return Seats(self.middle[rows], self.normal[rows], self.unevenness[rows], self.sectors[rows])


def suction_grasps(cloud: ObjectCloud, panoptic: Panoptic3D, instance_id: int, config: GraspConfig) -> GraspResult:
    """Search places where a cup seals, is reached and holds.

    Args:
        cloud: The object, of which only what was seen is taken, and what is around it.
        panoptic: That it is of.
        instance_id: The object.
        config: Cup, directions and limits.

    Returns:
        Grasps best first, or none and the reason.
    """
    cup = config.gripper.suction
    seats = seats_on(cloud, cup)
    rows = np.arange(len(seats.middle))
    counts = {"sampled": len(rows)}
    used = used_share(seats, cloud, cup)
    stops = {
        "edge": seats.sectors < SECTORS,
        "uneven": seats.unevenness > USABLE_GIVE * cup.give_m,
        "tilted": seats.normal[:, 2] < np.cos(np.radians(config.max_tilt_deg)) - 1e-6,
        "table": _touches_support(seats, cloud.support_height_m, config),
        "collision": _in_the_way(seats, cloud.obstacles, config, config.collision_margin_m),
        "inside": _in_the_way(seats, cloud.body, config, -config.collision_margin_m),
        "heavy": used >= 1.0,
    }
    for name, stopped in stops.items():
        counts[name] = int(stopped[rows].sum())
        rows = rows[~stopped[rows]]
    scores = _scores(seats[rows], used[rows], cloud, cup)
    counts["heavy"] += int((scores <= MIN_SCORE).sum())  # it would hold, but hardly
    kept = rows[best_apart(seats.middle[rows], -seats.normal[rows], None, scores, MIN_SCORE, config.max_targets)]
    found = SuctionCounts(**counts, kept=len(kept))
    score_of = dict(zip(rows.tolist(), scores.tolist()))
    targets = tuple(_target(seats, int(row), score_of[int(row)], panoptic, instance_id, config) for row in kept)
    reason = "found" if targets else _reason(found)
    return GraspResult(targets, reason, found, ("suction",) * len(targets))


def seats_on(cloud: ObjectCloud, cup: SuctionConfig) -> Seats:
    """Lay the cup on places all over what was seen of a surface.

    Args:
        cloud: The object.
        cup: Of which the radius counts.

    Returns:
        Places, with the plane of what is under the cup at each.
    """
    middle, normal = cloud.points[cloud.seen].astype(np.float64), cloud.normals[cloud.seen].astype(np.float64)
    dense, facing = cloud.body[: cloud.body_seen].astype(np.float64), cloud.body_normals[: cloud.body_seen].astype(np.float64)
    uneven, sectors = np.full(len(middle), np.inf), np.zeros(len(middle), int)
    around = np.hypot(RING[1] * cup.radius_m, UNDER_M)
    for row, near in enumerate(cKDTree(dense).query_ball_point(middle, around)):
        near = np.array(near)[facing[near] @ normal[row] > SAME_FACE]
        places = dense[near]
        for _ in range(FITS):
            along, aside = _about(places, middle[row], normal[row])
            under = (np.abs(along) < UNDER_M) & (np.linalg.norm(aside, axis=1) < cup.radius_m)
            if under.sum() < 3:
                break
            middle[row], normal[row] = _plane(places[under], middle[row], normal[row])
        along, aside = _about(places, middle[row], normal[row])
        reach = np.linalg.norm(aside, axis=1) / cup.radius_m
        lip = (np.abs(along) < UNDER_M) & (reach > LIP[0]) & (reach < LIP[1])
        if lip.sum() >= 3:
            uneven[row] = float(np.diff(np.quantile(along[lip], UNEVEN_SHARES))[0]) / 2
            goes_on = (np.abs(along) < UNDER_M) & (facing[near] @ normal[row] > GOES_ON)
            sectors[row] = _sectors_with_surface(aside[goes_on], normal[row], cup.radius_m)
    return Seats(middle, normal, uneven, sectors)


def _about(places: np.ndarray, middle: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) metres along a normal, and (N, 3) what is left beside it."""
    offset = places - middle
    along = offset @ normal
    return along, offset - along[:, None] * normal


def _plane(points: np.ndarray, through: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The point of the plane of least squares that lies in the direction of the normal, and its normal on the same side."""
    center = points.mean(0)
    axis = np.linalg.svd(points - center, full_matrices=False)[2][2]
    axis = axis if axis @ normal > 0 else -axis
    return through + axis * ((center - through) @ axis), axis


def _sectors_with_surface(flat: np.ndarray, normal: np.ndarray, radius_m: float) -> int:
    """In how many sectors of the lip some of the points lie, given from its middle within its plane."""
    basis = np.linalg.svd(normal[None])[2][1:]
    u, v = flat @ basis[0], flat @ basis[1]
    ring = (np.hypot(u, v) > RING[0] * radius_m) & (np.hypot(u, v) < RING[1] * radius_m)
    turns = np.floor((np.arctan2(v[ring], u[ring]) / (2 * np.pi) + 0.5) * SECTORS).astype(int) % SECTORS
    return len(np.unique(turns))


def used_share(seats: Seats, cloud: ObjectCloud, cup: SuctionConfig) -> np.ndarray:
    """Weigh the object against what the cup holds, by the constraints of this module's head.

    Args:
        seats: Of the cup.
        cloud: The object: its centre of mass, and its volume.
        cup: Pressure, friction, and how much the object weighs.

    Returns:
        (P,) the greatest share of a constraint that is used; from 1 on it lets go.
    """
    vacuum_n = 1e3 * cup.pressure_kpa * np.pi * cup.radius_m**2
    force = np.array([0.0, 0.0, -cup.load_factor * GRAVITY * cup.density_kg_m3 * _volume(cloud.points)])
    pull = np.maximum(-(seats.normal @ force), 0.0)  # what faces down lies on the cup, and does not hang on it
    shear = np.linalg.norm(force + pull[:, None] * seats.normal, axis=1)
    pressed = np.maximum(vacuum_n - pull, 1e-9)
    torque = np.cross(cloud.center.astype(np.float64) - seats.middle, force)
    twist = np.einsum("ij,ij->i", torque, seats.normal)
    bend = np.linalg.norm(torque - twist[:, None] * seats.normal, axis=1)
    shares = [
        np.sqrt(3.0) * shear / (cup.friction * pressed),
        np.sqrt(3.0) * np.abs(twist) / (cup.radius_m * cup.friction * pressed),
        np.sqrt(2.0) * bend / (cup.radius_m * pressed / 2),
        pull / vacuum_n,
    ]
    worst: np.ndarray = np.max(shares, axis=0)
    return worst


def _volume(points: np.ndarray) -> float:
    """Of the convex hull, m^3."""
    try:
        return max(float(ConvexHull(points).volume), LEAST_VOLUME_M3)
    except QhullError:  # so thin that it is nearly a plane
        return LEAST_VOLUME_M3


def _touches_support(seats: Seats, support_height_m: float | None, config: GraspConfig) -> np.ndarray:
    """(P,) bool: the rim of the cup or of what carries it would be lower than the support."""
    if support_height_m is None:
        return np.zeros(len(seats.middle), bool)
    cup = config.gripper.suction
    tilted = np.sqrt(np.maximum(1.0 - seats.normal[:, 2] ** 2, 0.0))
    ends = [seats.middle[:, 2] + back * seats.normal[:, 2] for back in (_cup_length(cup), cup.body_length_m)]
    lowest: np.ndarray = np.minimum(seats.middle[:, 2] - tilted * cup.radius_m, np.minimum(*ends) - tilted * cup.body_radius_m)
    return lowest < support_height_m + np.where(tilted > 0.05, config.collision_margin_m, 0.0)


def _cup_length(cup: SuctionConfig) -> float:
    """Behind the lip, up to where it is as wide as what carries it."""
    return min(2 * cup.radius_m, cup.body_length_m)


def _in_the_way(seats: Seats, points: np.ndarray, config: GraspConfig, margin_m: float) -> np.ndarray:
    """(P,) bool: some of the points are where the cup, or what carries it, is or comes along; two are noise."""
    cup = config.gripper.suction
    blocked = np.zeros(len(seats.middle), bool)
    if len(points) == 0:
        return blocked
    for row, (middle, normal) in enumerate(zip(seats.middle, seats.normal)):
        offset = points - middle
        behind = offset @ normal
        aside = np.linalg.norm(offset - behind[:, None] * normal, axis=1)
        length = cup.body_length_m + config.approach_distance_m
        wide = np.where(behind < _cup_length(cup), cup.radius_m, cup.body_radius_m)
        hit = (behind > BEHIND_M + max(cup.give_m, 0.0)) & (behind < length) & (aside < wide + margin_m)
        blocked[row] = hit.sum() > 2
    return blocked


def _scores(seats: Seats, used: np.ndarray, cloud: ObjectCloud, cup: SuctionConfig) -> np.ndarray:
    """(P,) 0..1: by how flat it is, how much of what the cup holds is left, how steep, and how much lies on the object."""
    flat = 1.0 - 0.5 * seats.unevenness / cup.give_m
    left = np.clip((1.0 - used) / FULL_MARGIN, 0.0, 1.0)
    tilt = np.arccos(np.clip(seats.normal[:, 2], -1.0, 1.0)) / (np.pi / 2)
    scores: np.ndarray = flat * left * (1.0 - TILT_COST * tilt) * (1.0 - COVERED_COST * cloud.covered)
    return scores


def _reason(counts: SuctionCounts) -> str:
    """What stopped the places that came furthest."""
    if counts.edge == counts.sampled:
        return "too_small"
    stopped = [name for name in ("heavy", "inside", "collision", "table", "tilted", "uneven") if getattr(counts, name)]
    return stopped[0] if stopped else "too_small"


def _target(seats: Seats, row: int, score: float, panoptic: Panoptic3D, instance_id: int, config: GraspConfig) -> GraspTarget:
    approach = -seats.normal[row]
    aside = np.cross(approach, [1.0, 0.0, 0.0] if abs(approach[0]) < 0.9 else [0.0, 1.0, 0.0])
    aside /= np.linalg.norm(aside)
    segment, world_from_grasp = panoptic.segment(instance_id), torch.eye(4)
    world_from_grasp[:3, :3] = torch.from_numpy(np.stack([aside, np.cross(approach, aside), approach], axis=1))
    world_from_grasp[:3, 3] = torch.from_numpy(seats.middle[row])
    return GraspTarget(
        instance_id=instance_id,
        class_id=segment.class_id,
        score=score,
        world_from_grasp=world_from_grasp,
        width_m=0.0,
        pregrasp_distance_m=config.approach_distance_m,
        box=segment.box,
        stamp_ns=panoptic.stamp_ns,
        world_frame_id=panoptic.world_frame_id,
        kind="suction",
    )
