"""Masks as lengths of runs, so that a journal of text holds them: row by row, outside and inside in turn, outside first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Runs = tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """A part of an object that becomes one of its own."""

    object_id: int  # the new one
    runs: tuple[Runs, ...]  # of every view of the scene

    def json(self) -> dict[str, Any]:
        """What a journal keeps of it."""
        return {"object": self.object_id, "runs": [list(row) for row in self.runs]}

    @classmethod
    def of(cls, entry: object) -> Piece:
        """Read what `json` gives; `ValueError` names the field that is none."""
        number = entry.get("object") if isinstance(entry, Mapping) else None
        runs = entry.get("runs") if isinstance(entry, Mapping) else None
        if type(number) is not int or number < 1:
            raise ValueError(f"pieces: object: expected an id above 0, got {number!r}")
        if not isinstance(runs, list) or not all(isinstance(row, list) and all(type(n) is int for n in row) for row in runs):
            raise ValueError("pieces: runs: expected lists of lengths, one for each view, got something else")
        return cls(number, tuple(tuple(row) for row in runs))


def runs_of(mask: Tensor) -> Runs:
    """Lengths of runs of a (H, W) bool mask."""
    flat = mask.reshape(-1).numpy(force=True)
    edges = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff([0, *edges.tolist(), len(flat)]).tolist()
    return tuple([0, *lengths] if len(flat) and flat[0] else lengths)


def mask_of(runs: Sequence[int], hw: tuple[int, int]) -> Tensor:
    """Make a mask of the lengths of its runs.

    Args:
        runs: Not negative, outside first.
        hw: Size of the mask.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: The lengths do not fill a picture of that size.
    """
    if min(runs, default=0) < 0 or sum(runs) != hw[0] * hw[1]:
        raise ValueError(f"runs: expected lengths that fill {hw[1]}x{hw[0]} pixels, got {sum(runs)}")
    inside = np.arange(len(runs)) % 2 == 1
    return torch.from_numpy(np.repeat(inside, runs).reshape(hw))
