"""Requests that cannot be met, or that must not be taken for others."""

from __future__ import annotations

import math
from typing import Any

from pan3d_tools.stress.faults import Fault, RequestFault

FAMILY = "requests"
TEXT, EVERYTHING, POINTS, BOX, POSITION, INSTANCE = range(6)


def segment(name: str, code: str, words: str, **fields: Any) -> RequestFault:
    """A request to segment_object."""
    return RequestFault(FAMILY, name, "segment_object", fields, code, words)


def refused(name: str, words: str, **fields: Any) -> RequestFault:
    """One that is wrong whatever is seen."""
    return segment(name, "INVALID_REQUEST", words, **fields)


def not_understood(prompt: str, words: str = "") -> RequestFault:
    """A prompt with a word that changes its meaning and is not understood, or that says only what is not meant."""
    return segment(f"prompt {prompt!r}", "NOT_UNDERSTOOD", words, prompt=prompt)


def grasp(name: str, code: str, words: str, **fields: Any) -> RequestFault:
    """A request to get_grasp_targets."""
    return RequestFault(FAMILY, f"grasp, {name}", "get_grasp_targets", fields, code, words)


def instances(name: str, code: str, words: str, **fields: Any) -> RequestFault:
    """A request to get_instances."""
    return RequestFault(FAMILY, f"instances, {name}", "get_instances", fields, code, words)


def classes(name: str, words: str, names: list[str]) -> RequestFault:
    """A request to set_classes."""
    return RequestFault(FAMILY, f"classes, {name}", "set_classes", {"classes": names}, "INVALID_REQUEST", words)


def point(x: float, y: float, z: float = 1.0) -> dict[str, float]:
    """A point of a picture; z = 1: on the object."""
    return {"x": float(x), "y": float(y), "z": float(z)}


def box(left: int, top: int, width: int, height: int) -> dict[str, int]:
    """A box in a picture."""
    return {"x_offset": left, "y_offset": top, "width": width, "height": height}


def place(x: float, frame_id: str = "") -> dict[str, Any]:
    """A position, metres."""
    return {"header": {"frame_id": frame_id}, "point": {"x": x, "y": 0.0, "z": 0.05}}


