"""Forwards the log of the libraries (logger `pan3d`) to the log of a node, and so to /rosout."""

from __future__ import annotations

import logging
from typing import Protocol


class NodeLogger(Protocol):
    def debug(self, message: str) -> bool: ...
    def info(self, message: str) -> bool: ...
    def warning(self, message: str) -> bool: ...
    def error(self, message: str) -> bool: ...


class LogBridge(logging.Handler):
    """Attach with `attach`, take off with `detach`; the level of the ROS logger decides what is shown."""

    def __init__(self, logger: NodeLogger) -> None:
        super().__init__()
        self._logger = logger
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        # One call per severity on a line of its own: rclpy remembers the severity of a calling line.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)

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
