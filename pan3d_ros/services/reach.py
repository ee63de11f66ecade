"""Grasps that the robot's arm gets to, where only such are wanted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import numpy as np
from pan3d_interfaces.msg import ErrorCode

from pan3d_core.motion import Arm, ArmNames, ArmPlace, reachable_grasps, without_meshes
from pan3d_core.structures import GraspTarget
from pan3d_ros.inputs.robot_input import RobotInput
from pan3d_ros.messages.manipulation.grasps import RETREAT_M
from pan3d_ros.messages.poses import matrix_from_xyz_rpy
from pan3d_ros.parameters.node_config import ArmConfig, NodeConfig
from pan3d_ros.services.gripper import RobotGripper
from pan3d_ros.services.requests import RequestError

log = logging.getLogger("pan3d.ros.reach")


def require_arm(config: NodeConfig) -> None:
    """Refuse settings that want only what an arm reaches, and do not say which arm.

    Raises:
        ValueError: What is missing.
    """
    if config.arm.reachable_only and not config.arm.tip_link:
        raise ValueError("arm.tip_link: expected a link of the robot, as arm.reachable_only is true, got none")
    if config.arm.reachable_only and not (config.robot.urdf or config.robot.description_topic):
        raise ValueError("arm.reachable_only: expected robot.urdf or robot.description_topic, got neither")


class GraspReach:
    """Asks the arm of one robot. For several threads, one after the other.

    Args:
        config: Of the arm.
        robot: What comes from it; None = it is not described.
    """

    def __init__(self, config: ArmConfig, robot: RobotInput | None) -> None:
        self.config, self.gripper = config, RobotGripper(config, robot)
        self._robot, self._lock = robot, threading.Lock()
        self._arm: tuple[str, Arm] | None = None  # and the description that it is made of

    def only_reached(self, grasps: Sequence[GraspTarget], at_most: int) -> tuple[list[GraspTarget], str]:
        """Leave out grasps that the arm does not get to.

        Args:
            grasps: Best first, in the reference frame.
            at_most: As many as are wanted; others are not tried.

        Returns:
            Those that it gets to, in their order, and why not to the others; empty = to all that were tried.

        Raises:
            RequestError: Nobody can say, since the robot is not described or its place is not known.
        """
        if not self.config.reachable_only or not grasps:
            return list(grasps)[:at_most], ""
        with self._lock:
            try:
                arm = self._built()
            except ValueError as error:
                raise RequestError(ErrorCode.INVALID_REQUEST, f"arm.reachable_only: {error}") from error
            report = reachable_grasps(arm, grasps, self._place(arm), RETREAT_M, at_most)
        return [item.grasp for item in report.reached], report.message

    def _built(self) -> Arm:
        text = "" if self._robot is None else self._robot.text
        if not text:
            topic = "" if self._robot is None else self._robot.config.description_topic
            raise ValueError(f"no description of the robot has come{f' on {topic}' if topic else ''}")
        if self._arm is None or self._arm[0] != text:
            self._arm = text, Arm(without_meshes(text), ArmNames(self.config.tip_link, self.config.fingers))
            log.info("grasps are compared with the reach of %d joints up to %s", len(self._arm[1].joints), self.config.tip_link)
        return self._arm[1]

    def _place(self, arm: Arm) -> ArmPlace:
        robot = self._robot
        root = None if robot is None else robot.root()
        if robot is None or root is None:
            why = "" if robot is None else robot.missed or robot.problem
            words = f"arm.reachable_only: where the robot stands is not known{f': {why}' if why else ' yet'}"
            raise RequestError(ErrorCode.TF_FAILURE, words)
        positions = robot.newest_positions()
        middle = (np.maximum(arm.lower, -np.pi) + np.minimum(arm.upper, np.pi)) / 2
        near = np.array([positions.get(name, float(value)) for name, value in zip(arm.joints, middle)])
        return ArmPlace(root, near, matrix_from_xyz_rpy(self.config.tip_from_grasp))
