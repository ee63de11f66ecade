"""What the launch files use of launch and launch_ros, for where these are not installed: PyPI has none.

Held against the real ones by `test/ros/platform/test_launch_included.py` wherever they can be imported: launch files start the
same programs with the same words, parameters and environment.
"""

from __future__ import annotations

import logging
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import yaml
from ament_index_python.packages import get_package_prefix, get_package_share_directory

MODULES = ("launch", "launch.actions", "launch.conditions", "launch.launch_description_sources", "launch.logging")
MODULES += ("launch.substitutions", "launch_ros", "launch_ros.actions", "launch_ros.substitutions")
get_logger = logging.getLogger


def install() -> None:
    """Make the launch files' imports mean this module."""
    for name in MODULES:
        sys.modules[name] = sys.modules[__name__]


class LaunchContext:
    """What is known while a launch file is executed, and the programs that it has started."""

    def __init__(self) -> None:
        self.argv: list[str] = []
        self.launch_configurations: dict[str, str] = {}
        self.environment = dict(os.environ)
        self.programs: list[subprocess.Popen] = []

    def perform_substitution(self, value: Any) -> str:
        return value.perform(self) if hasattr(value, "perform") else str(value)


class LaunchConfiguration:
    def __init__(self, name: str) -> None:
        self._name = name

    def perform(self, context: LaunchContext) -> str:
        return context.launch_configurations[self._name]


class FindPackageShare:
    def __init__(self, package: str) -> None:
        self._package = package

    def perform(self, context: LaunchContext) -> str:
        return get_package_share_directory(self._package)


class PathJoinSubstitution:
    def __init__(self, parts: Iterable[Any]) -> None:
        self._parts = list(parts)

    def perform(self, context: LaunchContext) -> str:
        return os.path.join(*(context.perform_substitution(part) for part in self._parts))


class IfCondition:
    def __init__(self, value: Any) -> None:
        self._value = value

    def evaluate(self, context: LaunchContext) -> bool:
        return context.perform_substitution(self._value).lower() in ("true", "1")


class LaunchDescription:
    def __init__(self, entities: Iterable[Any]) -> None:
        self.entities = list(entities)

    def execute(self, context: LaunchContext) -> None:
        for entity in self.entities:
            entity.execute(context)


class DeclareLaunchArgument:
    def __init__(self, name: str, *, default_value: str, description: str) -> None:
        self.name, self._default = name, default_value

    def execute(self, context: LaunchContext) -> None:
        context.launch_configurations.setdefault(self.name, self._default)


class SetEnvironmentVariable:
    def __init__(self, name: str, value: Any) -> None:
        self._name, self._value = name, value

    def execute(self, context: LaunchContext) -> None:
        context.environment[self._name] = context.perform_substitution(self._value)


class OpaqueFunction:
    def __init__(self, *, function: Callable[[LaunchContext], Iterable[Any]]) -> None:
        self._function = function

    def execute(self, context: LaunchContext) -> None:
        LaunchDescription(self._function(context)).execute(context)


class GroupAction(LaunchDescription):
    """What is set within holds within alone; without `forwarding` nothing from outside holds there."""

    def __init__(self, entities: Iterable[Any], *, scoped: bool = True, forwarding: bool = True) -> None:
        super().__init__(entities)
        if not scoped:
            raise NotImplementedError("scoped: expected true, got false; that takes the real launch")
        self._forwarding = forwarding

    def execute(self, context: LaunchContext) -> None:
        before = dict(context.launch_configurations), dict(context.environment)
        if not self._forwarding:
            context.launch_configurations = {}
        super().execute(context)
        context.launch_configurations, context.environment = before


class PythonLaunchDescriptionSource:
    def __init__(self, path: Any) -> None:
        self._path = path

    def description(self, context: LaunchContext) -> LaunchDescription:
        return runpy.run_path(context.perform_substitution(self._path))["generate_launch_description"]()


class IncludeLaunchDescription:
    def __init__(self, source: PythonLaunchDescriptionSource, *, launch_arguments: Iterable[tuple[str, Any]] = ()) -> None:
        self._source, self._arguments = source, list(launch_arguments)

    def execute(self, context: LaunchContext) -> None:
        for name, value in self._arguments:
            context.launch_configurations[name] = context.perform_substitution(value)
        self._source.description(context).execute(context)


class Node:
    """A program, called as launch_ros calls it."""

    def __init__(
        self, *, package: str, executable: str, name: str = "", namespace: Any = None, parameters: Iterable[Any] = (),
        remappings: Iterable[tuple[str, str]] = (), arguments: Iterable[Any] = (), condition: IfCondition | None = None,
        respawn: bool = False, respawn_delay: float = 0.0, output: str = "screen",
    ) -> None:  # fmt: skip
        if respawn:
            raise NotImplementedError("respawn: expected false, got true; that takes the real launch")
        self._program = package, executable
        self._name, self._namespace, self._condition = name, namespace, condition
        self._parameters, self._remappings, self._arguments = list(parameters), list(remappings), list(arguments)

    def execute(self, context: LaunchContext) -> None:
        if self._condition is not None and not self._condition.evaluate(context):
            return
        package, executable = self._program
        words = [os.path.join(get_package_prefix(package), "lib", package, executable)]
        words += [context.perform_substitution(argument) for argument in self._arguments]
        words += ["--ros-args", *(("-r", f"__node:={self._name}") if self._name else ())]
        section = "/**"
        if self._namespace is not None:
            namespace = "/" + context.perform_substitution(self._namespace).strip("/")
            section = f"{namespace.rstrip('/')}/{self._name}"
            words += ["-r", f"__ns:={namespace}"]
        for source in self._parameters:
            words += ["--params-file", source if isinstance(source, str) else _written(section, source)]
        for pair in self._remappings:
            words += ["-r", ":=".join(pair)]
        context.programs.append(subprocess.Popen(words, env=context.environment))


class LaunchService:
    """Starts everything, and ends with the last program. A terminal interrupts the programs as well, so that is not done here."""

    def __init__(self) -> None:
        self._context, self._descriptions = LaunchContext(), []

    def include_launch_description(self, description: LaunchDescription) -> None:
        self._descriptions.append(description)

    def run(self) -> int:
        signal.signal(signal.SIGINT, lambda *_: None)
        for description in self._descriptions:
            description.execute(self._context)
        for program in self._context.programs:
            program.wait()
        return 0


def _written(section: str, parameters: dict[str, Any]) -> str:
    """A parameter file for one node."""
    with tempfile.NamedTemporaryFile("w", prefix="launch_params_", delete=False) as file:
        yaml.dump({section: {"ros__parameters": parameters}}, file)
    return file.name
