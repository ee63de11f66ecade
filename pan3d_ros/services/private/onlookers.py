"""Services that live on what perception sees: they are told of every result, and say in /diagnostics what they made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

from pan3d_core.structures import CameraView, Panoptic3D
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.services.private.calibration import CalibrationServices
from pan3d_ros.services.private.doubtful import DoubtServices


class Onlooker(Protocol):
    """What perception tells of its results."""

    def saw(self, config: NodeConfig, views: Sequence[CameraView], panoptic: Panoptic3D) -> None:
        """Look at a result; called with every one, from the worker's thread.

        Args:
            config: The node's.
            views: That the network had.
            panoptic: What it made of them.
        """

    def forget(self) -> None:
        """Cameras may be others, or elsewhere, from now on."""

    def status(self, config: NodeConfig) -> list[DiagnosticStatus]:
        """Lines of /diagnostics; none where there is nothing to say."""


def all_onlookers(node: Node, settings: Callable[[], NodeConfig]) -> tuple[DoubtServices, CalibrationServices]:
    """Build all of them.

    Args:
        node: That offers their services, below its own name only.
        settings: Gives the node's settings.

    Returns:
        Each an `Onlooker`.
    """
    return DoubtServices(node, settings), CalibrationServices(node, settings)
