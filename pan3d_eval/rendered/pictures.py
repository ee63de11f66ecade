"""Rendered Gaussians beside the truth: one column per view, one row for each of colour, semantics and instances."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pan3d_core.pictures.overlays import enlarge, montage, to_picture
from pan3d_core.pictures.palette import UNASSIGNED, class_colors, instance_palette
from pan3d_eval.rendered.gaussian_scenes import ShownScene

ROWS = ("image", "rendered", "true class", "rendered class", "true instance", "instance read")


def gaussian_view_picture(shown: ShownScene, tile_width: int = 176) -> np.ndarray:
    """Draw rendered Gaussians beside the truth.

    A segment has the colour of the true instance that it shares most pixels with, of several such only the largest; the others
    have colours that no true instance has.

    Args:
        shown: One scene in all its views.
        tile_width: Of a picture, pixels.

    Returns:
        (h, w, 3) uint8 RGB; the context views come first.
    """
    truth, prediction = shown.truth, shown.prediction
    order = truth.is_novel.to(torch.int8).argsort(stable=True)
    segments = in_true_numbers(prediction.segment_id, truth.instance_id)
    of_class = np.array([UNASSIGNED, *class_colors(shown.labels.names)], dtype=np.uint8)
    of_instance = instance_palette(int(max(segments.max(), truth.instance_id.max())))
    rows = (
        [to_picture(image) for image in truth.images[order].cpu()],
        [to_picture(image) for image in prediction.rendering.colors[order].clamp(0, 1).cpu()],
        _colored(truth.semantic_id[order] + 1, of_class),
        _colored(prediction.semantic_id[order] + 1, of_class),
        _colored(truth.instance_id[order], of_instance),
        _colored(segments[order], of_instance),
    )
    novel = truth.is_novel[order].tolist()
    captions = [f"{name}, {'novel' if is_novel else 'context'}" for name in ROWS for is_novel in novel]
    tiles = [enlarge(picture, tile_width, smooth=index < 2) for index, row in enumerate(rows) for picture in row]
    return montage(tiles, len(order), captions, gap=3)


def in_true_numbers(segment_id: Tensor, true_id: Tensor) -> Tensor:
    """(V, H, W) segments, 0 = none, renumbered as the true instances that they are; segments that are none come after those."""
    found, row = segment_id.unique(return_inverse=True)
    known, column = true_id.unique(return_inverse=True)
    shared = torch.zeros(len(found), len(known), dtype=torch.int64, device=segment_id.device)
    shared.index_put_((row.flatten(), column.flatten()), shared.new_ones(segment_id.numel()), accumulate=True)
    shared[:, known == 0] = 0
    numbers, following = torch.zeros_like(found), int(known.max()) + 1
    taken: set[int] = set()
    for place in shared.amax(1).argsort(descending=True).tolist():
        if int(found[place]) == 0:
            continue
        best = int(known[shared[place].argmax()])
        if int(shared[place].max()) == 0 or best in taken:
            best, following = following, following + 1
        taken.add(best)
        numbers[place] = best
    return numbers[row].reshape(segment_id.shape)


def _colored(ids: Tensor, palette: np.ndarray) -> list[np.ndarray]:
    return list(palette[ids.cpu().numpy()])
