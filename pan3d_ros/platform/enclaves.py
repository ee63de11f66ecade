"""Security of ROS (SROS 2) as a program meets it: whether it is on, and what a refusal of it means."""

from __future__ import annotations

import os
import re

from pan3d_ros.platform.rclpy_private import RCLError

# Of config/security/pan3d.policy.xml.
CELL, PERCEPTION, OPERATOR = "/pan3d/cell", "/pan3d/perception", "/pan3d/operator"
REFUSAL = re.compile("creat|security|error not set", re.IGNORECASE)  # what rcl says of all that it refuses: it does not say why


def security_is_on() -> bool:
    """Tell whether ROS asks of every program of this environment a key, as rcl reads it."""
    return os.environ.get("ROS_SECURITY_ENABLE") == "true"


def enclave_arguments(enclave: str) -> list[str]:
    """Make the words of a command line that put a program of ours into an enclave; none where security is off.

    Args:
        enclave: Its path, such as /pan3d/cell.
    """
    return ["--ros-args", "--enclave", enclave] if security_is_on() else []


def security_hint(error: Exception) -> str:
    """Say what a refusal of ROS mostly is where security is on, in brackets; empty for any other failure.

    Args:
        error: While a context, a node or one of its topics and services was made.
    """
    if not (security_is_on() and isinstance(error, RCLError) and REFUSAL.search(str(error))):
        return ""
    return (
        " (ROS_SECURITY_ENABLE is true: this needs a ROS that is built with security, and an enclave of the keystore that may do "
        "it, named by --ros-args --enclave or ROS_SECURITY_ENCLAVE_OVERRIDE; lines [SECURITY Error] say what was denied; "
        "docs/security.md)"
    )


def in_words(error: Exception) -> str:
    """Say in one line what ROS said while a context, a node or one of its topics and services was made, with `security_hint`."""
    said = str(error).replace(", at ", "; ").splitlines() or [type(error).__name__]
    return said[0] + security_hint(error)
