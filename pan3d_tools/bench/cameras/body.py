"""`pan3d bench body`: how well the robot's own body is told from objects, and what that costs.

An arm reaches over the tables of rendered cells and is seen by their fixed cameras and by one on its wrist. Counted are pixels
at network size, by the renderer's own labels: those of the arm that are taken out, and those of objects that go with them. Late
joints are those of an arm whose joints turn at up to `--speed`.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pan3d_core.body import RobotBody, look_for_body, parse_urdf, root_from_links
from pan3d_core.config import BodyConfig, ModelConfig, PipelineConfig, PreprocessConfig
from pan3d_core.engines import build_engine
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import CameraView
from pan3d_core.views.preprocessing import preprocess
from pan3d_sim.arm import ARM, reach_down, urdf_text
from pan3d_sim.cameras.depth_sensors import depth_sensor
from pan3d_sim.cameras.rig import RigCamera, wrist_camera
from pan3d_sim.cell.robot_cell import RobotCell

TARGETS = {"arm_taken_out": 0.99, "objects_lost": 0.01, "share_of_frame": 0.05}  # the first at least, others at most
LATE_S = 0.05
PADDINGS_M = (0.0, 0.005, 0.01, 0.02, 0.03)
ARM_LABEL = 1000.0  # beside the objects' ids


@dataclass(frozen=True)
class Shot:
    """One moment of a cell."""

    views: list[CameraView]  # with depth
    labels: list[CameraView]  # the same, whose depth is what each pixel shows: 1 + object, `ARM_LABEL`, or 0.5
    joints: dict[str, float]
    speeds: dict[str, float]  # radians per second


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench body", description=__doc__)
    parser.add_argument("--scenes", type=int, default=6, help="cells (default: %(default)s)")
    parser.add_argument("--poses", type=int, default=4, help="of the arm in each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first cell (default: %(default)s)")
    parser.add_argument(
        "--sensor", default="structured_light", help="of depth cameras; exact = without errors (default: %(default)s)"
    )
    parser.add_argument("--models", nargs="+", default=["pan3d-mini"], help="engines (default: %(default)s)")
    parser.add_argument("--speed", type=float, default=0.5, help="of late joints, rad/s at most (default: %(default)s)")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Measure. Shares of pixels, times in ms."""
    arguments = parse(argv)
    body = RobotBody(parse_urdf(urdf_text(ARM)))
    shots = list(shots_of(arguments))
    alone = {f"padding_{padding_m:g}": judged_alone(body, shots, padding_m) for padding_m in PADDINGS_M}
    late = judged_alone(body, shots, BodyConfig().padding_m, late_s=LATE_S)
    journeys = {
        f"{model}_{'depth' if depth else 'colour'}": journey(body, shots, model, depth)
        for model in arguments.models
        for depth in (True, False)
    }
    return {
        "shots": len(shots),
        "views": len(shots[0].views),
        "by_depth": alone,
        f"joints_{1000 * LATE_S:.0f}_ms_late": late,
        "journeys": journeys,
        "targets": TARGETS,
    }


def shots_of(arguments: argparse.Namespace) -> Iterator[Shot]:
    """Moments of several cells.

    Args:
        arguments: As `parse` gives them.

    Yields:
        One for each pose of the arm that it can take.
    """
    for seed in range(arguments.seed, arguments.seed + arguments.scenes):
        rng = np.random.default_rng([seed, 77])
        with RobotCell(seed, arm=ARM) as cell:
            for _ in range(arguments.poses):
                if reach_over(cell, rng):
                    yield _shot(cell, rng, arguments)


def reach_over(cell: RobotCell, rng: np.random.Generator) -> bool:
    """Bring the gripper over an object, 2 to 15 cm above it; False where the arm does not get there."""
    if cell.arm is None:
        raise ValueError("CellConfig.arm: expected an arm, got none")
    present = [index for index in range(len(cell.objects)) if index not in cell.removed]
    index = int(rng.choice(present))
    obj, pose = cell.objects[index], cell.world_from_object(index)
    top = float((obj.vertices @ pose[:3, :3].T + pose[:3, 3])[:, 2].max())
    target = np.array([*(pose[:2, 3] + rng.uniform(-0.03, 0.03, 2)), top + rng.uniform(0.02, 0.15)])
    found = reach_down(cell.arm.spec, target, rng.uniform(-np.pi / 2, np.pi / 2))
    if found is None:
        return False
    cell.pose_arm({**found, "finger_left_joint": float(rng.uniform(0.0, 0.04))})
    return True


def _shot(cell: RobotCell, rng: np.random.Generator, arguments: argparse.Namespace) -> Shot:
    assert cell.arm is not None
    width, height = cell.config.width, cell.config.height
    cameras: Sequence[RigCamera] = [*cell.cameras, wrist_camera(cell.arm.world_from_tool(cell.data), width, height)]
    views = cell.views(cameras=cameras, noise=depth_sensor(arguments.sensor))
    labels = []
    for view, camera, ids in zip(views, cameras, cell.instance_ids):
        label = np.where(cell.arm_pixels(camera), ARM_LABEL, ids + 0.5).astype(np.float32)
        labels.append(replace(view, depth=torch.from_numpy(label)))
    joints = cell.arm.positions(cell.data)
    speeds = {name: float(rng.uniform(-arguments.speed, arguments.speed)) for name in joints if not name.startswith("finger")}
    return Shot(views, labels, joints, speeds)


