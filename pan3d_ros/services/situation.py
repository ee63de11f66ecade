"""What answers depend on besides the newest result."""

from __future__ import annotations

from dataclasses import dataclass

from pan3d_core.config import GraspConfig
from pan3d_core.language.namer import Namer
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.services.reach import GraspReach

NOT_YET = (
    "the node is not active: it loads its model, or waits to be configured and activated (autostart, or ros2 lifecycle set);"
    " /diagnostics says which"
)


@dataclass(frozen=True)
class Situation:
    """What answers depend on besides the newest result."""

    node: NodeConfig
    grasp: GraspConfig
    cloud_points: int = 0
    namer: Namer | None = None  # None while the node is not active
    inactive_reason: str = NOT_YET
    reach: GraspReach | None = None  # of the arm; None while the node is not active
    blind_reason: str = ""  # why no object is ever found; empty while the engine looks for some

    def rules(self) -> GraspConfig:
        """Rules of grasps, with the robot's own gripper where that is wanted.

        Raises:
            RequestError: It is wanted, and nobody knows it.
        """
        return self.grasp if self.reach is None else self.reach.gripper.of(self.grasp)
