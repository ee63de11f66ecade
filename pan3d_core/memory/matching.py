"""Which remembered object each object that is seen is: by its place first, then by what it looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pan3d_core.config import TrackingConfig
from pan3d_core.memory.likeness import place, similarity
from pan3d_core.memory.objects import MemoryObject, ObjectState
from pan3d_core.structures import Segment

# What each likeness counts where the place says nothing; meaning is left out where there are no embeddings.
WEIGHTS = {"size": 0.35, "color": 0.45, "meaning": 0.2}
# Assumed: likeness that it costs to have been gone for long, or to be hidden, where another one has vanished just now; and that a
# metre between old and new place costs, so that of twins the nearer one is taken.
GONE_COST, HIDDEN_COST, PER_METRE = 0.1, 0.2, 0.05
HIDDEN_LIKENESS = 0.8  # at least, of one that something hides that is no object: an arm may have carried it


def match_by_place(segments: Sequence[Segment], known: Mapping[int, MemoryObject], config: TrackingConfig) -> dict[int, int]:
    """Match objects that are where they were, or near.

    Args:
        segments: Seen now.
        known: Remembered, by id; those that are gone are nowhere.
        config: `max_distance_m` and `min_similarity`.

    Returns:
        Row of `segments` -> id, one to one: the assignment of largest total similarity.
    """
    ids = [key for key, item in known.items() if item.state is not ObjectState.GONE]
    if not ids or not segments:
        return {}
    places = torch.stack([place(known[key].segment) for key in ids])
    near = (torch.cdist(torch.stack([place(item) for item in segments]), places) <= config.max_distance_m).nonzero().tolist()
    table = np.zeros((len(segments), len(ids)))
    for row, column in near:
        table[row, column] = similarity(known[ids[column]].segment, segments[row], config.max_distance_m)
    return _assigned(table, ids, config.min_similarity)


def match_by_looks(
    segments: Mapping[int, Segment], missed: Mapping[int, MemoryObject], costs: Mapping[int, float], min_likeness: float
) -> dict[int, int]:
    """Match objects that are elsewhere than they were.

    Args:
        segments: Seen now and known by no place; by row.
        missed: Objects that may be no longer where they were, by id.
        costs: Likeness that each of them is the less likely for, by id; `HIDDEN_COST` asks for `HIDDEN_LIKENESS` as well.
        min_likeness: Least likeness of size, colour and meaning.

    Returns:
        Row of `segments` -> id, one to one: the assignment of largest total likeness less costs; of equals the nearer is taken.
    """
    rows, ids = list(segments), list(missed)
    table = np.zeros((len(rows), len(ids)))
    for row, segment in enumerate(segments.values()):
        for column, (instance_id, item) in enumerate(missed.items()):
            alike, cost = likeness(item, segment), costs[instance_id]
            enough = max(min_likeness, HIDDEN_LIKENESS) if cost == HIDDEN_COST else min_likeness
            away_m = float((place(segment) - item.rest.center_m).norm())
            table[row, column] = max(alike - cost - PER_METRE * min(away_m, 1.0), 1e-6) if alike >= enough else 0.0
    return {rows[row]: instance_id for row, instance_id in _assigned(table, ids, 1e-9).items()}


def likeness(item: MemoryObject, segment: Segment) -> float:
    """Compare looks, whatever the places.

    Args:
        item: Remembered.
        segment: Seen now.

    Returns:
        0..1 from size, colour and meaning.
    """
    parts = {
        "size": _size_likeness(item.rest.size_m, segment.box.size_m),
        "color": 1.0 - min(1.0, 2.0 * float((item.color_rgb - segment.color_rgb).abs().max())),
    }
    if item.text_embedding is not None and segment.text_embedding is not None:
        parts["meaning"] = max(0.0, float(item.text_embedding @ segment.text_embedding))
    return sum(WEIGHTS[name] * value for name, value in parts.items()) / sum(WEIGHTS[name] for name in parts)


def _size_likeness(first: Tensor, second: Tensor) -> float:
    """1 for equal extents, 0 where they are half as long; what lies down may have stood, and parts may be hidden."""
    one, other = first.sort().values, second.sort().values
    ratio = torch.minimum(one, other) / torch.maximum(one, other).clamp_min(1e-9)
    return float((2.0 * ratio - 1.0).clamp_min(0.0).mean())


def _assigned(table: npt.NDArray[np.float64], ids: Sequence[int], enough: float) -> dict[int, int]:
    """Row -> id by the assignment of largest sum, without pairs of less than `enough`."""
    rows, columns = linear_sum_assignment(table, maximize=True)
    return {int(row): ids[int(column)] for row, column in zip(rows, columns) if table[row, column] >= enough}
