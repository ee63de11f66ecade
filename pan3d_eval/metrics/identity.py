"""Do ids stay with their objects over a stream: identity switches and MOTA (Bernardin and Stiefelhagen 2008).

Per update, a pair of true and reported object that was matched before stays matched as long as its IoU is high enough;
the others are matched for the largest sum of IoU. A switch is a true object that is matched to another id than at its
last match, however long ago that was. `FrameOverlap` holds what is needed of one update; masks need not be kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

DEFAULT_IOU = 0.5


@dataclass(frozen=True)
class FrameOverlap:
    """One update: G true against P reported objects."""

    true_ids: np.ndarray  # (G,) int64
    reported_ids: np.ndarray  # (P,) int64
    ious: np.ndarray  # (G, P)


@dataclass(frozen=True)
class IdentityErrors:
    """Counts over a stream; the shares are NaN when it never showed a true object."""

    switches: int  # a true object took another id than it had
    fragments: int  # a true object was matched, then missed, then matched again
    missed: int  # true objects without a match, summed over updates
    spurious: int  # reported objects without a match, summed over updates
    matches: int
    truths: int  # true objects, summed over updates
    mota: float  # 1 - (missed + spurious + switches) / truths; below 0 when there are more errors than objects
    motp: float  # mean IoU of matches; NaN without any
    mostly_tracked: float  # share of true objects that were matched in at least 80 % of their updates


def frame_overlap(reported_ids: Tensor, true_ids: Tensor) -> FrameOverlap:
    """Overlap what was reported and what is true at one update.

    Args:
        reported_ids: Integer ids of any shape, 0 = none.
        true_ids: Of the same shape.

    Returns:
        The ids that occur, and the IoU of every pair of them.

    Raises:
        ValueError: Shapes differ.
    """
    if reported_ids.shape != true_ids.shape:
        raise ValueError(f"reported_ids: expected the truth's shape {tuple(true_ids.shape)}, got {tuple(reported_ids.shape)}")
    maps = [item.reshape(-1).cpu() for item in (true_ids, reported_ids)]
    (ids_t, rows), (ids_p, columns) = (torch.unique(item, return_inverse=True) for item in maps)
    counts = torch.bincount(rows * len(ids_p) + columns, minlength=len(ids_t) * len(ids_p))
    shared = counts.reshape(len(ids_t), len(ids_p)).double()
    ious = shared / (shared.sum(1, keepdim=True) + shared.sum(0, keepdim=True) - shared)
    return FrameOverlap(ids_t[ids_t > 0].numpy(), ids_p[ids_p > 0].numpy(), ious[ids_t > 0][:, ids_p > 0].numpy())


def identity_errors(frames: Iterable[FrameOverlap], min_iou: float = DEFAULT_IOU) -> IdentityErrors:
    """Count errors of a stream of ids as CLEAR MOT does (Bernardin and Stiefelhagen 2008).

    Args:
        frames: The stream update by update, in order.
        min_iou: What a match needs more than.

    Returns:
        Counts over the whole stream, with MOTA and MOTP.
    """
    last_id: dict[int, int] = {}  # true id -> reported id of its last match
    history: dict[int, list[bool]] = {}  # true id -> matched or not, for every update that showed it
    switches = missed = spurious = matches = truths = 0
    iou_sum = 0.0
    for frame in frames:
        pairs = _match(frame, last_id, min_iou)
        for row, true_id in enumerate(frame.true_ids.tolist()):
            history.setdefault(true_id, []).append(row in pairs)
        for row, column in pairs.items():
            true_id, reported_id = int(frame.true_ids[row]), int(frame.reported_ids[column])
            switches += last_id.get(true_id, reported_id) != reported_id
            last_id[true_id] = reported_id
            iou_sum += float(frame.ious[row, column])
        matches += len(pairs)
        missed += len(frame.true_ids) - len(pairs)
        spurious += len(frame.reported_ids) - len(pairs)
        truths += len(frame.true_ids)
    return IdentityErrors(
        switches=switches,
        fragments=sum(_fragments(item) for item in history.values()),
        missed=missed,
        spurious=spurious,
        matches=matches,
        truths=truths,
        mota=1.0 - (missed + spurious + switches) / truths if truths else math.nan,
        motp=iou_sum / matches if matches else math.nan,
        mostly_tracked=sum(np.mean(item) >= 0.8 for item in history.values()) / len(history) if history else math.nan,
    )


def _match(frame: FrameOverlap, last_id: dict[int, int], min_iou: float) -> dict[int, int]:
    """Row of the true object -> column of the reported one."""
    column_of = {int(reported): column for column, reported in enumerate(frame.reported_ids)}
    allowed = frame.ious > min_iou
    pairs: dict[int, int] = {}
    for row, true_id in enumerate(frame.true_ids.tolist()):
        column = column_of.get(last_id.get(true_id, 0))
        if column is not None and allowed[row, column] and column not in pairs.values():
            pairs[row] = column
    worth = np.where(allowed, frame.ious, 0.0)
    worth[list(pairs)] = 0.0
    worth[:, list(pairs.values())] = 0.0
    rows, columns = linear_sum_assignment(worth, maximize=True)
    for row, best in zip(rows.tolist(), columns.tolist()):
        if worth[row, best] > 0.0:
            pairs[row] = best
    return pairs


def _fragments(matched: list[bool]) -> int:
    """How often a gap lies between two matched stretches."""
    starts = sum(now and not before for before, now in zip([False, *matched], matched))
    return max(starts - 1, 0)
