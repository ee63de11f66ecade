"""Forwards the log of the libraries (logger `pan3d`) to the log of a node, and so to /rosout."""

from __future__ import annotations

import logging
import time
from typing import Protocol

REPEAT_S = 30.0  # what comes with every view set is no news
NODES = "pan3d.ros"  # loggers of what happens once, and is news each time


class NodeLogger(Protocol):
    def debug(self, message: str) -> bool: ...
    def info(self, message: str) -> bool: ...
    def warning(self, message: str) -> bool: ...
    def error(self, message: str) -> bool: ...


class LogBridge(logging.Handler):
    """Attach with `attach`, take off with `detach`; the level of the ROS logger decides what is shown.

    A warning of the libraries that says the same as one before is left out for `REPEAT_S`.
    """

    def __init__(self, logger: NodeLogger) -> None:
        super().__init__()
        self._logger = logger
        self._said_s: dict[str, float] = {}
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno == logging.WARNING and not record.name.startswith(NODES) and self._repeated(text):
            return
        # One call per severity on a line of its own: rclpy remembers the severity of a calling line.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)

    def _repeated(self, text: str) -> bool:
        now_s = time.monotonic()
        self._said_s = {said: said_s for said, said_s in self._said_s.items() if now_s - said_s < REPEAT_S}
        repeated = text in self._said_s
        self._said_s.setdefault(text, now_s)
        return repeated

    def attach(self) -> LogBridge:
        """Start forwarding. The records no longer go to Python's own root handlers, so nothing is said twice."""
        source = logging.getLogger("pan3d")
        source.addHandler(self)
        source.setLevel(min(source.level or logging.INFO, logging.INFO))
        source.propagate = False
        return self

    def detach(self) -> None:
        """Stop forwarding."""
        source = logging.getLogger("pan3d")
        source.removeHandler(self)
        source.propagate = True
