"""`pan3d bench grasp`: plan and execute one grasp per object in seeded scenes; success as the simulator sees it.

Every object of a scene is the target once, and the scene is restored in between. No grasp counts as a failure, so a planner
that abstains gains nothing. "clean" also wants that no neighbour moved more than 2 cm or 20 degrees or came along.

Inputs: `true` = points and normals of the true surfaces; `views` = depth of the cell's cameras with noise, true instance
labels, through the product's own merge. Planners: `pan3d` = `select_grasps`; `obb` = the baseline, straight down at the
centre of the object's box, closing along its shorter side, without any look at collisions.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pan3d_core.assembly.merging import merge_panoptic
from pan3d_core.assembly.ownership import own_pixels
from pan3d_core.config import MergeConfig, PreprocessConfig
from pan3d_core.geometry.boxes import upright_box
from pan3d_core.grasping.planner import select_grasps
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import GraspTarget, InstanceSet, Panoptic3D, Reconstruction, Segment
from pan3d_core.views.preprocessing import preprocess
from pan3d_sim.cameras.depth_noise import DepthNoise
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.robot_cell import CellConfig, RobotCell
from pan3d_sim.objects.kinds import ObjectSpec
from pan3d_sim.objects.meshes import matrix_from_quat

log = logging.getLogger("pan3d.sim.bench")

LABELS = LabelSpace.things(("object",))
SURFACE_SPACING_M = 0.003
BURIED_M = 0.0025  # collision shapes follow the visible surface to about this
Planner = Callable[[Panoptic3D, int, float], tuple[GraspTarget | None, str]]


@dataclass(frozen=True)
class Attempt:
    """What became of one object."""

    seed: int
    name: str
    kind: str
    outcome: str  # "none" = lifted; a failure of `TrialResult`; "no grasp: <reason>"; "not seen"
    clean: bool
    plan_s: float
    score: float
    details: dict[str, float]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench grasp", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=100, help="first scene (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=8, help="number of scenes (default: %(default)s)")
    parser.add_argument("--objects", type=int, default=6, help="objects per scene (default: %(default)s)")
    parser.add_argument("--arrangement", default="separated", help="separated, pile or packed (default: %(default)s)")
    parser.add_argument("--input", choices=("true", "views"), default="views", help="(default: %(default)s)")
    parser.add_argument("--cameras", type=int, default=4, help="cameras for --input views (default: %(default)s)")
    parser.add_argument("--noise-mm", type=float, default=1.0, help="depth noise for --input views (default: %(default)s)")
    parser.add_argument("--planner", choices=tuple(PLANNERS), default="pan3d", help="(default: %(default)s)")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Run the benchmark; returns rates with 95 % intervals, reasons, success per kind, times, and every attempt."""
    arguments = parse(argv)
    config = CellConfig(
        num_objects=arguments.objects, arrangement=arguments.arrangement, num_cameras=arguments.cameras, width=320, height=240
    )
    attempts: list[Attempt] = []
    for seed in range(arguments.seed, arguments.seed + arguments.scenes):
        with RobotCell(seed, config) as cell:
            if arguments.input == "true":
                panoptic, rows = true_cloud(cell)
            else:
                panoptic, rows = cloud_from_views(cell, DepthNoise(sigma_m=arguments.noise_mm * 1e-3))
            attempts += attempt_all(cell, panoptic, rows, PLANNERS[arguments.planner])
        log.info("scene %d: %d of %d lifted so far", seed, sum(a.outcome == "none" for a in attempts), len(attempts))
    return {**vars(arguments), **summarize(attempts)}


def attempt_all(cell: RobotCell, panoptic: Panoptic3D, id_of_object: dict[int, int], planner: Planner) -> list[Attempt]:
    """One attempt at every object on the table. `id_of_object` maps indices of `cell.objects` to ids in `panoptic`."""
    attempts, trials = [], GraspTrials(cell)
    for index, obj in enumerate(cell.objects):
        if index in cell.removed:
            continue
        grasp, reason, plan_s = None, "not seen", 0.0
        if index in id_of_object:
            start = time.perf_counter()
            grasp, reason = planner(panoptic, id_of_object[index], cell.config.support_height_m)
            plan_s = time.perf_counter() - start
        if grasp is None:
            attempts.append(Attempt(cell.seed, obj.name, obj.kind, reason, False, plan_s, 0.0, {}))
            continue
        result = trials.execute(grasp, target=index)
        clean = result.details.get("clean", 0.0) > 0
        attempts.append(Attempt(cell.seed, obj.name, obj.kind, result.failure, clean, plan_s, grasp.score, result.details))
    return attempts


