"""What has been read of a description so far, and the description that it makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from pan3d_core.language.grammar import words as table
from pan3d_core.language.grammar.cursor import Cursor
from pan3d_core.language.grammar.structure import Count, Ordinal, Prompt, Relation

_Ranks = tuple[tuple[str, str, int], ...]  # word, measure, sign


@dataclass
class Draft:
    """What has been read of a description."""

    first: int
    within: str = ""  # "not" for what is excluded, "relation" for the other thing of one
    nouns: list[str] = field(default_factory=list)
    colors: list[tuple[str, int]] = field(default_factory=list)
    other_colors: list[tuple[str, int]] = field(default_factory=list)  # "red or blue"
    sizes: list[tuple[str, str, int]] = field(default_factory=list)
    places: list[tuple[str, str, int]] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    excluded: list[Prompt] = field(default_factory=list)
    ordinal: int = 0
    ordinal_at: int = 0
    counted_from: tuple[str, int] | None = None
    count: Count | None = None
    article: str = ""
    has_head: bool = False
    last_head: str = ""
    inside: str = ""  # what is being read: "" the description, "noun" a part such as "of water", "use" such as "to drink from"
    is_other: bool = False
    is_universal: bool = False

    @property
    def is_empty(self) -> bool:
        return not (self.nouns or self.colors or self.sizes or self.places or self.relations or self.count or self.ordinal
                    or self.excluded or self.is_other)  # fmt: skip


@dataclass(frozen=True)
class Described:
    """A description with what the request around it must know."""

    prompt: Prompt
    is_universal: bool  # everything, all mugs, any bottle
    is_other: bool
    is_pronoun: bool  # "the one on the left": its noun has been said before
    first: int  # index of its first phrase

    @property
    def is_several(self) -> bool:
        return self.is_universal or self.prompt.plural


class Reader(Protocol):
    """What the steps of reading a description ask of the whole."""

    cursor: Cursor

    def read(self, within: str = "") -> Described: ...


def finished(cursor: Cursor, draft: Draft) -> Described:
    text = " ".join(phrase.said for phrase in cursor.phrases[draft.first : cursor.at] if phrase.said)
    noun = " ".join(draft.nouns)
    is_any = all(word in table.ANYTHING for word in draft.nouns)
    pronoun = is_any and (not draft.nouns or draft.nouns[-1] in table.POINTED_AT)
    if contradict(draft.sizes) or contradict(draft.places):
        cursor.refuse("it contradicts what is said before it", -1)
    sizes, places, ordinal = _ranking(cursor, draft)
    count = draft.count
    relative = bool(sizes or places or ordinal or any(relation.kind in ("near", "far") for relation in draft.relations))
    if count and count.number > 1 and count.kind in ("some", "exactly"):
        ordinal, sizes, places = _several(cursor, draft, ordinal, sizes, places)
    if count and draft.article == "the" and count.kind == "some" and count.number > 1 and not relative:
        count = Count(count.number, "exactly")
    head = draft.last_head
    plural = (head.endswith("s") and not head.endswith("ss")) or head == "everything"
    if count == Count(1, "exactly") and plural:  # "only red mugs"
        count = None
    if count and count.kind != "among" and (count.number > 1 or count.kind == "all"):
        plural = True
    prompt = Prompt(
        text, "" if is_any else noun, tuple(draft.colors), sizes, places, tuple(draft.relations), ordinal, count,
        tuple(draft.excluded), plural=plural,
    )  # fmt: skip
    if pronoun and not (prompt.is_told_apart or draft.is_other) and not (count and draft.within != "not"):
        cursor.refuse("it does not tell which thing is meant", -1)
    if draft.other_colors:
        options = [*draft.colors, *draft.other_colors]
        parts = tuple(replace(prompt, colors=(option,), text=f"{option[0]} of {text!r}") for option in options)
        prompt = Prompt(text, joined="or", parts=parts, plural=plural)
    return Described(prompt, draft.is_universal, draft.is_other, pronoun, draft.first)


def contradict(ranks: Iterable[tuple[str, str, int]]) -> bool:
    """Whether sizes or places ask for much and for little of one measure, as in "the left mug on the right"."""
    signs = {(measure, sign) for _, measure, sign in ranks}
    return any((measure, -sign) in signs for measure, sign in signs)


def _ranking(cursor: Cursor, draft: Draft) -> tuple[_Ranks, _Ranks, Ordinal | None]:
    """Sizes, places, and along which of them an ordinal counts."""
    sizes, places = list(draft.sizes), list(draft.places)
    if not draft.ordinal:
        return tuple(sizes), tuple(places), None
    if draft.counted_from is not None:
        measure, sign = draft.counted_from
    elif sizes:
        _, measure, sign = sizes.pop()
    elif places:
        text, measure, sign = places.pop()
        if draft.ordinal == -1 and len(text.split()) > 1:  # "the last one on the right"
            draft.ordinal = 1
    elif draft.relations and draft.relations[0].kind in ("near", "far"):
        measure, sign = "", 1
    else:
        cursor.at = draft.ordinal_at
        cursor.refuse("say from where it is counted, as in 'second mug from the left' or 'second largest mug'", 0)
    return tuple(sizes), tuple(places), Ordinal(draft.ordinal, measure, sign)


def _several(
    cursor: Cursor, draft: Draft, ordinal: Ordinal | None, sizes: _Ranks, places: _Ranks
) -> tuple[Ordinal | None, _Ranks, _Ranks]:
    """ "The first two from the left", and among what is not meant "the two on the left": counted from one end."""
    assert draft.count is not None
    if ordinal is not None:
        if abs(ordinal.number) != 1:
            cursor.at = draft.ordinal_at
            cursor.refuse("say 'first' or 'last' where several are meant", 0)
        return replace(ordinal, several=draft.count.number), sizes, places
    if draft.within != "not" or not (sizes or places):
        return None, sizes, places
    if len(sizes) + len(places) > 1:
        cursor.refuse("it does not say which of them are not meant", -1)
    _, measure, sign = (*sizes, *places)[0]
    return Ordinal(1, measure, sign, draft.count.number), (), ()
