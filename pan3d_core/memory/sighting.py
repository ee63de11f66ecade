"""What a view set that shows an object adds to what is remembered of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pan3d_core.config import MemoryConfig
from pan3d_core.memory.likeness import place
from pan3d_core.memory.objects import NUM_SIDES, MemoryObject, ObjectState, Placed, Rest, first_rest, longer_rest
from pan3d_core.memory.surface import empty_surface, fuse
from pan3d_core.structures import Segment

MAX_PLACES = 32  # of an object's history
MAX_NAMES = 8  # that an object is remembered to have been called
MAX_WEIGHT = 50  # sightings that the mean colour and vector weigh, at most, so that they can follow slow changes
# A surface that was seen often, from the same sides, hardly changes: every so many sightings renew it.
OFTEN, RENEWED = 8, 4
SPREADS = 4.0  # a place further from the mean than so many standard deviations is another one


@dataclass(frozen=True)
class Sighting:
    """An object in one view set."""

    segment: Segment
    name: str
    stamp_ns: int
    points: Tensor  # (N, 3) metres, world
    colors: Tensor  # (N, 3) RGB 0..1
    eyes_from_place: Tensor | None  # (V, 3) from the object to the cameras that show it, metres; None = not known


def first_sighting(seen: Sighting, config: MemoryConfig) -> MemoryObject:
    """Begin the memory of an object.

    Args:
        seen: For the first time.
        config: Of the memory.

    Returns:
        The object, visible.
    """
    return MemoryObject(
        instance_id=seen.segment.instance_id,
        state=ObjectState.VISIBLE,
        since_ns=seen.stamp_ns,
        reason="seen",
        segment=seen.segment,
        surface=fuse(empty_surface(), seen.points, seen.colors, config.surface_points),
        rest=first_rest(seen.segment.box),
        first_seen_ns=seen.stamp_ns,
        last_seen_ns=seen.stamp_ns,
        sightings=1,
        color_rgb=seen.segment.color_rgb,
        name_scores=_with_name({}, seen),
        text_embedding=seen.segment.text_embedding,
        sides=_sides(seen.eyes_from_place),
        history=(_placed(seen),),
        # Where no view says what became of an object, the time since it was seen is all that is known.
        doubted_ns=seen.stamp_ns if seen.eyes_from_place is None else None,
    )


def next_sighting(item: MemoryObject, seen: Sighting, config: MemoryConfig, held: bool) -> MemoryObject:
    """Take another sighting into the memory of an object.

    Where it has moved, its surface and the means of its place begin anew, since how it turned is not known.

    Args:
        item: So far.
        seen: The same object.
        config: Of the memory.
        held: A hand has it.

    Returns:
        The object, visible, moved or held.
    """
    moved_m = _moved(item.rest, seen, config)
    restarted = moved_m > 0
    surface = empty_surface() if restarted else item.surface
    sides = _sides(seen.eyes_from_place) | (0 if restarted else item.sides)
    if restarted or sides != item.sides or item.rest.count < OFTEN or item.sightings % RENEWED == 0:
        surface = fuse(surface, seen.points, seen.colors, config.surface_points)
    state, since_ns, reason = _state(item, seen, moved_m, config, held)
    weight = 1.0 / min(item.sightings + 1, MAX_WEIGHT)
    return replace(
        item,
        state=state,
        since_ns=since_ns,
        reason=reason,
        segment=seen.segment,
        surface=surface,
        rest=first_rest(seen.segment.box) if restarted else longer_rest(item.rest, seen.segment.box),
        last_seen_ns=seen.stamp_ns,
        sightings=item.sightings + 1,
        color_rgb=item.color_rgb + weight * (seen.segment.color_rgb - item.color_rgb),
        name_scores=_with_name(item.name_scores, seen),
        text_embedding=_mean_direction(item.text_embedding, seen.segment.text_embedding, weight),
        sides=sides,
        history=(*item.history, _placed(seen))[-MAX_PLACES:] if restarted else item.history,
        hidden_by=(),
        empty_steps=0,
        doubted_ns=seen.stamp_ns if seen.eyes_from_place is None else None,
    )


def _moved(rest: Rest, seen: Sighting, config: MemoryConfig) -> float:
    """Metres by which an object has moved, 0 = it rests. What is partly hidden has its middle elsewhere, by half of what is
    missing of its size at most."""
    away_m = float((place(seen.segment) - rest.center_m).norm())
    hidden_m = 0.5 * float((rest.size_m - seen.segment.box.size_m).clamp_min(0).norm())
    noise_m = SPREADS * float(rest.spread_m.norm())
    return away_m if away_m > max(config.moved_m, noise_m) + hidden_m else 0.0


def _state(item: MemoryObject, seen: Sighting, moved_m: float, config: MemoryConfig, held: bool) -> tuple[ObjectState, int, str]:
    if held:
        since_ns = item.since_ns if item.state is ObjectState.HELD else seen.stamp_ns
        return ObjectState.HELD, since_ns, "a hand has it; seen"
    if moved_m:
        return ObjectState.MOVED, seen.stamp_ns, f"moved by {moved_m:.2f} m"
    if item.state is ObjectState.MOVED and seen.stamp_ns - item.since_ns < config.settle_s * 1e9:
        return item.state, item.since_ns, item.reason
    since_ns = item.since_ns if item.state is ObjectState.VISIBLE else seen.stamp_ns
    return ObjectState.VISIBLE, since_ns, "seen"


def _with_name(scores: Mapping[str, float], seen: Sighting) -> dict[str, float]:
    """With what this sighting is called; of many names the likeliest stay."""
    if not seen.name:
        return dict(scores)
    added = {**scores, seen.name: scores.get(seen.name, 0.0) + seen.segment.class_score}
    return dict(sorted(added.items(), key=lambda pair: -pair[1])[:MAX_NAMES])


def _placed(seen: Sighting) -> Placed:
    x, y, z = place(seen.segment).tolist()
    return Placed(seen.stamp_ns, (x, y, z))


def _sides(eyes_from_place: Tensor | None) -> int:
    """Bits of the directions around the vertical that cameras look from."""
    if eyes_from_place is None:
        return 0
    turns = torch.atan2(eyes_from_place[:, 1], eyes_from_place[:, 0]) / (2 * math.pi) % 1.0
    bits = 0
    for side in (turns * NUM_SIDES).long().clamp_max(NUM_SIDES - 1).tolist():
        bits |= 1 << side
    return bits


def _mean_direction(mean: Tensor | None, new: Tensor | None, weight: float) -> Tensor | None:
    if mean is None or new is None:
        return mean if new is None else new
    return torch.nn.functional.normalize(mean + weight * (new - mean), dim=0)
