"""ROS parameters made from the settings dataclasses, and docs/parameters.md from the same fields.

A bad value never stops the node: at start it is remembered and configure fails with the reason; later it is
rejected with the reason.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import Field
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from pan3d_core.config import PipelineConfig
from pan3d_core.settings import moved_settings, nested_names, read_settings, walk_settings
from pan3d_ros.parameters.node_config import CameraConfig, NodeConfig
from pan3d_ros.parameters.unknown import files_for_other_nodes, parameter_files, unknown_to_perception
from pan3d_ros.parameters.values import from_parameter, to_parameter
from pan3d_ros.platform.rclpy_private import explain_undeclared, parameter_values, undeclared_overrides

log = logging.getLogger("pan3d.ros.parameters")


def description(item: Field, default: Any) -> str:
    """Say what a user reads about one parameter.

    Args:
        item: Field of a settings dataclass.
        default: Its default.

    Returns:
        A line with choices and whether it can be changed.
    """
    text = item.metadata["description"]
    if default is None:
        text += " (nan = none)"
    if item.metadata.get("choices"):
        text += f" [{', '.join(item.metadata['choices'])}]"
    return text + (" (fixed while configured)" if item.metadata.get("read_only") else "")


def describe(item: Field, default: Any) -> ParameterDescriptor:
    """Describe one setting. Types are checked by the settings themselves, which take integers for floats.

    Args:
        item: Field of a settings dataclass.
        default: Its default; None = unknown, which is in no range.

    Returns:
        With the description and the limits.
    """
    descriptor = ParameterDescriptor(description=description(item, default), dynamic_typing=True)
    limits = item.metadata.get("range")
    if limits and isinstance(default, int) and not isinstance(default, bool):
        descriptor.integer_range = [IntegerRange(from_value=int(limits[0]), to_value=int(limits[1]), step=0)]
    elif limits and default is not None:  # NaN, "unknown", is in no range
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(limits[0]), to_value=float(limits[1]))]
    return descriptor


class NodeParameters:
    """Declares all parameters of a node and reads them back as validated settings."""

    def __init__(self, node: Node) -> None:
        self.problems: dict[str, str] = {}  # parameter -> why its start value was refused
        self.configured = False  # while True, read-only settings are refused
        self._node = node
        self._read_only: set[str] = set()
        for config in (NodeConfig(), PipelineConfig()):
            self._declare(walk_settings(config))
        self._refuse_moved()
        self._declare_cameras()
        self._unread: list[str] = []  # what `note_files` found
        for sentence in self.unknown():
            log.warning(sentence)
        explain_undeclared(node, self._explain_unknown)
        node.add_on_set_parameters_callback(self._on_set)

    def unknown(self) -> list[str]:
        """What the node was started with and does not read, one sentence each with the name that was meant."""
        return [*self._explain_unknown(undeclared_overrides(self._node)), *self._unread]

    def _explain_unknown(self, names: Sequence[str]) -> list[str]:
        return unknown_to_perception(names, from_parameter(self._node.get_parameter("cameras").value) or ())

    def note_files(self, arguments: Sequence[str]) -> None:
        """Warn of parameter files among the command line's arguments that are for nodes of other names."""
        self._unread = files_for_other_nodes(parameter_files(arguments), self._node.get_fully_qualified_name())
        for sentence in self._unread:
            log.warning(sentence)

    def read(self) -> tuple[NodeConfig, PipelineConfig]:
        """The settings now; `ValueError` names every start value that was refused."""
        if self.problems:
            raise ValueError("; ".join(self.problems.values()))
        self._declare_cameras()
        return self._build({})

    def node(self) -> NodeConfig:
        """Those of the node alone; errors as `read`."""
        return self.read()[0]

    def camera(self, name: str) -> CameraConfig:
        """Settings of one camera; `ValueError` names the parameter."""
        prefix = f"camera.{name}."
        values = {key[len(prefix) :]: value for key, value in self._values({}).items() if key.startswith(prefix)}
        try:
            return CameraConfig(**values)
        except ValueError as error:
            raise ValueError(str(error).replace("CameraConfig.", prefix)) from error

    def _declare(self, settings: Iterable[tuple[str, Any, Field]], prefix: str = "") -> None:
        for name, default, item in settings:
            full = prefix + name
            if self._node.has_parameter(full):
                continue
            if item.metadata.get("read_only"):
                self._read_only.add(full)
            descriptor = describe(item, default)
            try:
                self._node.declare_parameter(full, to_parameter(default), descriptor)
                value = from_parameter(self._node.get_parameter(full).value)
                if not prefix and value != default:  # defaults are right, and there are hundreds of them
                    _settings_from({full: value})
            except (ValueError, ParameterException) as error:
                self.problems[full] = _reason(full, error)
                if self._node.has_parameter(full):
                    self._node.undeclare_parameter(full)
                self._node.declare_parameter(full, to_parameter(default), descriptor, ignore_override=True)

    def _refuse_moved(self) -> None:
        """Start values of parameters that there are no more: without this nobody would hear of them."""
        for name, place in moved_settings(PipelineConfig()):
            given = self._node.declare_parameter(name, descriptor=ParameterDescriptor(dynamic_typing=True)).value
            self._node.undeclare_parameter(name)
            if given is not None:
                self.problems[name] = f"{name}: expected {place} instead, which holds here too"

    def _declare_cameras(self) -> None:
        for name in from_parameter(self._node.get_parameter("cameras").value) or ():
            self._declare(walk_settings(CameraConfig()), f"camera.{name}.")

    def _values(self, changed: dict[str, Any]) -> dict[str, Any]:
        known = {name: from_parameter(value) for name, value in parameter_values(self._node).items()}
        return known | changed

    def _build(self, changed: dict[str, Any]) -> tuple[NodeConfig, PipelineConfig]:
        return _settings_from(self._values(changed))

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        changed = {p.name: from_parameter(p.value) for p in parameters}
        fixed = sorted(set(changed) & self._read_only)
        if self.configured and fixed:
            reason = f"{fixed[0]}: fixed while the node is configured; clean it up first"
            return SetParametersResult(successful=False, reason=reason)
        try:
            self._build(changed)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for name in changed:
            self.problems.pop(name, None)
        return SetParametersResult(successful=True)


