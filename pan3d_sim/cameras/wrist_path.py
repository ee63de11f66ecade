"""The journey of the wrist camera: a smooth arc over the table that never ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pan3d_sim.cameras.rig import FRONT_AZIMUTH_DEG, RigCamera, hand_from_wrist_cam, invert_rigid, look_at, wrist_camera


@dataclass(frozen=True)
class WristPath:
    """Camera places on a sphere around the middle of the table: to and fro in azimuth, up and down twice as often.

    With these numbers the camera moves at 0.2 m/s at most. Times are seconds; the path has the period `period_s`.
    """

    start_s: float = 0.0  # place on the path at time 0
    support_height_m: float = 0.0
    period_s: float = 12.0
    azimuth_swing_deg: float = 45.0
    elevation_deg: float = 52.0
    elevation_swing_deg: float = 8.0
    distance_m: float = 0.5
    distance_swing_m: float = 0.04

    @classmethod
    def of_seed(cls, seed: int, support_height_m: float) -> WristPath:
        """The path of a cell's seed: every seed begins somewhere else."""
        return cls(float(np.random.default_rng([seed, 100]).uniform(0.0, cls.period_s)), support_height_m)

    def world_from_hand(self, time_s: float) -> np.ndarray:
        """(4, 4) pose of the grasp frame, so that the wrist camera looks at the middle of the table."""
        turn = 2 * np.pi * (self.start_s + time_s) / self.period_s
        azimuth = np.deg2rad(FRONT_AZIMUTH_DEG + self.azimuth_swing_deg * np.sin(turn))
        elevation = np.deg2rad(self.elevation_deg + self.elevation_swing_deg * np.sin(2 * turn))
        distance = self.distance_m + self.distance_swing_m * np.cos(turn)
        flat = np.cos(elevation)
        direction = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
        target = np.array([0.0, 0.0, self.support_height_m + 0.02])
        world_from_cam = invert_rigid(look_at(target + distance * direction, target))
        return world_from_cam @ invert_rigid(hand_from_wrist_cam())

    def camera(self, time_s: float, width: int, height: int) -> RigCamera:
        """The wrist camera at a time."""
        return wrist_camera(self.world_from_hand(time_s), width, height)
