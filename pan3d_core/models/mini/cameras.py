"""Cameras of views without poses, from what `pan3d-mini` says about them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.geometry.level_cameras import locate_cameras
from pan3d_core.geometry.transforms import invert_rigid, rigid
from pan3d_core.models.mini.network import DenseOutputs

MAX_SUPPORT_FOREGROUND = 0.1  # pixels that surely show no object


def cameras_from_head(view1_from_cam: Tensor) -> Tensor:
    """(S, 9) two rotation columns and translation -> cam_from_view1 (S, 4, 4), the first one the identity."""
    first, second, translation = view1_from_cam.split([3, 3, 3], dim=-1)
    first = F.normalize(first, dim=-1)
    second = F.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
    third = torch.linalg.cross(first, second, dim=-1)
    view1_from_cam = rigid(torch.stack([first, second, third], dim=-1), translation)
    return invert_rigid(view1_from_cam) @ view1_from_cam[0]


def unposed_cameras(outputs: DenseOutputs, scene: int, mask_logits: Tensor, intrinsics: Tensor) -> Tensor:
    """Find the cameras of one scene from the objects that its views share; the camera head guesses where they share too few.

    Args:
        outputs: Of B scenes.
        scene: Which of them.
        mask_logits: (K, S, h, w) of its objects, at any size.
        intrinsics: (S, 3, 3) pixels at the size of the images.

    Returns:
        cam_from_view1 (S, 4, 4), metres.
    """
    depth = outputs.depth()[scene]
    size = (depth.shape[-2], depth.shape[-1])
    masks = F.interpolate(mask_logits, size=size, mode="bilinear") > 0
    foreground = F.interpolate(outputs.foreground_logits[scene : scene + 1], size=size, mode="bilinear")[0].sigmoid()
    # Hundreds of small steps with decisions between them, for each of which a GPU would be waited for: faster without it.
    known = (depth, intrinsics, masks, foreground < MAX_SUPPORT_FOREGROUND)
    found = locate_cameras(*(values.cpu() for values in known))
    guess = cameras_from_head(outputs.view1_from_cam[scene])
    return torch.where(found.located.to(guess.device)[:, None, None], found.cam_from_view1.to(guess), guess)
