"""What is remembered of an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.memory.surface import FusedSurface
from pan3d_core.structures import Segment

NUM_SIDES = 8  # directions around the vertical from which an object may have been seen


class ObjectState(str, Enum):
    """What is believed of an object now."""

    VISIBLE = "visible"
    MOVED = "moved"  # visible, and lately not where it was
    OCCLUDED = "occluded"  # something stands before its place in every view that looks there
    HELD = "held"  # a hand has it, as somebody told
    GONE = "gone"  # its place was seen empty
    UNCERTAIN = "uncertain"  # not found, and its place was neither seen empty nor hidden; or no view looks there


SEEN = (ObjectState.VISIBLE, ObjectState.MOVED)


@dataclass(frozen=True)
class Rest:
    """Where an object has been seen since it last moved, as means over its sightings."""

    count: int  # of sightings
    center_m: Tensor  # (3,) world
    size_m: Tensor  # (3,) longer and shorter side, height
    squares_m2: Tensor  # (3,) sum of squared deviations from `center_m`

    @property
    def spread_m(self) -> Tensor:
        """(3,) standard deviation of a sighting's middle; 0 with fewer than two."""
        return (self.squares_m2 / max(self.count - 1, 1)).sqrt()


def first_rest(box: OrientedBox) -> Rest:
    """Begin the means with one sighting."""
    return Rest(1, box.world_from_box[:3, 3], box.size_m, torch.zeros(3))


def longer_rest(rest: Rest, box: OrientedBox) -> Rest:
    """Take a sighting into the means (Welford's running variance).

    Args:
        rest: So far.
        box: As seen now, upright.

    Returns:
        Means over one sighting more.
    """
    count, away = rest.count + 1, box.world_from_box[:3, 3] - rest.center_m
    center = rest.center_m + away / count
    squares = rest.squares_m2 + away * (box.world_from_box[:3, 3] - center)
    return Rest(count, center, rest.size_m + (box.size_m - rest.size_m) / count, squares)


@dataclass(frozen=True)
class Placed:
    """A place where an object came to be seen."""

    stamp_ns: int
    center_m: tuple[float, float, float]  # world


@dataclass(frozen=True)
class MemoryObject:
    """One object of a `WorldMemory`."""

    instance_id: int  # > 0
    state: ObjectState
    since_ns: int  # begin of the state
    reason: str  # what the state rests on, in words
    segment: Segment  # as it was last seen
    surface: FusedSurface  # all that was seen of it since it last moved
    rest: Rest
    first_seen_ns: int
    last_seen_ns: int
    sightings: int  # view sets that showed it
    color_rgb: Tensor  # (3,) mean over sightings, 0..1
    name_scores: Mapping[str, float]  # name of a class -> sum of the probabilities that sightings gave it
    text_embedding: Tensor | None = None  # (E,) unit mean over sightings
    sides: int = 0  # bit k: seen from the k-th of NUM_SIDES directions since it last moved
    hidden_by: tuple[int, ...] = ()  # objects before it while OCCLUDED; none = something that is no object
    history: tuple[Placed, ...] = ()  # where it came to rest, oldest first; a bounded number
    empty_steps: int = 0  # view sets in a row that showed its place empty
    doubted_ns: int | None = None  # since when nothing explains that it is not seen; None = it is explained

    @property
    def name(self) -> str:
        """Name of the class that its sightings say most; empty = unnamed."""
        return max(self.name_scores, key=self.name_scores.__getitem__, default="")

    @property
    def box(self) -> OrientedBox:
        """Upright, of the mean middle and size over the sightings since it last moved."""
        world_from_box = self.segment.box.world_from_box.clone()
        world_from_box[:3, 3] = self.rest.center_m
        return OrientedBox(world_from_box, self.rest.size_m)

    @property
    def seen(self) -> bool:
        """Whether the newest view set shows it."""
        return self.state in SEEN or (self.state is ObjectState.HELD and self.doubted_ns is None and self.empty_steps == 0)

    @property
    def unseen_share(self) -> float:
        """0..1, of the directions around it from which it was never seen where it is now."""
        return 1.0 - self.sides.bit_count() / NUM_SIDES
