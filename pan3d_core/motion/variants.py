"""Grasps as an arm had better take them, since what is seen of an object is a little off: closing level, and lower."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from pan3d_core.motion.arm import Floats
from pan3d_core.structures import GraspTarget

STEEPEST_CLOSING = 0.5  # z of a closing direction; one that is steeper is meant to be, and stays
LEVEL = 0.02  # z of one that is level already
TOP_ERROR_M = 0.008  # by which tops are seen too high, usually: the middle of the height is half as much lower than it seems
LITTLE_M = 0.001  # nearer to the middle a grasp stays as high


def variants(grasp: GraspTarget, middle_m: float, lower_m: float) -> Iterator[GraspTarget]:
    """Offer a grasp in the ways in which it is to be tried, best first; the last one is as it was offered.

    What stands has upright sides more often than seen normals say, and jaws that close on them aslant turn the object until it
    fits them: it is put down aslant, and falls. Tops are seen too high, so that pads hold an edge. Lower is straight down and not
    further along the approach, on which a hand from the side would get past the middle of what it holds.

    Args:
        grasp: As it was offered.
        middle_m: World z of the middle of the object's height, as it is seen.
        lower_m: By how much a grasp above the middle goes lower, at most down to where that really is.

    Yields:
        The grasp, level and lower, then one or the other, where this makes a difference.
    """
    pose = grasp.world_from_grasp.double().cpu().numpy()
    level = levelled(pose)
    for turned in (level, pose) if level is not pose else (pose,):
        room_m = float(pose[2, 3]) - (middle_m - TOP_ERROR_M / 2)
        if pose[2, 2] < 0 and room_m > LITTLE_M and lower_m > 0:
            lower = turned.copy()
            lower[2, 3] -= min(lower_m, room_m)
            yield replace(grasp, world_from_grasp=torch.from_numpy(lower).float())
        yield grasp if turned is pose else replace(grasp, world_from_grasp=torch.from_numpy(turned).float())


def levelled(pose: Floats) -> Floats:
    """Turn a grasp about its place until it closes level, its approach as near to what it was as that allows.

    Args:
        pose: (4, 4) world.

    Returns:
        (4, 4); `pose` itself where it is level already, or too steep to be meant level.
    """
    if not LEVEL < abs(pose[2, 0]) < STEEPEST_CLOSING:
        return pose
    closing = pose[:3, 0] * [1.0, 1.0, 0.0]
    closing /= np.linalg.norm(closing)
    approach = pose[:3, 2] - (pose[:3, 2] @ closing) * closing
    approach /= np.linalg.norm(approach)
    found = pose.copy()
    found[:3, :3] = np.stack([closing, np.cross(approach, closing), approach], axis=1)
    return found
