"""What a prompt says, taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class NotUnderstood(ValueError):
    """A prompt holds a word that changes its meaning and is not understood.

    Attributes:
        word: The word or phrase.
        words: The whole prompt as (words, role), the role of that word being "not understood".
    """

    def __init__(self, message: str, word: str, words: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.word, self.words = word, words


@dataclass(frozen=True)
class Relation:
    """How the thing that is meant stands to another one; `between` has two others, or one that is several things."""

    kind: str  # a value of `words.RELATIONS`, or "more" for comparisons
    others: tuple[Prompt, ...]
    measure: str = ""  # "more": by which the other is exceeded
    sign: int = 1  # "more": -1 = the other has more


@dataclass(frozen=True)
class Ordinal:
    """The how manieth one, counted along a measure; without one, along the distance of the first relation."""

    number: int  # 1 = first, -1 = last
    measure: str = ""
    sign: int = 1
    several: int = 1  # so many from there on: "the first two from the left"

    def chosen(self, order: Sequence[int]) -> tuple[int, ...]:
        """Give those of things in their order that it means; empty where there are fewer."""
        first = self.number - 1 if self.number > 0 else len(order) + self.number + 1 - self.several
        return tuple(order[first : first + self.several]) if 0 <= first <= len(order) - self.several else ()


@dataclass(frozen=True)
class Count:
    """How many things are meant: `number` of them ("some"), "exactly" or "at least" so many, or "all"; "among" only counts."""

    number: int
    kind: str


@dataclass(frozen=True)
class Prompt:
    """A description of things; several descriptions are `parts` that are joined by "or" or "and"."""

    text: str
    noun: str = ""  # compared by meaning; "" = any object
    colors: tuple[tuple[str, int], ...] = ()  # colour word, shade (-1 dark, 0, +1 light); all are meant
    sizes: tuple[tuple[str, str, int], ...] = ()  # word, measure, sign
    places: tuple[tuple[str, str, int], ...] = ()  # word, measure, sign
    relations: tuple[Relation, ...] = ()
    ordinal: Ordinal | None = None
    count: Count | None = None
    excluded: tuple[Prompt, ...] = ()  # what is not meant, whatever else is said of it
    joined: str = ""  # "or", "and"
    parts: tuple[Prompt, ...] = ()
    plural: bool = False  # several are meant
    words: tuple[tuple[str, str], ...] = ()  # every word of the prompt in its order, with its role

    @property
    def relation(self) -> tuple[str, Prompt] | None:
        """The first relation with the first other thing; None without one."""
        return (self.relations[0].kind, self.relations[0].others[0]) if self.relations else None

    @property
    def is_told_apart(self) -> bool:
        """Whether it tells some objects from others."""
        return bool(self.noun or self.colors or self.is_relative or self.excluded or self.parts)

    @property
    def is_relative(self) -> bool:
        """Whether what is meant depends on the other things that fit."""
        return bool(self.sizes or self.places or self.relations or self.ordinal)