def summarize(attempts: list[Attempt]) -> dict:
    """Rates per object (no grasp = failure) and per executed attempt, with their reasons."""
    executed = [a for a in attempts if not a.outcome.startswith(("no grasp", "not seen"))]
    lifted = [a for a in attempts if a.outcome == "none"]
    clean = [a for a in attempts if a.clean]
    plan_s = [a.plan_s for a in attempts if a.plan_s > 0] or [0.0]
    kinds = sorted({a.kind for a in attempts})
    return {
        "objects": len(attempts),
        "executed": len(executed),
        "lifted": len(lifted),
        "lifted_per_object": rate(len(lifted), len(attempts)),
        "clean_per_object": rate(len(clean), len(attempts)),
        "lifted_per_attempt": rate(len(lifted), len(executed)),
        "outcomes": dict(Counter(a.outcome for a in attempts).most_common()),
        "clean_per_kind": {
            kind: f"{sum(a.clean for a in attempts if a.kind == kind)}/{sum(a.kind == kind for a in attempts)}" for kind in kinds
        },
        "plan_p50_s": float(np.percentile(plan_s, 50)),
        "plan_p95_s": float(np.percentile(plan_s, 95)),
        "deepest_contact_mm": 1e3 * max((a.details.get("contact_depth_m", 0.0) for a in executed), default=0.0),
        "attempts": [
            {"seed": a.seed, "object": a.name, "outcome": a.outcome, "hit": _hit(a), "clean": a.clean, "score": round(a.score, 3)}
            for a in attempts
        ],
    }


def _hit(attempt: Attempt) -> str:
    """What a collision was with."""
    return next((key[4:] for key, value in attempt.details.items() if key.startswith("hit_") and value), "")


def rate(successes: int, trials: int) -> dict[str, float]:
    """Share with its Wilson 95 % interval."""
    if trials == 0:
        return {"share": 0.0, "low": 0.0, "high": 1.0}
    z, p = 1.96, successes / trials
    center = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return {"share": p, "low": float(center - half), "high": float(center + half)}


def plan_pan3d(panoptic: Panoptic3D, instance_id: int, support_height_m: float) -> tuple[GraspTarget | None, str]:
    """The best grasp of the product's planner."""
    result = select_grasps(panoptic, instance_id, support_height_m=support_height_m)
    return (result.targets[0], "found") if result.targets else (None, f"no grasp: {result.reason}")


def plan_obb(panoptic: Panoptic3D, instance_id: int, support_height_m: float) -> tuple[GraspTarget | None, str]:
    """Baseline: straight down, across the shorter horizontal side of the box."""
    box = panoptic.segment(instance_id).box
    width = float(box.size_m[1])
    if width > 0.08:
        return None, "no grasp: too_wide"
    pose = box.world_from_box.clone()
    closing, down = box.world_from_box[:3, 1], torch.tensor([0.0, 0.0, -1.0])
    pose[:3, :3] = torch.stack([closing, torch.linalg.cross(down, closing), down], dim=1)
    top = float(box.world_from_box[2, 3] + box.size_m[2] / 2)
    pose[2, 3] = max(top - 0.025, support_height_m + 0.013)
    return GraspTarget(instance_id, -1, 0.5, pose, min(width + 0.02, 0.08), 0.10, box), "found"


PLANNERS: dict[str, Planner] = {"pan3d": plan_pan3d, "obb": plan_obb}


def cloud_from_views(cell: RobotCell, noise: DepthNoise) -> tuple[Panoptic3D, dict[int, int]]:
    """The product's cloud from noisy depth and true labels; also the ids of the cell's objects in it."""
    views = preprocess(
        cell.views(noise=noise), PreprocessConfig(height=240, width=320, mode="cover"), cell.config.support_height_m
    )
    present = [index for index in range(len(cell.objects)) if (cell.instance_ids == index + 1).any()]
    ids = torch.from_numpy(cell.instance_ids)
    # Scores fall with the row, so that the merge numbers the instances in this order.
    scores = torch.linspace(1.0, 0.9, len(present))
    logits = torch.stack([torch.where(ids == index + 1, 12.0, -12.0) for index in present])
    instances = InstanceSet(logits, None, scores, LABELS)
    if views.depth is None or views.intrinsics is None or views.cam_from_world is None:
        raise ValueError("cell: expected depth, intrinsics and pose of every view, got views without")
    reconstruction = Reconstruction(views.depth, torch.ones_like(views.depth), views.intrinsics, views.cam_from_world, True)
    panoptic = merge_panoptic(reconstruction, own_pixels(instances, views.hw, MergeConfig().mask_threshold), views)
    return panoptic, _ids_by_overlap(panoptic, ids, present)