FAULTS: tuple[Fault, ...] = (
    refused("an empty prompt", "prompt: expected", prompt=""),
    refused("a blank prompt", "prompt: expected", prompt=" \t "),
    refused("marks without a word", "prompt: expected words", prompt="?!..."),
    refused("10 000 characters", "prompt: expected at most", prompt="mug " * 2500),
    not_understood("not the red one", "not"),
    not_understood("do not take the red one"),
    not_understood("the heaviest one", "heaviest"),
    not_understood("the one exept the red one", "exept"),
    not_understood("die rote Tasse", "German"),
    not_understood("la tasse rouge", "French"),
    not_understood("赤いカップ", "Japanese"),
    not_understood("красная кружка", "Cyrillic|Russian"),
    segment("a colour that is not there", "NOT_FOUND", "nothing here fits", prompt="the yellow one"),
    segment("five of three", "NOT_FOUND", "", prompt="five things"),
    refused("a kind of prompt that there is not", "prompt_type", prompt_type=77),
    refused("no points", "points", prompt_type=POINTS),
    refused("only points off the object", "points", prompt_type=POINTS, points=[point(10, 10, 0.0)]),
    refused("NaN for a point", "points: expected finite", prompt_type=POINTS, points=[point(math.nan, 1)]),
    refused("infinity for a point", "points: expected finite", prompt_type=POINTS, points=[point(1, math.inf)]),
    refused("10 000 points", "points: expected at most", prompt_type=POINTS, points=[point(1, 1)] * 10_000),
    refused("points of a camera that there is not", "camera: expected one of",
            prompt_type=POINTS, camera="rear", points=[point(1, 1)]),
    segment("a point outside the picture", "NOT_FOUND", "no object", prompt_type=POINTS, points=[point(-50, -50)]),
    segment("a point far outside", "NOT_FOUND", "no object", prompt_type=POINTS, points=[point(1e30, 1e30)]),
    segment("a point on the table", "NOT_FOUND", "no object", prompt_type=POINTS, points=[point(5, 115)]),
    refused("a box of no size", "box: expected a size", prompt_type=BOX),
    refused("a box of no height", "box: expected a size", prompt_type=BOX, box=box(5, 5, 10, 0)),
    refused("a box of a camera that there is not", "camera: expected one of",
            prompt_type=BOX, camera="rear", box=box(0, 0, 9, 9)),
    segment("a box outside the picture", "NOT_FOUND", "no object", prompt_type=BOX, box=box(5000, 5000, 10, 10)),
    segment("a box on the table", "NOT_FOUND", "no object", prompt_type=BOX, box=box(0, 110, 8, 8)),
    segment("the largest box that a message holds", "NOT_FOUND", "no object",
            prompt_type=BOX, box=box(2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1)),
    refused("NaN for a position", "position: expected finite", prompt_type=POSITION, position=place(math.nan)),
    refused("infinity for a position", "position: expected finite", prompt_type=POSITION, position=place(-math.inf)),
    refused("a position in another frame", "position.header.frame_id", prompt_type=POSITION, position=place(0.0, "moon")),
    refused("instance 0", "instance_id", prompt_type=INSTANCE),
    segment("an instance that was never seen", "NOT_FOUND", "4000000000", prompt_type=INSTANCE, instance_id=4_000_000_000),
    refused("a negative timeout", "timeout", prompt_type=EVERYTHING, timeout=-1.0),
    refused("NaN for a timeout", "timeout", prompt_type=EVERYTHING, timeout=math.nan),
    refused("infinity for a timeout", "timeout", prompt_type=EVERYTHING, timeout=math.inf),
    refused("a timeout of a year", "timeout: expected", prompt_type=EVERYTHING, timeout=3.2e7),
    refused("a negative age", "max_age", prompt_type=EVERYTHING, max_age=-0.1),
    refused("NaN for an age", "max_age", prompt_type=EVERYTHING, max_age=math.nan),
    refused("infinity for an age", "max_age", prompt_type=EVERYTHING, max_age=math.inf),
    refused("an age of a year", "max_age: expected", prompt_type=EVERYTHING, max_age=3.2e7),
    refused("a negative score", "min_score", prompt_type=EVERYTHING, min_score=-0.5),
    refused("NaN for a score", "min_score", prompt_type=EVERYTHING, min_score=math.nan),
    segment("a score that nothing has", "NOT_FOUND", "", prompt_type=EVERYTHING, min_score=2.0),
    grasp("without prompt and instance", "INVALID_REQUEST", "prompt: expected"),
    grasp("10 000 characters", "INVALID_REQUEST", "prompt: expected at most", prompt="mug " * 2500),
    grasp("prompt 'not the red one'", "NOT_UNDERSTOOD", "not", prompt="not the red one"),
    grasp("an instance that was never seen", "NOT_FOUND", "4000000000", instance_id=4_000_000_000),
    grasp("a hand of negative width", "INVALID_REQUEST", "gripper_max_width", prompt="the red one", gripper_max_width=-1.0),
    grasp("a hand of NaN", "INVALID_REQUEST", "gripper_max_width", prompt="the red one", gripper_max_width=math.nan),
    grasp("a negative age", "INVALID_REQUEST", "max_age", prompt="the red one", max_age=-1.0),
    grasp("an approach of no length", "INVALID_REQUEST", "preferred_approaches", prompt="the red one",
          preferred_approaches=[{"vector": {"x": 0.0, "y": 0.0, "z": 0.0}}]),
    grasp("an approach of NaN", "INVALID_REQUEST", "preferred_approaches", prompt="the red one",
          preferred_approaches=[{"vector": {"x": math.nan, "y": 0.0, "z": 0.0}}]),
    instances("one that was never seen", "NOT_FOUND", "4000000000", instance_ids=[4_000_000_000]),
    instances("a negative age", "INVALID_REQUEST", "max_age", max_age=-1.0),
    instances("NaN for an age", "INVALID_REQUEST", "max_age", max_age=math.nan),
    classes("an empty name", r"classes\[1\]", ["mug", ""]),
    classes("a name of 10 000 characters", r"classes\[0\]", ["x" * 10_000]),
    classes("20 000 names", "classes: expected at most", ["mug"] * 20_000),
)  # fmt: skip
