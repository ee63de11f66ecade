"""Values of settings as ROS parameters have them, and parameter files. No ROS in here."""

from __future__ import annotations

import array
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pan3d_core.settings import read_yaml

NODE_NAME = "pan3d"


def to_parameter(value: Any) -> Any:
    """Value of a setting as ROS has it: lists for tuples, NaN for "unknown" numbers."""
    if value is None:
        return math.nan
    return list(value) if isinstance(value, tuple) else value


def from_parameter(value: Any) -> Any:
    """Value of a ROS parameter as the settings have it."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return tuple(value) if isinstance(value, (list, tuple, array.array)) else value


def read_parameter_files(paths: Sequence[Path]) -> dict[str, Any]:
    """Dotted names to values (as settings have them) for the perception node; later files win.

    Takes what ROS takes: sections for the node (`pan3d`, `/pan3d`, with or without a namespace) or for all (`/**`), each
    with `ros__parameters`. Raises `ValueError` naming the file.
    """
    values: dict[str, Any] = {}
    for path in paths:
        sections = read_yaml(path, "ROS parameters")
        mine = {name: body for name, body in sections.items() if str(name).rsplit("/", 1)[-1] in ("*", "**", NODE_NAME)}
        if not mine or not all(isinstance(body, Mapping) and "ros__parameters" in body for body in mine.values()):
            raise ValueError(f"{path}: expected a section /** or {NODE_NAME} with ros__parameters, got {list(sections)}")
        for name in sorted(mine, key=lambda item: str(item).endswith(NODE_NAME)):
            given = mine[name]["ros__parameters"] or {}
            if not isinstance(given, Mapping):
                raise ValueError(f"{path}: {name}: ros__parameters: expected names with values, got {given!r}")
            values |= flat_values(given)
    return values


def flat_values(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name nested values with dots.

    Args:
        values: Name -> value as parameters have it, or further names.
        prefix: Before every name, with its dot.

    Returns:
        Dotted name -> value as settings have it.
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flat_values(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = from_parameter(value)
    return flat
