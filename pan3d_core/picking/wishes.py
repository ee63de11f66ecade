"""What a sentence asks a picker to do: "put the red mug on the plate"."""

from __future__ import annotations

import re
from dataclasses import dataclass

BRINGING, TAKING = "put|place|bring|move|set|lay", "pick up|pick|take|grasp|grab"
SUPPORTS = ("table", "desk", "floor", "support")
AWAY = "somewhere else|elsewhere|aside|to another place"
# Only who brings something says where to, and says it last; "on the left" is no place but says which thing is meant.
_SIDE = r"the\s+(?:left|right)\b"
_PLACE = rf"(?!{_SIDE})(?P<where>(?:(?!\s(?:onto|on|into|in)\s(?!{_SIDE})).)+?)"
_BRING = re.compile(
    rf"^(?:please\s+)?(?:{BRINGING})\s+(?P<what>.+?)(?:\s+(?:{AWAY})|\s+(?:on top of|onto|on|into|in)\s+{_PLACE})?[.!]?$",
    re.IGNORECASE,
)
_TAKE = re.compile(rf"^(?:please\s+)?(?:(?:{TAKING})\s+)?(?P<what>.+?)[.!]?$", re.IGNORECASE)


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
    words = " ".join(text.split())
    found = _BRING.match(words) or _TAKE.match(words)
    if found is None:
        raise ValueError("wish: expected words such as 'put the red mug on the plate', got none")
    where = found.groupdict().get("where") or ""
    plain = re.sub(r"^(?:the|a|an)\s+", "", where.lower())
    return Wish(found["what"], "" if plain in SUPPORTS else where)