def with_links(views: Sequence[CameraView], body: RobotBody, joints: Mapping[str, float]) -> list[CameraView]:
    """Say in each view where the robot was.

    Args:
        views: In the frame of the robot's root.
        body: Of the robot.
        joints: Joint -> position.

    Returns:
        The same views with links.
    """
    links = root_from_links(body.robot, joints)
    return [replace(view, world_from_links=links) for view in views]


def judged_alone(body: RobotBody, shots: Sequence[Shot], padding_m: float, late_s: float = 0.0) -> dict[str, float]:
    """Judge the comparison with measured depth, without any engine; only measured pixels count.

    Args:
        body: Of the robot.
        shots: Views and truth.
        padding_m: By which its surface is moved outwards.
        late_s: By which joints are told late.

    Returns:
        Figures by name.
    """
    counts: Counter[str] = Counter()
    size, config = PreprocessConfig(), replace(BodyConfig(), padding_m=padding_m)
    for shot in shots:
        told = {name: position - late_s * shot.speeds.get(name, 0.0) for name, position in shot.joints.items()}
        batch = preprocess(with_links(shot.views, body, told), size)
        seen = look_for_body(body, batch, config)
        depth = batch.depth
        if depth is None or seen.views is None:
            raise ValueError("CameraView.depth: expected measured depth and links in every view, got none")
        taken = seen.views.measured_pixels(depth, config.measured_tolerance)
        counts += _counted(taken, _labels(shot, size), depth > 0)
    return _shares(counts)


def _labels(shot: Shot, size: PreprocessConfig) -> Tensor:
    labels = preprocess(shot.labels, size).depth
    if labels is None:
        raise ValueError("labels: expected those of every view, got none")
    return labels


def _counted(taken: Tensor, labels: Tensor, counted: Tensor) -> Counter[str]:
    arm, objects = counted & (labels == ARM_LABEL), counted & (labels > 1) & (labels < ARM_LABEL)
    return Counter(
        arm=int(arm.sum()),
        arm_taken=int((arm & taken).sum()),
        objects=int(objects.sum()),
        objects_taken=int((objects & taken).sum()),
    )


def _shares(counts: Counter[str]) -> dict[str, float]:
    return {
        "arm_taken_out": counts["arm_taken"] / max(counts["arm"], 1),
        "objects_lost": counts["objects_taken"] / max(counts["objects"], 1),
    }


def journey(body: RobotBody, shots: Sequence[Shot], model: str, depth: bool) -> dict[str, float]:
    """Judge whole view sets, with the body and without it.

    Args:
        body: Of the robot.
        shots: Views and truth.
        model: Name of the engine.
        depth: Whether it is given measured depth.

    Returns:
        Figures by name: `arm_in_objects` is the share of the arm's pixels that instances own, `share_of_frame` that of the time
        which the stage takes.
    """
    engine = build_engine(ModelConfig(name=model))
    config = PipelineConfig()
    config = replace(
        config, workspace=replace(config.workspace, support_height_m=0.0), tracking=replace(config.tracking, enabled=False)
    )
    counts: Counter[str] = Counter()
    unfiltered: Counter[str] = Counter()
    times, shares = [], []
    for number, shot in enumerate(shots):
        views = shot.views if depth else [replace(view, depth=None) for view in shot.views]
        labels = _labels(shot, engine.facts.preprocess)
        arm = labels == ARM_LABEL
        with_body = PerceptionPipeline(engine, config, body=body).process(with_links(views, body, shot.joints))
        without = PerceptionPipeline(engine, config).process(views)
        if with_body.body_pixels is None:
            raise ValueError(f"{model}: expected a metric result, got {'; '.join(with_body.warnings)}")
        counts += _counted(with_body.body_pixels.cpu(), labels, torch.ones_like(arm))
        counts["arm_owned"] += int(((with_body.panoptic.instance_id.cpu() > 0) & arm).sum())
        unfiltered["arm_owned"] += int(((without.panoptic.instance_id.cpu() > 0) & arm).sum())
        counts["found"] += len(with_body.panoptic.segments)
        unfiltered["found"] += len(without.panoptic.segments)
        if number:  # the first warms up
            times.append(with_body.timings_ms["body"])
            shares.append(with_body.timings_ms["body"] / with_body.timings_ms["total"])
    return {
        **_shares(counts),
        "arm_in_objects": counts["arm_owned"] / max(counts["arm"], 1),
        "arm_in_objects_without": unfiltered["arm_owned"] / max(counts["arm"], 1),
        "objects_per_set": counts["found"] / len(shots),
        "objects_per_set_without": unfiltered["found"] / len(shots),
        "body_p50_ms": statistics.median(times) if times else float("nan"),
        "share_of_frame": statistics.median(shares) if shares else float("nan"),
    }
