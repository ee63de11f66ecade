"""Stamps that do not match, of another time, or that jump."""

from __future__ import annotations

from pan3d_tools.stress.edits import shifted, with_header
from pan3d_tools.stress.faults import ALL, Edit, Expected, Fault, HarmlessInput, InputFault

FAMILY = "times"


def of_camera(edit: Edit) -> dict[str, Edit]:
    """The same in every message of a camera."""
    return {"image": edit, "info": edit, "depth": edit, "pose": edit}


def bad(name: str, edits: dict[str, Edit], expected: Expected, scopes: tuple[str, ...]) -> InputFault:
    """Stamps that cannot be used."""
    return InputFault(FAMILY, name, edits, expected, scopes)


STALE = Expected("STALE_IMAGES", "pipeline", "old|input.max_image_age_s")
FUTURE = Expected("STALE_IMAGES", "pipeline", "future|ahead|input.max_future_s")
UNPAIRED = Expected(
    "TIMEOUT|NO_IMAGES", "camera {camera}", "^image and depth have no matching stamps|no view set for|stamps never match",
    answer="image and depth have no matching stamps|no view set for|stamps never match",
)  # fmt: skip
FAULTS: tuple[Fault, ...] = (
    bad("20 s old", of_camera(shifted(-20.0)), STALE, (ALL,)),
    bad("an hour old", of_camera(shifted(-3600.0)), STALE, (ALL,)),
    bad("a year old", of_camera(shifted(-31_536_000.0)), STALE, (ALL,)),
    bad("20 s ahead", of_camera(shifted(20.0)), FUTURE, (ALL,)),
    bad("an hour ahead", of_camera(shifted(3600.0)), FUTURE, (ALL,)),
    bad("depth 70 ms behind its picture, between two", {"depth": shifted(-0.07)}, UNPAIRED, (ALL,)),
    HarmlessInput(FAMILY, "all 5 ms late", of_camera(shifted(-0.005))),
    HarmlessInput(FAMILY, "depth 5 ms before its picture", {"depth": shifted(-0.005)}),
    HarmlessInput(FAMILY, "a calibration stamped long ago", {"info": shifted(-3600.0)}),
    HarmlessInput(FAMILY, "a frame's name with a slash in front", {"image": with_header(frame_id="/front_optical_frame")}),
)  # fmt: skip
