"""What a sentence asks a picker to do: "put the red mug on the plate"."""

from __future__ import annotations

import re
from dataclasses import dataclass

VERBS = "put|place|bring|move|set|lay|pick up|pick|take|grasp|grab"
SUPPORTS = ("table", "desk", "floor", "support", "side", "somewhere else", "elsewhere", "another place")
_WISH = re.compile(
    rf"^(?:please\s+)?(?:(?:{VERBS})\s+)?(?P<what>.+?)(?:\s+(?:on top of|onto|on|into|in)\s+(?P<where>.+?))?[.!]?$", re.IGNORECASE
)


@dataclass(frozen=True)
class Wish:
    """An object, and where it shall go."""

    what: str  # words for the object
    onto: str = ""  # words for what it is put on; empty = a free place


def read_wish(text: str) -> Wish:
    """Take a wish apart. A verb may be missing; what is put on a table has a free place there.

    Raises:
        ValueError: There are no words.
    """
    found = _WISH.match(" ".join(text.split()))
    if found is None:
        raise ValueError("wish: expected words such as 'put the red mug on the plate', got none")
    where = found["where"] or ""
    plain = re.sub(r"^(?:the|a|an)\s+", "", where.lower())
    return Wish(found["what"], "" if plain in SUPPORTS else where)
