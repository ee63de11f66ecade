"""What a check of an installation or of a recording found, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass

OK, MISSING, OPTIONAL = "ok", "missing", "optional"


@dataclass(frozen=True)
class Check:
    """One finding. `status`: OK, MISSING (needed) or OPTIONAL (not there, and some things do without)."""

    name: str
    status: str
    detail: str
    mend: str = ""  # what to do; empty when there is nothing to do
    camera: str = ""  # whose finding it is; "" = of the whole
