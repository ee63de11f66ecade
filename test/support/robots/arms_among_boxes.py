"""An arm and a scene of boxes, as perception would tell of them."""

from __future__ import annotations

import numpy as np
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.motion import MotionScene, Obstacle
from pan3d_core.structures import GraspTarget
from pan3d_sim.arm import ARM

AWAY, HOME = np.array(ARM.away), np.array(ARM.home)
DOWN = np.diag([1.0, -1.0, -1.0])


def box(instance_id: int, middle: tuple[float, float], size: tuple[float, float, float]) -> Obstacle:
    """An upright box on the table, metres."""
    signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])
    return Obstacle(instance_id, signs * np.array(size) + [*middle, 0.0], "box")


def scene(*boxes: Obstacle) -> MotionScene:
    """Boxes on a table at height 0."""
    return MotionScene(boxes, np.zeros((0, 3)), 0.0)


def grasp(instance_id: int, place: tuple[float, float, float], rotation: np.ndarray = DOWN) -> GraspTarget:
    """A grasp whose closing direction is x, from above."""
    pose = torch.eye(4)
    pose[:3, :3], pose[:3, 3] = torch.from_numpy(rotation).float(), torch.tensor(place)
    hull = OrientedBox(pose.clone(), torch.tensor([0.04, 0.04, 0.06]))
    return GraspTarget(instance_id, -1, 0.9, pose, 0.06, 0.10, hull, opening_m=0.07)
