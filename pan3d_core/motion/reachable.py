"""Which of several grasps an arm gets to, on straight ways there and away, and why it does not get to the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import numpy as np
import torch

from pan3d_core.motion.arm import Arm, Floats, nearest_turn
from pan3d_core.motion.collisions import Checker, Rules
from pan3d_core.motion.inverse import CLOSE, descend
from pan3d_core.motion.paths import straight_path
from pan3d_core.motion.scene import MotionScene
from pan3d_core.structures import GraspTarget

STARTS = 12  # that are drawn at each pose, beside where the arm is
FLIPPED = np.diag([-1.0, -1.0, 1.0, 1.0])  # a parallel gripper is the same half a turn further
REFUSALS = {
    "out_of_reach": "out of reach",
    "no_straight_way": "reached, but without a straight way to it and up again within the joints' limits and off the arm itself",
}


@dataclass(frozen=True)
class ArmPlace:
    """Where an arm stands and how it holds its gripper."""

    world_from_root: Floats  # (4, 4) metres
    near: Floats  # (J,) radians: where its joints are, or might be
    tip_from_grasp: Floats  # (4, 4): the grasp frame (+z approach, +x closing) in the frame of the arm's tip


@dataclass(frozen=True)
class ReachedGrasp:
    """A grasp that the arm gets to."""

    grasp: GraspTarget  # half a turn further where the arm holds it so
    angles: Floats  # (J,) radians, at the grasp
    before: Floats  # (J,) at the pre-grasp
    above: Floats  # (J,) after the retreat


@dataclass(frozen=True)
class ReachReport:
    """What became of all that were tried."""

    reached: tuple[ReachedGrasp, ...]  # in their order
    refused: dict[str, int]  # key of `REFUSALS` -> how many
    short_m: float  # how much nearer the nearest of those out of reach would have to be; 0 = none was

    @property
    def message(self) -> str:
        """For a person, with the reason of every refusal; empty = all are reached."""
        words = [f"{REFUSALS[reason]}: {count}" for reason, count in self.refused.items()]
        missing = f" (the nearest by {self.short_m:.2f} m or radians)" if self.short_m else ""
        return f"{'; '.join(words)}{missing}" if words else ""


def without_meshes(urdf: str) -> str:
    """The text of a URDF without colliding meshes, whose files a planner may not have: they are not compared with each other."""
    try:
        robot = ElementTree.fromstring(urdf)
    except ElementTree.ParseError as error:
        raise ValueError(f"Arm.urdf: expected XML, got {error}") from error
    for link in robot.iter("link"):
        for shape in link.findall("collision"):
            if shape.find("geometry/mesh") is not None:
                link.remove(shape)
    return ElementTree.tostring(robot, encoding="unicode")


def reachable_grasps(
    arm: Arm, grasps: Sequence[GraspTarget], place: ArmPlace, retreat_m: float, at_most: int | None = None
) -> ReachReport:
    """Choose the grasps that an arm can do, as far as it alone matters: what else stands about is not looked at.

    Args:
        arm: That is to do them.
        grasps: Best first, metres, world.
        place: Where it stands.
        retreat_m: How far it goes straight up afterwards.
        at_most: As many as are wanted; None = all that are reached.

    Returns:
        Them and what became of the others that were tried.
    """
    checker = Checker(arm, MotionScene((), np.zeros((0, 3)), None), Rules(0.0))
    reached: list[ReachedGrasp] = []
    refused: Counter[str] = Counter()
    short = np.inf
    for grasp in grasps:
        if at_most is not None and len(reached) >= at_most:
            break
        attempt = _Attempt(arm, checker, place)
        found = attempt.grasp(grasp, retreat_m)
        if found is not None:
            reached.append(found)
            continue
        refused["no_straight_way" if attempt.reached else "out_of_reach"] += 1
        short = short if attempt.reached else min(short, attempt.short)
    return ReachReport(tuple(reached), dict(refused), float(short) if np.isfinite(short) else 0.0)


def beyond_m(arm: Arm, place: Floats) -> float:
    """Tell how far a place is outside everything that an arm reaches, were all its links in one line.

    Args:
        arm: Of turning joints; nothing is known of sliding ones.
        place: (3,) metres, in the frame of its root.

    Returns:
        Metres; 0 or less = the arm may get there.
    """
    chain = [int(joint) for joint in arm.model.supports[arm.tip_joint] if joint > 0]
    if any("JointModelP" in arm.model.joints[joint].shortname() for joint in chain):
        return 0.0
    steps = [arm.model.jointPlacements[joint].translation for joint in chain[1:]] + [arm.joint_from_tip()[:3, 3]]
    away = float(np.linalg.norm(place - arm.model.jointPlacements[chain[0]].translation))
    return away - sum(float(np.linalg.norm(step)) for step in steps)


class _Attempt:
    """One grasp."""

    def __init__(self, arm: Arm, checker: Checker, place: ArmPlace) -> None:
        self.arm, self.checker, self.place = arm, checker, place
        self.root_from_world = np.linalg.inv(place.world_from_root)
        self.grasp_from_tip = np.linalg.inv(place.tip_from_grasp)
        self.reached, self.short = False, np.inf

    def grasp(self, grasp: GraspTarget, retreat_m: float) -> ReachedGrasp | None:
        """The first way that leads there and away."""
        pose = grasp.world_from_grasp.double().cpu().numpy()
        for turned in (pose, pose @ FLIPPED):
            before, above = turned.copy(), turned.copy()
            before[:3, 3] -= grasp.pregrasp_distance_m * turned[:3, 2]
            above[2, 3] += retreat_m
            for angles in self._ways(self._tip(turned)):
                self.reached = True
                back = straight_path(self.checker, angles, self._tip(before))
                up = None if back is None else straight_path(self.checker, angles, self._tip(above))
                if back is not None and up is not None:
                    held = replace(grasp, world_from_grasp=torch.from_numpy(turned).to(grasp.world_from_grasp))
                    return ReachedGrasp(held, angles, back[-1], up[-1])
        return None

    def _tip(self, world_from_grasp: Floats) -> Floats:
        """(4, 4) of the arm's tip, in the frame of its root."""
        pose: Floats = self.root_from_world @ world_from_grasp @ self.grasp_from_tip
        return pose

    def _ways(self, goal: Floats) -> Iterator[Floats]:
        """Joint positions at a pose, as they are found; the same may come twice."""
        missing_m = beyond_m(self.arm, goal[:3, 3])
        if missing_m > 0:
            self.short = min(self.short, missing_m)
            return
        lower, upper = np.maximum(self.arm.lower, -np.pi), np.minimum(self.arm.upper, np.pi)
        rng = np.random.default_rng(0)
        for start in [self.place.near, *(rng.uniform(lower, upper) for _ in range(STARTS))]:
            angles, rest = descend(self.arm, goal, start)
            self.short = min(self.short, rest)
            if rest <= CLOSE:
                yield nearest_turn(self.arm, angles, self.place.near)
