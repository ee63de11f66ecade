"""Parameters that somebody gives and nobody reads: misspelt names, cameras that are not listed, files for a node of another name.

rclpy takes such parameters without a word, and the node would run with its defaults. No ROS in here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pan3d_core.config import PipelineConfig
from pan3d_core.settings import did_you_mean, moved_settings, read_yaml, walk_settings
from pan3d_ros.parameters.node_config import CameraConfig, NodeConfig

CAMERA = "camera"  # camera.<name>.<setting>
# What every node has, declared by rclpy itself.
OF_EVERY_NODE = ("use_sim_time", "start_type_description_service")
_QOS = "qos_overrides."


def unknown_parameters(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """Say which of the given parameters there are not.

    Args:
        given: Dotted names.
        known: Dotted names that there are, without those of every node.

    Returns:
        One sentence for each that is unknown, with the name that it is near to.
    """
    names = [*known, *OF_EVERY_NODE]
    wrong = [name for name in given if name not in names and not name.startswith(_QOS)]
    return [f"{name}: no such parameter{did_you_mean(name, names)}" for name in wrong]


def unknown_to_perception(given: Iterable[str], cameras: Collection[str]) -> list[str]:
    """Say which of the given parameters the perception node does not have.

    Args:
        given: Dotted names.
        cameras: Names of the cameras that it has.

    Returns:
        As `unknown_parameters`; settings of a camera that is not listed are one sentence. Parameters that moved are not among
        them, since they have a message of their own.
    """
    fixed = {name for config in (NodeConfig(), PipelineConfig()) for name, _, _ in walk_settings(config)}
    fixed |= {name for name, _ in moved_settings(PipelineConfig())}
    of_camera = [name for name, _, _ in walk_settings(CameraConfig())]
    fixed |= {f"{CAMERA}.{camera}.{name}" for camera in cameras for name in of_camera}
    lost: dict[str, str] = {}
    rest = []
    for name in given:
        kind, _, place = name.partition(".")
        camera = next((camera for camera in cameras if place.startswith(f"{camera}.")), None)
        if kind != CAMERA or camera is not None or not place:
            rest.append(name)
            continue
        wrong = place.split(".")[0]
        listed = f"cameras: {', '.join(cameras) or 'none'}"
        hint = did_you_mean(f"{CAMERA}.{wrong}", [f"{CAMERA}.{camera}" for camera in cameras])
        lost[wrong] = f"{CAMERA}.{wrong}: no such camera ({listed}){hint}"
    return [*unknown_parameters(rest, sorted(fixed)), *lost.values()]


def files_for_other_nodes(paths: Sequence[Path | str], node: str) -> list[str]:
    """Say which parameter files have nothing for a node, as ROS compares names, or hold what ROS takes without a word.

    Args:
        paths: Files of ROS parameters. Those that cannot be read are ROS's to refuse.
        node: Fully qualified name, as "/perception/pan3d".

    Returns:
        One sentence for each file.
    """
    found = []
    for path in paths:
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        try:
            read_yaml(path, "parameters")
        except ValueError as error:  # ROS takes the last of a name that stands twice
            found.append(str(error).replace("\n", " "))
        sections = list(_sections(content))
        if sections and not any(applies_to(section, node) for section in sections):
            has = ", ".join(sections)
            found.append(f"{path}: nothing in it is for this node: expected a section /** or {node}, got {has}")
    return found


def applies_to(section: str, node: str) -> bool:
    """Whether a section of a parameter file is for the node of this fully qualified name: `*` is one word, `**` any number."""
    pattern = re.escape(f"/{section.strip('/')}").replace(r"/\*\*", r"(/\w+)+").replace(r"/\*", r"/\w+")
    return re.fullmatch(pattern, node) is not None


def parameter_files(arguments: Sequence[str]) -> list[str]:
    """The parameter files that a command line gives to ROS."""
    inside, files = False, []
    for word, following in zip(arguments, [*arguments[1:], ""]):
        inside = word == "--ros-args" or (inside and word != "--")
        if inside and word == "--params-file":
            files.append(following)
    return files


def _sections(content: Any, prefix: str = "") -> Iterable[str]:
    """Names of nodes in a parameter file; namespaces may be levels of their own."""
    for name, body in content.items() if isinstance(content, Mapping) else ():
        place = f"{prefix}/{str(name).strip('/')}"
        if isinstance(body, Mapping) and "ros__parameters" in body:
            yield place
        else:
            yield from _sections(body, place)
