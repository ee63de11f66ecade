"""What a model in training sees and answers, as one picture per scene."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.pictures.overlays import depth_picture, depth_range, montage, overlay, to_picture

MAX_SHOWN_DEPTH_M = 3.0


def ids_from_masks(masks: Tensor, hw: tuple[int, int]) -> np.ndarray:
    """(K, S, h, w) bool, best first -> (S, H, W) ids 1..K; where masks overlap the better one shows."""
    ids = torch.zeros(masks.shape[1:], dtype=torch.long)
    for row in reversed(range(len(masks))):
        ids[masks[row]] = row + 1
    return F.interpolate(ids[:, None].float(), size=hw, mode="nearest")[:, 0].long().numpy()


def label_picture(images: Tensor, true_ids: Tensor, masks: Tensor, true_depth: Tensor, depth: Tensor) -> np.ndarray:
    """Draw the truth above the answer, one column per view.

    Args:
        images: (S, 3, H, W) RGB 0..1.
        true_ids: (S, H, W), 0 = none.
        masks: (K, S, h, w) bool, best first.
        true_depth: (S, H, W).
        depth: (S, H, W) in the unit of `true_depth`.

    Returns:
        (rows, columns, 3) uint8: true instances, answered instances, true depth, answered depth.
    """
    hw = (images.shape[-2], images.shape[-1])
    shots = [to_picture(image) for image in images]
    rows = [overlay(shot, ids, {}) for shot, ids in zip(shots, true_ids.numpy(), strict=True)]
    rows += [overlay(shot, ids, {}) for shot, ids in zip(shots, ids_from_masks(masks, hw), strict=True)]
    for maps in (true_depth, depth.float()):
        near, far = depth_range(maps.clamp_max(MAX_SHOWN_DEPTH_M).numpy())
        rows += [depth_picture(view, near, far) for view in maps.numpy()]
    return montage(rows, columns=len(images), gap=2)
