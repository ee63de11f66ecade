"""Where ROS writes its logs: without a folder for them no ROS program starts."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

log = logging.getLogger("pan3d.ros")
VARIABLE = "ROS_LOG_DIR"


def ensure_log_folder() -> None:
    """Give ROS a temporary folder for its logs where the one it would take cannot be written.

    So it is in containers and services whose user has no home folder. Must be called before rclpy is initialised; `ROS_LOG_DIR`
    is then set for this process and those that it starts.
    """
    folder = _folder_of_environment()
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return
        except OSError:  # a home that is not there, or may not be written
            pass
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix="ros_log_")
    log.warning(
        "%s cannot be written: logs of ROS go to %s; set %s to keep them", folder or "~/.ros/log", os.environ[VARIABLE], VARIABLE
    )


def _folder_of_environment() -> Path | None:
    """The folder that ROS takes: `ROS_LOG_DIR`, or `log` in `ROS_HOME` or in `.ros` of the home folder, if there is one."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if ros_home := os.environ.get("ROS_HOME"):
        return Path(ros_home) / "log"
    home = os.environ.get("HOME")
    return Path(home) / ".ros" / "log" if home else None
