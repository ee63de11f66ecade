"""Whom the modelled objects are from: licences by catalogue, and the text that goes beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Licence:
    """Under which terms a catalogue's models may be used, and whom it asks to name."""

    name: str
    url: str
    credit: str


_BY = "https://creativecommons.org/licenses/by/3.0/"
_EDITOR = "Emmanuel Puybaret / eTeks"
LICENCES = {
    "BlendSwap-CC-0": Licence(
        "CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/", f"authors at blendswap.com, converted by {_EDITOR}"
    ),
    "BlendSwap-CC-BY": Licence("CC-BY-3.0", _BY, f"authors at blendswap.com, converted by {_EDITOR}"),
    "KatorLegaz": Licence("CC-BY-3.0-US", f"{_BY}us/", "Andrew Kator and Jennifer Legaz"),
    "Reallusion": Licence("CC-BY-3.0-US", f"{_BY}us/", "Reallusion"),
    "Scopia": Licence("CC-BY-3.0", _BY, f"{_EDITOR} and Scopia Visual Interfaces Systems, s.l. (scopia.es)"),
}


class _Credited(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def author(self) -> str: ...


def notice_text(objects: Sequence[_Credited]) -> str:
    """Name the authors of objects.

    Args:
        objects: With `name`, which begins with the catalogue, and `author`.

    Returns:
        A text that satisfies the licences, with every model's author.
    """
    lines = [
        "Three-dimensional models from the catalogues of Sweet Home 3D, as Debian packages them in sweethome3d-furniture 1.8-1.",
        "They have been scaled, turned, reduced in triangles and texture size, and grouped by material.",
    ]
    for catalogue, licence in LICENCES.items():
        own = [item for item in objects if item.name.startswith(f"{catalogue}-")]
        if own:
            lines += ["", f"{catalogue}: {licence.name}, {licence.url}", f"By {licence.credit}."]
            lines += [f"  {item.name.removeprefix(f'{catalogue}-')}: {item.author}" for item in own]
    return "\n".join(lines) + "\n"
