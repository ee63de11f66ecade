"""What a person decides about the objects of a labelled data set, and what follows from it; nothing here touches a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pan3d_core.labelling.doubt import THING
from pan3d_core.labelling.review.runs import Piece
from pan3d_core.settings import refuse_unknown
from pan3d_core.teaching.objects import key_of

KEEP, NAME, REJECT, TABLE, MERGE, SPLIT, ADD, OUTLINE = KINDS = (
    "keep", "name", "reject", "table", "merge", "split", "add", "outline",
)  # fmt: skip
OBJECT, REJECTED, SUPPORT = "object", "rejected", "table"  # what an object is decided to be

Place = tuple[str, int]  # folder of a scene and id of an object in it
_PIECES = ("pieces",)
_NEEDED: Mapping[str, tuple[str, ...]] = {NAME: ("name",), MERGE: ("into",), SPLIT: _PIECES, ADD: _PIECES, OUTLINE: _PIECES}


@dataclass(frozen=True)
class Action:
    """One decision."""

    kind: str  # one of `KINDS`
    scene: str
    object_id: int
    name: str = ""  # of `NAME`
    into: int = 0  # of `MERGE`: the object of the same scene that stays
    # Of `SPLIT` what leaves the object, each an object of its own; of `ADD` and `OUTLINE` one, all that the object is.
    pieces: tuple[Piece, ...] = ()
    number: int = 0  # of its line in the journal

    def json(self) -> dict[str, Any]:
        """What the journal keeps of it."""
        kept = {"do": self.kind, "scene": self.scene, "object": self.object_id}
        more = {"name": self.name, "into": self.into, "pieces": [piece.json() for piece in self.pieces]}
        return kept | {name: more[name] for name in _NEEDED.get(self.kind, ())}


def action_of(entry: Mapping[str, Any], number: int) -> Action:
    """Read what `Action.json` gives.

    Args:
        entry: Of a journal.
        number: Of its line.

    Returns:
        The action.

    Raises:
        ValueError: A field is missing, of another kind or unknown; names it.
    """
    kind = entry.get("do")
    if kind not in KINDS:
        raise ValueError(f"do: expected one of {', '.join(KINDS)}, got {kind!r}")
    kinds: dict[str, type] = {"scene": str, "object": int, "name": str, "into": int, "pieces": list}
    needed = ("scene", "object", *_NEEDED.get(kind, ()))
    refuse_unknown(entry, ("do", "at", *needed), "")
    for name in needed:
        if type(entry.get(name)) is not kinds[name]:
            raise ValueError(f"{name}: expected {kinds[name].__name__}, got {entry.get(name)!r}")
    pieces = tuple(Piece.of(item) for item in entry.get("pieces", []))
    return Action(kind, entry["scene"], entry["object"], entry.get("name", ""), entry.get("into", 0), pieces, number)


@dataclass(frozen=True)
class ReviewedObject:
    """One object, and what is decided about it."""

    scene: str
    object_id: int
    name: str  # empty = nobody has a name for it
    doubtful: bool = False  # void as it was labelled; stays so unless somebody says otherwise
    decision: str = ""  # `OBJECT`, `REJECTED`, `SUPPORT`; empty = nobody has looked at it
    decided_by: int = 0  # number of that action

    @property
    def place(self) -> Place:
        """Where it is found."""
        return self.scene, self.object_id

    @property
    def told(self) -> str:
        """What it is taken for, in words."""
        return {REJECTED: "is no object", SUPPORT: "is table"}.get(self.decision, f"is called {self.name or THING!r}")


@dataclass(frozen=True)
class ReviewState:
    """All objects after some actions."""

    objects: Mapping[Place, ReviewedObject]  # in the order in which they are gone through
    gone: Mapping[Place, str] = field(default_factory=dict)  # why an object is not there any more
    notes: tuple[str, ...] = ()  # decisions that contradict earlier ones
    others: frozenset[Place] = frozenset()  # what has an id and is none that a person is asked about

    @property
    def decided(self) -> int:
        """How many objects somebody has decided about."""
        return sum(bool(item.decision) for item in self.objects.values())

    def find(self, scene: str, object_id: int) -> ReviewedObject:
        """An object that is there; `ValueError` says why another one is not."""
        place = scene, object_id
        if place not in self.objects:
            why = self.gone.get(place, "one that the data set does not have")
            raise ValueError(f"{told(place)}: expected an object that is there, got {why}")
        return self.objects[place]

    def of_scene(self, scene: str) -> tuple[ReviewedObject, ...]:
        """The objects of one scene."""
        return tuple(item for item in self.objects.values() if item.scene == scene)

    def free_id(self, scene: str) -> int:
        """An id that no object of a scene has or had."""
        return 1 + max((number for name, number in (*self.objects, *self.gone, *self.others) if name == scene), default=0)

    def names(self) -> tuple[str, ...]:
        """Names that objects have, the most frequent ones first."""
        counts = Counter(item.name for item in self.objects.values() if item.name and item.decision in ("", OBJECT))
        return tuple(sorted(counts, key=lambda name: (-counts[name], name)))

    def same_names(self) -> tuple[str, ...]:
        """Names that people gave to several objects of one scene: two of a kind, or one thing in two pieces."""
        found: dict[tuple[str, str], list[ReviewedObject]] = {}
        for item in self.objects.values():
            if item.decision == OBJECT and item.name not in ("", THING):
                found.setdefault((item.scene, key_of(item.name)), []).append(item)
        return tuple(
            f"{scene}: {' and '.join(str(item.object_id) for item in items)} are all called {items[0].name!r}: "
            "several of a kind, or one thing to be merged?"
            for (scene, _), items in found.items()
            if len(items) > 1
        )


def told(place: Place) -> str:
    """Scene and object, for people."""
    return f"{place[0]}/{place[1]}"


def acted(state: ReviewState, action: Action) -> ReviewState:
    """Give what follows from an action.

    Args:
        state: Before it.
        action: Of an object that is there, or that is added.

    Returns:
        The state after it. A decision that contradicts an earlier one counts, and `notes` says so.

    Raises:
        ValueError: The object is not there, or what was decided before forbids the action; names both.
    """
    if action.kind == ADD:
        return _add(state, action)
    return _ACTS[action.kind](state, state.find(action.scene, action.object_id), action)


def _add(state: ReviewState, action: Action) -> ReviewState:
    """Behind the other objects of its scene; whoever adds it has decided that it is one."""
    if not state.of_scene(action.scene):
        raise ValueError(f"{told((action.scene, action.object_id))}: expected a scene with objects, got {action.scene!r}")
    if action.object_id < state.free_id(action.scene):
        raise ValueError(f"add: expected an id from {state.free_id(action.scene)} on, got {action.object_id}")
    _only_piece(action)
    made = ReviewedObject(action.scene, action.object_id, THING, decision=OBJECT, decided_by=action.number)
    objects: dict[Place, ReviewedObject] = {}
    last = state.of_scene(action.scene)[-1].place
    for place, item in state.objects.items():
        objects[place] = item
        if place == last:
            objects[made.place] = made
    return replace(state, objects=objects)


def _outline(state: ReviewState, item: ReviewedObject, action: Action) -> ReviewState:
    """What an object is called and decided to be does not depend on where it ends."""
    if item.decision in (REJECTED, SUPPORT):
        raise ValueError(f"outline: expected an object, got {told(item.place)}, which {item.told} by action {item.decided_by}")
    _only_piece(action)
    return state


def _only_piece(action: Action) -> None:
    """`ValueError` unless an action has one piece, its object's own."""
    if (ids := [piece.object_id for piece in action.pieces]) != [action.object_id]:
        raise ValueError(f"{action.kind}: expected one piece, of object {action.object_id}, got {ids}")


