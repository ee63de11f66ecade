"""The journey of the wrist camera: a smooth arc over the table that never ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pan3d_sim.cameras.rig import FRONT_AZIMUTH_DEG, RigCamera, hand_from_wrist_cam, invert_rigid, look_at, wrist_camera


@dataclass(frozen=True)
class Swing:
    """A quantity that goes to and fro about its middle."""

    middle: float
    reach: float  # to either side

    def at(self, share: float) -> float:
        """Its value where `share` of the reach, -1..1, is gone."""
        return self.middle + self.reach * share


@dataclass(frozen=True)
class WristPath:
    """Camera places on a sphere around the middle of the table: to and fro in azimuth, up and down twice as often.

    With these numbers the camera moves at 0.2 m/s at most. Times are seconds; the path has the period `period_s`.
    """

    start_s: float = 0.0  # place on the path at time 0
    support_height_m: float = 0.0
    period_s: float = 12.0
    azimuth_deg: Swing = Swing(FRONT_AZIMUTH_DEG, 45.0)
    elevation_deg: Swing = Swing(52.0, 8.0)
    distance_m: Swing = Swing(0.5, 0.04)

    @classmethod
    def of_seed(cls, seed: int, support_height_m: float) -> WristPath:
        """The path of a cell's seed: every seed begins somewhere else."""
        return cls(float(np.random.default_rng([seed, 100]).uniform(0.0, cls.period_s)), support_height_m)

    def world_from_hand(self, time_s: float) -> np.ndarray:
        """(4, 4) pose of the grasp frame, so that the wrist camera looks at the middle of the table."""
        turn = 2 * np.pi * (self.start_s + time_s) / self.period_s
        azimuth = np.deg2rad(self.azimuth_deg.at(np.sin(turn)))
        elevation = np.deg2rad(self.elevation_deg.at(np.sin(2 * turn)))
        distance = self.distance_m.at(np.cos(turn))
        flat = np.cos(elevation)
        direction = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
        target = np.array([0.0, 0.0, self.support_height_m + 0.02])
        world_from_cam = invert_rigid(look_at(target + distance * direction, target))
        return world_from_cam @ invert_rigid(hand_from_wrist_cam())

    def camera(self, time_s: float, width: int, height: int) -> RigCamera:
        """The wrist camera at a time."""
        return wrist_camera(self.world_from_hand(time_s), width, height)
