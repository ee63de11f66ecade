"""Boxes that touch, seen before and after one of them was taken away."""

from dataclasses import replace

import torch
from raycast_scene import Block, cast

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.lessons import Look
from pan3d_core.structures import GraspTarget

TAKEN = Block((0.0, 0.0, 0.03), (0.06, 0.06, 0.06), rgb=(0.1, 0.2, 0.8))
TOUCHING = Block((0.0, 0.055, 0.025), (0.05, 0.05, 0.05), rgb=(0.2, 0.3, 0.7))
APART = Block((-0.12, -0.1, 0.03), (0.05, 0.05, 0.06), rgb=(0.8, 0.15, 0.1))
BEFORE, AFTER = (TAKEN, TOUCHING, APART), (TOUCHING, APART)


def box_of(block):
    pose = torch.eye(4)
    pose[:3, 3] = torch.tensor(block.center)
    return OrientedBox(pose, torch.tensor(block.size))


BOX = box_of(TAKEN)


def look_at_boxes(blocks, *, depth=False, gain=1.0, seed=0, stamp_ns=0):
    """A look by four cameras with noise, and the true ids."""
    scene = cast(tuple(blocks))
    draw = torch.Generator().manual_seed(seed)
    views = [
        replace(
            view,
            image=(view.image * gain + 0.01 * torch.randn(view.image.shape, generator=draw)).clamp(0, 1),
            depth=scene.depth[k] if depth else None,
            stamp_ns=stamp_ns,
        )
        for k, view in enumerate(scene.views)
    ]
    surfaces = tuple(item.double().numpy() for item in scene.depth)
    claimed = tuple((item > 0).numpy() for item in scene.ids)
    return Look(tuple(views), surfaces, claimed, (None,) * len(views), 0.0), scene.ids.numpy()


def grasp():
    pose = torch.eye(4)
    pose[:3, 3] = torch.tensor([0.0, 0.0, 0.05])
    return GraspTarget(1, 0, 0.8, pose, 0.07, 0.1, BOX)