def _decide(state: ReviewState, item: ReviewedObject, action: Action) -> ReviewState:
    decision = {REJECT: REJECTED, TABLE: SUPPORT}.get(action.kind, OBJECT)
    name = action.name or item.name or THING
    made = replace(item, decision=decision, decided_by=action.number, name=name if decision == OBJECT else item.name)
    notes = state.notes
    if item.decision and made.told != item.told:
        before = f"{item.told} by action {item.decided_by}"
        notes = (*notes, f"{told(item.place)} {before} and {made.told} by action {action.number}; the later one counts")
    return replace(state, objects={**state.objects, item.place: made}, notes=notes)


def _merge(state: ReviewState, item: ReviewedObject, action: Action) -> ReviewState:
    into = state.find(action.scene, action.into)
    if into.place == item.place:
        raise ValueError(f"merge: expected two objects, got {told(item.place)} twice")
    decided = [other for other in (into, item) if other.decision]
    for other in decided:
        if other.decision != OBJECT:
            raise ValueError(f"merge: expected objects, got {told(other.place)}, which {other.told} by action {other.decided_by}")
    if len({key_of(other.name) for other in decided}) > 1:
        both = " and ".join(f"{told(other.place)} {other.told} by action {other.decided_by}" for other in decided)
        raise ValueError(f"merge: two names for one thing: {both}; give both the same name first, or undo one")
    best = next(iter((*decided, *(other for other in (into, item) if not other.doubtful), into)))
    kept = replace(best, object_id=into.object_id, name=best.name or into.name or item.name)
    objects = {**state.objects, into.place: kept}
    del objects[item.place]
    why = f"one that was merged into {into.object_id} by action {action.number}"
    return replace(state, objects=objects, gone={**state.gone, item.place: why})


