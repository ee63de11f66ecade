"""Whether the arm would touch something: its own collision geometry against the scene and itself, with coal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pan3d_core.motion.arm import Arm, Floats
from pan3d_core.motion.scene import CELL_M, MotionScene, Obstacle

SUPPORT_SIZE_M = (6.0, 6.0, 1.0)
TILT_DEG = 45.0  # of what must stay upright
OWN_CLEARANCE_M = 0.004  # of bodies of the arm from each other
SUPPORT, HELD, THINGS = "the support", "what it holds", "something that is no object"


@dataclass(frozen=True)
class Held:
    """What moves with the gripper."""

    instance_id: int
    tip_from_corners: Floats  # (V, 3) metres, in the grasp frame; their hull


@dataclass(frozen=True)
class Rules:
    """What counts as touching."""

    clearance_m: float
    opening_m: float | None = None  # of the gripper; None = as wide as it goes
    gripper_may_touch: frozenset[int] = frozenset()  # ids of objects
    held_may_touch: frozenset[int] = frozenset()
    held_may_touch_support: bool = False
    up_in_tip: tuple[float, float, float] | None = None  # stays upright within `TILT_DEG`; None = may be turned as it will


class Checker:
    """Tells free joint positions from those that touch. Not for two threads at once."""

    def __init__(self, arm: Arm, scene: MotionScene, rules: Rules, held: Held | None = None) -> None:
        import coal
        import pinocchio

        self.arm, self.rules, self.held = arm, rules, held
        self._pin, self._coal = pinocchio, coal
        self._bodies: Any = arm.bodies.copy()
        self._own = len(self._bodies.geometryObjects)
        self._joints = [int(item.parentJoint) for item in self._bodies.geometryObjects]
        self._pairs: list[tuple[int, int, float]] = []
        self._add_own_pairs()
        held_index = None if held is None else self._add_held(held)
        for item in scene.objects:
            if held is None or item.instance_id != held.instance_id:
                self._add_object(item, held_index)
        if len(scene.cells):
            tree = coal.makeOctree(np.ascontiguousarray(scene.cells), CELL_M)
            self._meet_all(self._add(THINGS, tree, np.eye(4)), held_index)
        if scene.support_height_m is not None:
            self._add_support(scene.support_height_m, held_index)
        self._finish()

    def free(self, angles: Floats) -> bool:
        """Whether nothing is touched, and what must stay upright does. `angles` (J,) radians."""
        up = self.rules.up_in_tip
        if up is not None and self.arm.world_from_tip(angles)[2, :3] @ up < np.cos(np.radians(TILT_DEG)):
            return False
        q = self.arm.configuration(angles, self.rules.opening_m)
        return not self._pin.computeCollisions(self.arm.model, self.arm.data, self._bodies, self._found, q, True)

    def touched(self, angles: Floats) -> tuple[str, ...]:
        """Name all pairs that touch, for people. `angles` (J,) radians."""
        q = self.arm.configuration(angles, self.rules.opening_m)
        self._pin.computeCollisions(self.arm.model, self.arm.data, self._bodies, self._found, q, False)
        names = [item.name for item in self._bodies.geometryObjects]
        pairs = zip(self._bodies.collisionPairs, self._found.collisionResults)
        return tuple(f"{names[pair.first]} and {names[pair.second]}" for pair, result in pairs if result.isCollision())

    # --- construction ------------------------------------------------------------------------------------------

    def _add_own_pairs(self) -> None:
        """Servos lag behind, so that bodies keep a distance, where they are not built closer to each other than that."""
        self._pairs += [(first, second, min(OWN_CLEARANCE_M, apart / 2)) for first, second, apart in self.arm.own_pairs]

    def _add(self, name: str, shape: Any, placement: Floats, joint: int = 0) -> int:
        item = self._pin.GeometryObject(name, joint, 0, self._pin.SE3(placement), shape)
        return int(self._bodies.addGeometryObject(item))

    def _add_held(self, held: Held) -> int:
        index = self._add(HELD, convex_hull(held.tip_from_corners), self.arm.joint_from_tip(), self.arm.tip_joint)
        near = {*self.arm.gripper_joints, int(self.arm.model.parents[self.arm.tip_joint])}
        self._pairs += [(k, index, 0.0) for k in range(self._own) if self._joints[k] not in near]
        return index

    def _add_object(self, item: Obstacle, held: int | None) -> None:
        index = self._add(f"{item.name or 'object'} {item.instance_id}", convex_hull(item.corners), np.eye(4))
        spared = self.arm.gripper_joints if item.instance_id in self.rules.gripper_may_touch else frozenset()
        self._meet_all(index, None if item.instance_id in self.rules.held_may_touch else held, spared)

    def _add_support(self, height_m: float, held: int | None) -> None:
        placement = np.eye(4)
        placement[2, 3] = height_m - SUPPORT_SIZE_M[2] / 2
        index = self._add(SUPPORT, self._coal.Box(*SUPPORT_SIZE_M), placement)
        shoulder = {joint for joint in self._joints if self.arm.model.parents[joint] == 0}  # stands on it, and cannot get nearer
        self._meet_all(index, None if self.rules.held_may_touch_support else held, frozenset(shoulder))

    def _meet_all(self, index: int, held: int | None, spared: frozenset[int] = frozenset()) -> None:
        """Compare a thing of the scene with all bodies of the arm that can move."""
        margin = self.rules.clearance_m
        self._pairs += [(k, index, margin) for k in range(self._own) if self._joints[k] > 0 and self._joints[k] not in spared]
        if held is not None:
            self._pairs.append((held, index, margin))

    def _finish(self) -> None:
        count = len(self._bodies.geometryObjects)
        margins = np.zeros((count, count))
        for first, second, margin in self._pairs:
            self._bodies.addCollisionPair(self._pin.CollisionPair(first, second))
            margins[min(first, second), max(first, second)] = margin
        self._found: Any = self._bodies.createData()
        self._found.setSecurityMargins(self._bodies, margins)


def in_the_arm(arm: Arm, angles: Floats, scene: MotionScene) -> frozenset[int]:
    """Find what is believed to stand where the arm is: its shadow, or the arm itself, seen as an object.

    Args:
        arm: That is there.
        angles: (J,) radians: where its joints are.
        scene: What is believed to stand somewhere.

    Returns:
        Ids of the objects whose shape has a body of the arm in it.
    """
    import coal
    import pinocchio

    placed = arm.bodies.createData()
    pinocchio.updateGeometryPlacements(arm.model, arm.data, arm.bodies, placed, arm.configuration(angles))
    bodies = [(item.geometry, coal.Transform3s(pose.rotation, pose.translation))
              for item, pose in zip(arm.bodies.geometryObjects, placed.oMg)]  # fmt: skip
    world, request = coal.Transform3s(), coal.CollisionRequest()

    def meets(item: Obstacle) -> bool:
        shape = convex_hull(item.corners)
        return any(coal.collide(body, pose, shape, world, request, coal.CollisionResult()) for body, pose in bodies)

    return frozenset(item.instance_id for item in scene.objects if meets(item))


def convex_hull(corners: Floats) -> Any:
    """Coal's shape of the hull of (V, 3) corners."""
    import coal

    points = coal.StdVec_Vec3s()
    for corner in corners:
        points.append(corner)
    return coal.ConvexBase.convexHull(points, True, "Qt")


def off_the_arm(arm: Arm, angles: Floats, points: Floats, margin_m: float) -> Floats:
    """Leave out points that are the arm itself as cameras saw it, a little off.

    Args:
        arm: That was seen.
        angles: (J,) radians: where its joints were then.
        points: (N, 3) metres, world.
        margin_m: Points nearer to it are left out.

    Returns:
        (M, 3) the others.
    """
    import coal
    import pinocchio

    placed = arm.bodies.createData()
    pinocchio.updateGeometryPlacements(arm.model, arm.data, arm.bodies, placed, arm.configuration(angles))
    ball, place, request = coal.Sphere(1e-3), coal.Transform3s(), coal.DistanceRequest()
    keep = np.ones(len(points), bool)
    for row, point in enumerate(points):
        place.setTranslation(point)
        for item, pose in zip(arm.bodies.geometryObjects, placed.oMg):
            body = coal.Transform3s(pose.rotation, pose.translation)
            if coal.distance(item.geometry, body, ball, place, request, coal.DistanceResult()) < margin_m:
                keep[row] = False
                break
    return points[keep]