def _settings_from(values: dict[str, Any]) -> tuple[NodeConfig, PipelineConfig]:
    """Settings of the node and of the pipeline from parameters by their dotted names; what is left out has its default."""

    def given(default: NodeConfig | PipelineConfig) -> dict[str, Any]:
        return nested_names({name: values[name] for name, _, _ in walk_settings(default) if name in values})

    node, pipeline = NodeConfig(), PipelineConfig()
    return read_settings(node, given(node)), read_settings(pipeline, given(pipeline))


def _reason(name: str, error: Exception) -> str:
    text = str(error)
    return text if name.rsplit(".", 1)[-1] in text else f"{name}: {text}"


def markdown() -> str:
    """The text of docs/parameters.md."""
    lines = [
        "# Parameters of the perception node",
        "",
        "Made from the settings dataclasses by `python -m pan3d_ros.parameters.declaration > docs/parameters.md`; do not edit.",
        "Fixed = cannot be changed while the node is configured. In YAML files the dots are levels of nesting.",
    ]
    sections = [("", NodeConfig()), ("", PipelineConfig()), ("camera.<name>.", CameraConfig())]
    for prefix, config in sections:
        lines += [
            "",
            f"## {type(config).__name__}",
            "",
            "| parameter | type | default | range | fixed | meaning |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(prefix + name, value, item) for name, value, item in walk_settings(config)]
    return "\n".join(lines) + "\n"


def _row(name: str, default: Any, item: Field) -> str:
    limits, choices = item.metadata.get("range"), item.metadata.get("choices")
    kind = str(item.type).replace(" | None", "").replace("tuple[", "list of ").replace(", ...]", "")
    allowed = f"{limits[0]} to {limits[1]}" if limits else ", ".join(choices) if choices else ""
    shown = (
        "nan"
        if default is None
        else str(list(default))
        if isinstance(default, tuple)
        else f'"{default}"'
        if isinstance(default, str)
        else str(default)
    )
    fixed = "yes" if item.metadata.get("read_only") else ""
    return f"| `{name}` | {kind} | `{shown}` | {allowed} | {fixed} | {item.metadata['description']} |"


if __name__ == "__main__":
    sys.stdout.write(markdown())
