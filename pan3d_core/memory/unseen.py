"""What becomes of objects that a view set does not show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pan3d_core.config import MemoryConfig
from pan3d_core.memory.evidence import Evidence, Place
from pan3d_core.memory.objects import MemoryObject, ObjectState


def explained(item: MemoryObject, evidence: Evidence | None, now_ns: int, config: MemoryConfig, held: bool) -> MemoryObject:
    """Say what is believed of an object that is not found.

    Args:
        item: So far.
        evidence: What is seen at its place; None = not known.
        now_ns: Stamp of the view set.
        config: Of the memory.
        held: A hand has it.

    Returns:
        The object with its state, and with its doubt where nothing explains that it is missed.
    """
    if held:
        return _in(item, ObjectState.HELD, "a hand has it; not seen", now_ns, empty_steps=1, doubted_ns=None)
    if item.state is ObjectState.GONE:  # whatever has come to stand there since
        return item
    place = None if evidence is None else evidence.place
    if evidence is not None and place is Place.HIDDEN:
        who = "the robot" if evidence.by_robot else "something that is no object"
        who = "object " + ", ".join(map(str, evidence.hidden_by)) if evidence.hidden_by and not evidence.by_robot else who
        hidden = _in(item, ObjectState.OCCLUDED, f"hidden by {who} in {evidence.views} views", now_ns, doubted_ns=None)
        return replace(hidden, hidden_by=evidence.hidden_by)
    if evidence is not None and place is Place.EMPTY:
        empty = item.empty_steps + 1
        if empty >= config.gone_after:
            return _in(item, ObjectState.GONE, f"its place was seen empty by {evidence.views} views", now_ns, empty_steps=empty)
        return _in(item, ObjectState.UNCERTAIN, "its place looks empty", now_ns, empty_steps=empty)
    if place is Place.NOT_LOOKED:
        return _in(item, ObjectState.UNCERTAIN, "no view looks at its place", now_ns, doubted_ns=None)
    since = now_ns if item.doubted_ns is None else item.doubted_ns
    return _in(item, ObjectState.UNCERTAIN, "not found at its place, which is not empty", now_ns, doubted_ns=since)


def forgotten(objects: Sequence[MemoryObject], now_ns: int, max_lost_s: float, config: MemoryConfig) -> dict[int, MemoryObject]:
    """Leave out objects that are no longer remembered.

    Args:
        objects: That were.
        now_ns: Stamp of the view set.
        max_lost_s: For how long an object is remembered that is not found and nothing explains why.
        config: Of the memory.

    Returns:
        The others by id, at most `max_objects`: those seen longest ago go first, and among all the gone ones.
    """
    lost_ns, remember_ns = int(max_lost_s * 1e9), int(config.remember_s * 1e9)

    def kept(item: MemoryObject) -> bool:
        doubted = item.doubted_ns is not None and now_ns - item.doubted_ns > lost_ns
        return item.state is ObjectState.HELD or (not doubted and now_ns - item.last_seen_ns <= remember_ns)

    rest = sorted(filter(kept, objects), key=lambda item: (item.state is ObjectState.GONE, -item.last_seen_ns))
    rest = rest[: config.max_objects]
    return {item.instance_id: item for item in sorted(rest, key=lambda item: item.instance_id)}


def _in(
    item: MemoryObject,
    state: ObjectState,
    reason: str,
    now_ns: int,
    *,
    empty_steps: int = 0,
    doubted_ns: int | None = None,
) -> MemoryObject:
    since_ns = item.since_ns if item.state is state else now_ns
    return replace(
        item, state=state, reason=reason, since_ns=since_ns, hidden_by=(), empty_steps=empty_steps, doubted_ns=doubted_ns
    )
