"""Calibration that is a little wrong, as that of real rigs is: what it costs can be measured."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pan3d_core.geometry import rigid
from pan3d_core.settings import Checked, setting


@dataclass(frozen=True)
class RigError(Checked):
    """How far the cameras that an engine is told of are from those that took the pictures."""

    position_m: float = setting(0.0, "by which each camera is displaced, in a direction of its own", range=(0.0, 1.0))
    rotation_deg: float = setting(0.0, "by which each camera is turned, around an axis of its own", range=(0.0, 180.0))
    support_m: float = setting(0.0, "by which the support is told to be higher than it is", range=(-1.0, 1.0))

    def told_pose(self, cam_from_world: Tensor, scene: str, camera: str) -> Tensor:
        """Disturb a pose, the same way whenever the same camera of the same scene is asked for.

        Args:
            cam_from_world: (4, 4) metres, of the camera that took the picture.
            scene: Name of the scene.
            camera: Name of the camera.

        Returns:
            (4, 4) metres, `cam_from_world` as the engine is told.
        """
        if self.position_m == self.rotation_deg == 0:
            return cam_from_world
        rng = np.random.default_rng(zlib.crc32(f"{scene}/{camera}".encode()))
        shift, axis = (direction / np.linalg.norm(direction) for direction in rng.normal(size=(2, 3)))
        turn = _turn(torch.from_numpy(axis), math.radians(self.rotation_deg))
        told_from_camera = rigid(turn, torch.from_numpy(self.position_m * shift))
        return (told_from_camera @ cam_from_world.cpu().double()).to(cam_from_world)

    def told_support(self, support_height_m: float | None) -> float | None:
        """The height of the support as the engine is told; metres along the world's z, None = unknown."""
        return None if support_height_m is None else support_height_m + self.support_m


def _turn(axis: Tensor, angle: float) -> Tensor:
    """(3, 3) rotation by `angle` radians around a unit vector."""
    x, y, z = axis.tolist()
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=torch.float64)
    return torch.linalg.matrix_exp(angle * cross)
