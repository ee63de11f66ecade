"""How the arm of the simulated cell moves while nobody commands it: to and fro above the objects, by time alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pan3d_sim.arm.links import ArmSpec

# Radians by which each of the six joints leaves its place at home, and how often in a period: 0.35 rad/s at most.
SWINGS = ((0.45, 1), (0.10, 2), (0.12, 2), (0.10, 1), (0.0, 1), (0.40, 1))


@dataclass(frozen=True)
class ArmPath:
    """A path around the arm's home that never ends; times are seconds."""

    arm: ArmSpec
    period_s: float = 8.0

    def positions(self, time_s: float) -> dict[str, float]:
        """Joint -> radians at a time, or metres of the fingers, which open and close."""
        turn = 2 * math.pi * time_s / self.period_s
        found = {
            joint.name: home + reach * math.sin(often * turn)
            for joint, home, (reach, often) in zip(self.arm.arm_joints, self.arm.home, SWINGS)
        }
        opening = 0.5 - 0.5 * math.cos(turn)
        return found | {joint.name: joint.high * opening for joint in self.arm.finger_joints}
