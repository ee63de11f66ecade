"""Nodes as child processes that always end with the demo."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_TIMEOUT_S = 5.0
LOG_LINES = 15


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why in words for a person."""


class ChildNode:
    """A Python module run as a node, its output in a log file. Use as a context manager."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], log_path: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("w") as log:
            # A group of its own: Ctrl-C reaches the demo only, which then ends the children in order.
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    def __enter__(self) -> ChildNode:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def check(self) -> None:
        """Raise `DemoError` with the end of the log when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise DemoError(f"{self.name} ended with code {code}; the end of {self.log_path}:\n{self.log_tail()}")

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def log_tail(self) -> str:
        """The last lines of the log."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES:])

    def stop(self) -> None:
        """Interrupt, then kill what is left of the process group."""
        if self._process.poll() is None:
            self._signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def parameter_arguments(parameters: Mapping[str, object]) -> list[str]:
    """`--ros-args -p name:=value ...` with values as YAML."""
    arguments = ["--ros-args"]
    for name, value in parameters.items():
        arguments += ["-p", f"{name}:={_yaml_value(value)}"]
    return arguments


def _yaml_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_yaml_value(entry) for entry in value)}]"
    if isinstance(value, str):
        return f"'{value}'"
    return str(value)