def _ids_by_overlap(panoptic: Panoptic3D, ids: torch.Tensor, present: list[int]) -> dict[int, int]:
    """Instance id with the most pixels in common with each object; instances with too few points were dropped."""
    found = {}
    for index in present:
        owners = panoptic.instance_id[ids == index + 1]
        owners = owners[owners > 0]
        if len(owners):
            found[index] = int(owners.mode().values)
    return found


def true_cloud(cell: RobotCell) -> tuple[Panoptic3D, dict[int, int]]:
    """Points and outward normals sampled on the visible meshes of all objects on the table."""
    rng = np.random.default_rng(cell.seed)
    points, normals, ids, segments = [], [], [], []
    for index, obj in enumerate(cell.objects):
        if index in cell.removed:
            continue
        pose = cell.world_from_object(index)
        local, local_normals = _sample_surface(obj, rng)
        points.append(local @ pose[:3, :3].T + pose[:3, 3])
        normals.append(local_normals @ pose[:3, :3].T)
        ids.append(np.full(len(local), index + 1))
        segments.append(_segment(torch.from_numpy(points[-1]).float(), obj, index + 1))
    empty = torch.zeros(1, 1, 1, dtype=torch.int64)
    panoptic = Panoptic3D(
        semantic_id=empty - 1,
        instance_id=empty,
        segments=tuple(segments),
        points=torch.from_numpy(np.concatenate(points)).float(),
        point_colors=torch.full((sum(map(len, points)), 3), 0.5),
        point_instance_id=torch.from_numpy(np.concatenate(ids)),
        point_normals=torch.from_numpy(np.concatenate(normals)).float(),
        labels=LABELS,
    )
    return panoptic, {segment.instance_id - 1: segment.instance_id for segment in segments}


def _segment(points: torch.Tensor, obj: ObjectSpec, instance_id: int) -> Segment:
    color = torch.tensor(obj.rgb, dtype=torch.float32)
    return Segment(instance_id, -1, 0.0, 1.0, len(points), 1, points.mean(0), upright_box(points, 0.0), color)


def _sample_surface(obj: ObjectSpec, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) points, about one per `SURFACE_SPACING_M` squared, and unit normals, in the object's frame."""
    triangles = np.concatenate([part.mesh.vertices[part.mesh.faces] for part in obj.parts])
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    area = 0.5 * np.linalg.norm(cross, axis=1)
    count = int(area.sum() / SURFACE_SPACING_M**2)
    chosen = rng.choice(len(triangles), count, p=area / area.sum())
    u, v = rng.random((2, count))
    u, v = np.where(u + v > 1, 1 - u, u)[:, None], np.where(u + v > 1, 1 - v, v)[:, None]
    corner = triangles[chosen]
    points = corner[:, 0] + u * (corner[:, 1] - corner[:, 0]) + v * (corner[:, 2] - corner[:, 0])
    outside = ~_buried(points, obj)
    return points[outside], (cross[chosen] / (2 * area[chosen])[:, None])[outside]


def _buried(points: np.ndarray, obj: ObjectSpec) -> np.ndarray:
    """(N,) bool: points inside the solid, where one part of the mesh stands in another (pages in covers, a handle in a wall)."""
    buried = np.zeros(len(points), bool)
    for shape in obj.collision:
        local = np.abs((points - shape.position) @ matrix_from_quat(np.asarray(shape.quat_wxyz)))
        if shape.shape == "box":
            depth = (np.asarray(shape.size) - local).min(1)
        elif shape.shape == "cylinder":
            depth = np.minimum(shape.size[0] - np.hypot(local[:, 0], local[:, 1]), shape.size[1] - local[:, 2])
        else:
            half_length = shape.size[1] if shape.shape == "capsule" else 0.0
            axial = np.maximum(local[:, 2] - half_length, 0.0)
            depth = shape.size[0] - np.linalg.norm(np.stack([local[:, 0], local[:, 1], axial], axis=1), axis=1)
        buried |= depth > BURIED_M
    return buried
