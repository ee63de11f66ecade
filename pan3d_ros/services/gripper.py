"""The gripper as the robot's description has it, where that is wanted."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from pan3d_interfaces.msg import ErrorCode

from pan3d_core.body import GripperNames, MeasuredGripper, RobotDescription, measure_gripper
from pan3d_core.config import GraspConfig
from pan3d_ros.inputs.robot_input import RobotInput
from pan3d_ros.messages.poses import matrix_from_xyz_rpy
from pan3d_ros.outputs.diagnostics import ERROR, OK, status
from pan3d_ros.parameters.node_config import ArmConfig, NodeConfig
from pan3d_ros.services.requests import RequestError

log = logging.getLogger("pan3d.ros.gripper")
WHERE = "arm.gripper_from_urdf"
NAMED_BY = (
    "hand is arm.hand_link, fingers are arm.finger_links, joints are arm.fingers, the frame is arm.tip_from_grasp on arm.tip_link"
)


def require_gripper(config: NodeConfig, grasp: GraspConfig, robot: RobotDescription | None) -> None:
    """Refuse settings that want the gripper of a description which has none, or of none.

    Args:
        config: The node's settings.
        grasp: Whose gripper is replaced.
        robot: As its file describes it; None = it has none, or a topic will tell.

    Raises:
        ValueError: What is missing.
    """
    if not config.arm.gripper_from_urdf:
        return
    if not (config.robot.urdf or config.robot.description_topic):
        raise ValueError(f"{WHERE}: expected robot.urdf or robot.description_topic, got neither")
    if grasp.gripper.kind != "parallel":
        raise ValueError(f"{WHERE}: expected grasp.gripper.kind parallel, whose jaws are measured, got {grasp.gripper.kind}")
    if robot is not None:
        log.info(measured(config.arm, robot).message)


def measured(config: ArmConfig, robot: RobotDescription) -> MeasuredGripper:
    """Measure the gripper of a robot.

    Args:
        config: Names of its parts, and where the grasp frame is; without `tip_link` it is found.
        robot: With surfaces.

    Returns:
        The gripper.

    Raises:
        ValueError: As `measure_gripper`, with the parameters that help.
    """
    frame = (config.tip_link, matrix_from_xyz_rpy(config.tip_from_grasp).astype(np.float64)) if config.tip_link else None
    try:
        return measure_gripper(robot, GripperNames(config.hand_link, config.finger_links, config.fingers), frame)
    except ValueError as error:
        raise ValueError(f"{WHERE}: {error} ({NAMED_BY})") from error


class RobotGripper:
    """Asks one robot for its gripper. For several threads.

    Args:
        config: Whether it is wanted, and its names.
        robot: What comes from it; None = it is not described.
    """

    def __init__(self, config: ArmConfig, robot: RobotInput | None) -> None:
        self.config = config
        self._robot, self._lock = robot, threading.Lock()
        self._found: tuple[RobotDescription, MeasuredGripper | ValueError] | None = None

    def of(self, grasp: GraspConfig) -> GraspConfig:
        """Put the robot's gripper in the place of the one that is set.

        Raises:
            RequestError: The robot is not described, or has no gripper that grasps are planned for.
        """
        if not self.config.gripper_from_urdf:
            return grasp
        found = self.measured()
        if isinstance(found, ValueError):
            raise RequestError(ErrorCode.INVALID_REQUEST, str(found))
        return replace(grasp, gripper=replace(found.config, suction=grasp.gripper.suction))

    def wanted(self) -> MeasuredGripper | None:
        """The gripper of the newest description, where it is wanted and there is one."""
        found = self.measured() if self.config.gripper_from_urdf else None
        return found if isinstance(found, MeasuredGripper) else None

    def measured(self) -> MeasuredGripper | ValueError:
        """The gripper of the newest description, or why there is none."""
        robot = None if self._robot is None else self._robot.description
        if robot is None:
            topic = "" if self._robot is None else self._robot.config.description_topic
            return ValueError(f"{WHERE}: no description of the robot has come{f' on {topic}' if topic else ''}")
        with self._lock:
            if self._found is None or self._found[0] is not robot:
                try:
                    self._found = robot, measured(self.config, robot)
                    log.info(self._found[1].message)
                except ValueError as error:
                    log.error("%s", error)
                    self._found = robot, error
            return self._found[1]


def gripper_status(gripper: RobotGripper) -> tuple[DiagnosticStatus, ...]:
    """Tell of the gripper that is measured, in a line of /diagnostics; none where the one that is set counts."""
    if not gripper.config.gripper_from_urdf:
        return ()
    found = gripper.measured()
    return (status("gripper", ERROR, str(found)) if isinstance(found, ValueError) else status("gripper", OK, found.message),)
