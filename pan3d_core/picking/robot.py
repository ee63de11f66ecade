"""What is asked of a robot that picks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pan3d_core.motion import Trajectory
from pan3d_core.structures import CameraView


class PickingRobot(Protocol):
    """An arm with a gripper and calibrated cameras; lengths in metres, angles in radians, the arm's root is the world."""

    @property
    def rest(self) -> npt.NDArray[np.float64]:
        """(J,) where the arm hides as little as it can from the cameras."""

    @property
    def max_opening_m(self) -> float:
        """Largest distance between the pads."""

    def views(self) -> Sequence[CameraView]:
        """Pictures as they are now, with poses, and where the robot's links were (`world_from_links`)."""

    def angles(self) -> npt.NDArray[np.float64]:
        """(J,) measured."""

    def opening_m(self) -> float:
        """Measured distance between the pads."""

    def follow(self, trajectory: Trajectory, phase: str) -> None:
        """Go a way to its end; `phase` names the piece of the motion, for logs."""

    def open_to(self, opening_m: float) -> None:
        """Open the gripper."""

    def close(self) -> float:
        """Close it with force; returns what is left between the pads."""
