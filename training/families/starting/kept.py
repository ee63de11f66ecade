"""What of a network came from the file that a run starts from, and what is new in it, as sentences for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LISTED = 12


@dataclass(frozen=True)
class Kept:
    """What was taken over of a file."""

    origin: str
    tensors: int
    fresh: tuple[str, ...]  # parameters that the file does not have
    notes: tuple[str, ...] = ()  # of what the family adapts

    def lines(self) -> list[str]:
        """What is kept, what is new, and the notes."""
        begun = f"{len(self.fresh)} begin fresh{listed(self.fresh)}"
        return [f"start_from: {self.tensors} tensors kept of {self.origin}, {begun}", *self.notes]


def listed(names: Sequence[str]) -> str:
    """The first names in brackets; nothing for no names."""
    if not names:
        return ""
    return f" ({', '.join(names[:LISTED])}{', ...' if len(names) > LISTED else ''})"