def _split(state: ReviewState, item: ReviewedObject, action: Action) -> ReviewState:
    if not action.pieces:
        raise ValueError(f"split: expected pieces of {told(item.place)}, got none")
    new = [piece.object_id for piece in action.pieces]
    if len(set(new)) < len(new) or min(new) < state.free_id(item.scene):
        raise ValueError(f"split: expected ids of their own from {state.free_id(item.scene)} on, got {new}")
    whole = replace(item, decision="", decided_by=0)
    objects = {}
    for place, other in state.objects.items():
        objects[place] = whole if place == item.place else other
        if place == item.place:
            objects |= {(item.scene, number): replace(whole, object_id=number) for number in new}
    return replace(state, objects=objects)


_ACTS: Mapping[str, Callable[[ReviewState, ReviewedObject, Action], ReviewState]] = {
    **dict.fromkeys((KEEP, NAME, REJECT, TABLE), _decide),
    MERGE: _merge,
    SPLIT: _split,
    OUTLINE: _outline,
}


@dataclass(frozen=True)
class History:
    """What was done, and what was taken back."""

    begun: ReviewState
    state: ReviewState
    done: tuple[Action, ...] = ()
    undone: tuple[Action, ...] = ()  # the last one is done again first

    @classmethod
    def of(cls, objects: Mapping[Place, ReviewedObject], others: Iterable[Place] = ()) -> History:
        """Nothing is done yet."""
        begun = ReviewState(objects, others=frozenset(others))
        return cls(begun, begun)

    def after(self, action: Action) -> History:
        """Do an action; errors as `acted`."""
        return History(self.begun, acted(self.state, action), (*self.done, action))

    def undo(self) -> History:
        """Take the last action back; `ValueError` where there is none."""
        if not self.done:
            raise ValueError("undo: expected an action to take back, got none")
        state = self.begun
        for action in self.done[:-1]:
            state = acted(state, action)
        return History(self.begun, state, self.done[:-1], (*self.undone, self.done[-1]))

    def redo(self) -> History:
        """Do the last action again that was taken back; `ValueError` where there is none."""
        if not self.undone:
            raise ValueError("redo: expected an action that was taken back, got none")
        return replace(self.after(self.undone[-1]), undone=self.undone[:-1])
