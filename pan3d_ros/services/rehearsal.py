"""Grasps tried in a physics twin of what is seen before they are answered, where that is wanted."""

from __future__ import annotations

from pan3d_core.config import GripperConfig, RehearsalConfig
from pan3d_core.grasping.rehearsal import Rehearsal, RehearsalRequest, Rehearser
from pan3d_ros.parameters.node_config import NodeConfig, RehearseConfig
from pan3d_sim.rehearsal import NoPhysics, build_rehearser


def require_physics(config: NodeConfig) -> None:
    """Refuse settings that want rehearsals where there is no physics.

    Raises:
        ValueError: How to install it.
    """
    if config.rehearse.enabled:
        rehearser = build_rehearser()
        if isinstance(rehearser, NoPhysics):
            raise ValueError(f"rehearse.enabled: {rehearser.problem}")


class GraspRehearsals:
    """Rehearses with the gripper and the settings of the moment. For one thread at a time."""

    def __init__(self) -> None:
        self._built: tuple[RehearseConfig, GripperConfig, Rehearser] | None = None

    def rehearse(self, request: RehearsalRequest, config: RehearseConfig, gripper: GripperConfig) -> Rehearsal:
        """Put grasps of one object in the order in which they should be tried.

        Args:
            request: The grasps, and what is around the object.
            config: Time and threads.
            gripper: Shape of the hand.

        Returns:
            All of them, those that survived most first; in the order in which they came where nothing could be tried.
        """
        if self._built is None or self._built[:2] != (config, gripper):
            settings = RehearsalConfig(budget_s=config.budget_s, threads=config.threads)
            self._built = config, gripper, build_rehearser(settings, gripper)
        return self._built[2](request)
