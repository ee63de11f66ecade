"""Values of settings as ROS parameters have them, and parameter files. No ROS in here."""

from __future__ import annotations

import array
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pan3d_core.settings import nested_names, read_settings, read_yaml, walk_settings
from pan3d_ros.parameters.node_config import CameraConfig, NodeConfig

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


def expanded_path(name: str, path: str) -> Path:
    """Replace `~` in the path of a parameter.

    Raises:
        ValueError: The user has no home folder; names the parameter.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{name}: expected a path that can be resolved, got {path!r}: {error}") from error


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


def known_values(values: Mapping[str, Any], settings: Any) -> dict[str, Any]:
    """Keep those of dotted values that are fields of a settings dataclass.

    Args:
        values: Dotted name -> value.
        settings: An instance.

    Returns:
        Dotted name -> value.
    """
    names = {name for name, _, _ in walk_settings(settings)}
    return {name: value for name, value in values.items() if name in names}


def node_settings(values: Mapping[str, Any]) -> tuple[NodeConfig, dict[str, CameraConfig]]:
    """Read the node's settings and those of its cameras; other names are left to others.

    Args:
        values: Dotted name -> value as settings have it.

    Returns:
        Of the node, and by camera.

    Raises:
        ValueError: A value is of another type or out of range.
    """
    node = read_settings(NodeConfig(), nested_names(known_values(values, NodeConfig())))
    cameras = {}
    for name in node.cameras:
        prefix = f"camera.{name}."
        mine = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
        cameras[name] = read_settings(CameraConfig(), nested_names(mine))
    return node, cameras
