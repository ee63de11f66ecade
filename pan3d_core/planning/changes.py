"""What a planner has been told of the scene, and what has changed since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from pan3d_core.body import HeldObject
from pan3d_core.planning.bodies import CollisionBody, body_key
from pan3d_core.planning.meshes import Floats

_TURNS = np.arange(16) * np.pi / 8
# Outlines are compared by how far they reach along these.
DIRECTIONS = np.concatenate([np.column_stack([np.cos(_TURNS), np.sin(_TURNS), np.zeros(16)]), [[0, 0, 1.0], [0, 0, -1.0]]])


class ChangeKind(str, Enum):
    """What a planner has to do."""

    ADD = "add"  # or put in the place of what has the same id
    MOVE = "move"  # the shape stays
    REMOVE = "remove"
    ATTACH = "attach"  # to a link
    DETACH = "detach"  # it stays where the link has it, until it is seen


@dataclass(frozen=True)
class Change:
    """One step to the present scene."""

    kind: ChangeKind
    instance_id: int
    body: CollisionBody | None = None  # of ADD and MOVE
    held: HeldObject | None = None  # of ATTACH; of DETACH what was attached

    @property
    def key(self) -> str:
        """The id that planners know the object by."""
        return body_key(self.instance_id)


class PlannedScene:
    """Remembers what was told. Not for two threads at once."""

    def __init__(self) -> None:
        self._bodies: dict[int, CollisionBody] = {}
        self._held: dict[int, HeldObject] = {}
        self._let_go: set[int] = set()  # told to stay where their links had them

    @property
    def count(self) -> int:
        """Objects that a planner knows, held ones included."""
        return len(self._bodies) + len(self._held) + len(self._let_go)

    def update(self, bodies: Sequence[CollisionBody], held: Sequence[HeldObject], tolerance_m: float) -> tuple[Change, ...]:
        """Compare the present scene with what was told, and take it for told.

        Args:
            bodies: Everything that stands somewhere.
            held: What moves with links.
            tolerance_m: Outlines that differ by less are the same, so that noise is not told.

        Returns:
            The changes, in the order in which they are to be done.
        """
        carried = {item.instance_id: item for item in held}
        standing = {body.instance_id: body for body in bodies if body.instance_id not in carried}
        released = self._held.keys() - carried.keys()
        changes = [Change(ChangeKind.DETACH, key, held=self._held[key]) for key in sorted(released)]
        changes += [Change(ChangeKind.ATTACH, key, held=item) for key, item in carried.items() if self._held.get(key) is not item]
        # What was let go is where the gripper left it, not where it was seen before it was taken.
        put_down = (self._let_go | released) - carried.keys()
        let_go = {key for key in put_down if key in standing and not standing[key].seen_now}
        ended = put_down - standing.keys()
        known = {key: body for key, body in self._bodies.items() if key not in carried}
        ended |= known.keys() - standing.keys()
        changes += [Change(ChangeKind.REMOVE, key) for key in sorted(ended)]
        told: dict[int, CollisionBody] = {}
        for key, body in standing.items():
            if key in let_go:
                continue
            change = _change(known.get(key), body, tolerance_m)
            told[key] = known[key] if change is None else change.body or body
            changes += [] if change is None else [change]
        self._bodies, self._held, self._let_go = told, carried, let_go
        return tuple(changes)

    def everything(self) -> tuple[Change, ...]:
        """All that was told, for somebody who knows nothing yet; without what was let go and not seen since."""
        added = [Change(ChangeKind.ADD, key, body) for key, body in self._bodies.items()]
        return (*added, *(Change(ChangeKind.ATTACH, key, held=item) for key, item in self._held.items()))


def _change(before: CollisionBody | None, now: CollisionBody, tolerance_m: float) -> Change | None:
    """How one body has to be changed; None = it is as it was told."""
    if before is None or len(before.unseen) != len(now.unseen):
        return Change(ChangeKind.ADD, now.instance_id, now)
    wanted = _reach(now.world_corners)
    if np.abs(_reach(before.world_corners) - wanted).max() <= tolerance_m:
        return None
    quarters = [_turned(before, now.world_from_body, quarter) for quarter in range(4)]
    misses = [float(np.abs(_reach(body.world_corners) - wanted).max()) for body in quarters]
    best = int(np.argmin(misses))
    if misses[best] <= tolerance_m:
        return Change(ChangeKind.MOVE, now.instance_id, quarters[best])
    return Change(ChangeKind.ADD, now.instance_id, now)


def _turned(body: CollisionBody, world_from_body: Floats, quarter: int) -> CollisionBody:
    """A body elsewhere: boxes say how they lie but for quarters of a turn."""
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
    turn = np.array([[cosine, -sine, 0, 0], [sine, cosine, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float64)
    return replace(body, world_from_body=world_from_body @ turn)


def _reach(corners: Floats) -> Floats:
    """(18,) metres along `DIRECTIONS`."""
    furthest: Floats = (corners @ DIRECTIONS.T).max(0)
    return furthest
