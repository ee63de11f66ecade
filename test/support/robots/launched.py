"""Launch files in a process of their own, by the real launch where it is installed, and what `ros2` would then show."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from places import ROOT
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python

RUN = """
import sys

if sys.argv[2] == "stand-in":
    sys.path.insert(0, f"{sys.argv[1]}/test/support/robots")
    import launch_stand_in
    launch_stand_in.install()
from launch import LaunchDescription, LaunchService
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

def included(name, **arguments):
    source = PythonLaunchDescriptionSource(f"{sys.argv[1]}/launch/{name}.launch.py")
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=list(arguments.items()))])

service = LaunchService()
service.include_launch_description(LaunchDescription([%s]))
sys.exit(service.run())
"""
PROGRAM = '#!/bin/sh\nexec "{python}" -m pan3d_ros.{name} "$@"\n'


def real_launch_is_here() -> bool:
    """Whether launch and launch_ros can be imported."""
    try:  # not `launch` itself, which the folder of launch files would be taken for
        importlib.import_module("launch.actions")
        importlib.import_module("launch_ros.actions")
    except ImportError:
        return False
    return True


def launch_command(included: tuple[str, ...], *, real: bool) -> list[str]:
    """The command that starts launch files, by the real launch or by the stand-in."""
    return [sys.executable, "-c", RUN % ", ".join(included), str(ROOT), "real" if real else "stand-in"]


def package_index(prefix: Path, programs: dict[str, dict[str, str]]) -> str:
    """Lay packages as colcon does: package -> program -> content, of pan3d_ros this checkout's share. Gives AMENT_PREFIX_PATH."""
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    for package, contents in programs.items():
        (index / package).touch()
        (prefix / "lib" / package).mkdir(parents=True)
        for name, content in contents.items():
            (prefix / "lib" / package / name).write_text(content)
            (prefix / "lib" / package / name).chmod(0o755)
    (prefix / "share" / "pan3d_ros").symlink_to(ROOT)
    return f"{prefix}:{os.environ.get('AMENT_PREFIX_PATH', '')}"


def launch_environment(folder: Path) -> dict[str, str]:
    """What launch needs to find this checkout's package and programs; index and logs go into the folder."""
    programs = {name: PROGRAM.format(python=sys.executable, name=name) for name in ("perception_node", "sim_node")}
    return os.environ | {
        "AMENT_PREFIX_PATH": package_index(folder / "prefix", {"pan3d_ros": programs}),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "ROS_LOG_DIR": str(folder / "log"),
        "TMPDIR": str(folder),  # for the parameter files that launch leaves
    }


def returncode_of(child: subprocess.Popen, *, group: bool = False) -> int | None:
    """Wait for a program that was interrupted; one that goes on is killed, with its group where it has one, and gives None."""
    try:
        return child.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL) if group else child.kill()
        child.wait()
        return None


class Launches:
    """Starts launch files, and asks the nodes that come of them as the commands of `ros2` do.

    Args:
        node: Asks; somebody spins it.
        folder: For logs and the index of packages.
    """

    def __init__(self, node: Node, folder: Path) -> None:
        self.node, self.idle = node, lambda: None  # what is done while something is waited for
        self.diagnostics: list[DiagnosticArray] = []
        self.environment = launch_environment(folder)
        self._folder, self._started = folder, []
        node.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 100)

    def start(self, *included: str) -> None:
        """`ros2 launch` of files, each written as `included("perception", cameras="front")`."""
        path = self._folder / f"launch_{len(self._started)}.log"
        with path.open("w") as log:
            command = launch_command(included, real=real_launch_is_here())
            child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=self.environment, start_new_session=True)
        self._started.append((child, path))

    @property
    def said(self) -> str:
        """What all launches have printed so far."""
        return "".join(path.read_text() for _, path in self._started)

    def close(self) -> None:
        """Ctrl-C, which a terminal sends to a whole group."""
        for child, _ in self._started:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and `until` has said so
                os.killpg(child.pid, signal.SIGINT)
        ended = [returncode_of(child, group=True) for child, _ in self._started]
        assert None not in ended, f"a launch does not end\n{self.said}"
        assert "Traceback" not in self.said and "escalating" not in self.said, self.said

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = 120.0) -> Any:
        """The condition's value once it is true."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            ended = [child.returncode for child, _ in self._started if child.poll() is not None]
            assert not ended and time.monotonic() < deadline, f"never happened: {what}\n{self.said}"
            self.idle()
            time.sleep(0.05)
        return value

    def call(self, kind: type, name: str, **fields: Any) -> Any:
        """`ros2 service call`."""
        client = self.node.create_client(kind, name)
        try:
            self.until(client.service_is_ready, f"{name} is there")
            future = client.call_async(kind.Request(**fields))
            return self.until(lambda: future.done() and future.result(), f"{name} answers")
        finally:
            self.node.destroy_client(client)

    def get(self, node: str, *names: str) -> list[Any]:
        """`ros2 param get`."""
        values = self.call(GetParameters, f"{node}/get_parameters", names=list(names)).values
        return [parameter_value_to_python(value) for value in values]

    def set(self, node: str, name: str, value: Any) -> None:
        """`ros2 param set`."""
        parameter: ParameterMessage = Parameter(name, value=value).to_parameter_msg()
        (result,) = self.call(SetParameters, f"{node}/set_parameters", parameters=[parameter]).results
        assert result.successful, result.reason

    def state(self, node: str) -> str:
        """`ros2 lifecycle get`."""
        return self.call(GetState, f"{node}/get_state").current_state.label

    def transition(self, node: str, name: str) -> bool:
        """`ros2 lifecycle set`; whether it worked."""
        wanted = Transition(id=getattr(Transition, f"TRANSITION_{name.upper()}"))
        return self.call(ChangeState, f"{node}/change_state", transition=wanted).success

    def until_in(self, node: str, state: str) -> None:
        """Wait for a state of the lifecycle."""
        self.until(lambda: self.state(node) == state, f"{node} is {state}")

    def lines(self, name: str) -> list[DiagnosticStatus]:
        """All lines of /diagnostics with this name, as "/pan3d: synchronization", the newest last."""
        return [status for array in self.diagnostics for status in array.status if status.name == name]

    def until_line(self, name: str, level: bytes, *words: str) -> DiagnosticStatus:
        """The newest line of this name once it has this level and all these words."""

        def shown() -> DiagnosticStatus | None:
            newest = self.lines(name)[-1:]
            found = [line for line in newest if line.level == level and all(text in line.message for text in words)]
            return found[0] if found else None

        return self.until(shown, f"{name}: {words}; last: {[line.message for line in self.lines(name)[-1:]]}")
