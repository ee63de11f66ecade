"""MoveIt's own requests: the whole planning scene, and grasps of one of its objects. Only where moveit_msgs is installed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import GetGraspTargets
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from pan3d_ros.messages.manipulation.planning import SCENE, HandFrame, moveit_grasp
from pan3d_ros.messages.poses import matrix_from_xyz_rpy
from pan3d_ros.outputs.planning import KnownWorld, whole_scene
from pan3d_ros.platform.stand_ins import moveit_msgs, moveit_services
from pan3d_ros.services.answers import Answers
from pan3d_ros.services.private.own import Answer, OwnServices

# What MoveIt calls our codes; others are FAILURE, with the message.
MOVEIT_CODES = {
    ErrorCode.OK: "SUCCESS",
    ErrorCode.NOT_ACTIVE: "UNABLE_TO_AQUIRE_SENSOR_DATA",
    ErrorCode.NO_IMAGES: "UNABLE_TO_AQUIRE_SENSOR_DATA",
    ErrorCode.NO_CAMERA_INFO: "UNABLE_TO_AQUIRE_SENSOR_DATA",
    ErrorCode.STALE_IMAGES: "SENSOR_INFO_STALE",
    ErrorCode.TF_FAILURE: "FRAME_TRANSFORM_FAILURE",
    ErrorCode.TIMEOUT: "TIMED_OUT",
    ErrorCode.NOT_FOUND: "PLANNING_FAILED",
    ErrorCode.INVALID_REQUEST: "INVALID_OBJECT_NAME",
}


class PlanningServices(OwnServices):
    """`~/get_planning_scene` and `~/plan_grasps`, where moveit_msgs is installed.

    Args:
        node: That offers them.
        answers: That find grasps.
        known: Gives what is known now; None = the node is not active.
    """

    def __init__(self, node: Node, answers: Answers, known: Callable[[], KnownWorld | None]) -> None:
        offered: dict[str, tuple[type, Answer]] = {}
        if moveit_services is not None:
            offered["get_planning_scene"] = moveit_services.GetPlanningScene, self._scene
            offered["plan_grasps"] = moveit_services.GraspPlanning, self._grasps
        super().__init__(node, ReentrantCallbackGroup(), offered)
        self._grasp_answers, self._known = answers, known

    def _scene(self, _: Any, response: Any) -> Any:
        """All of it, whatever components are asked for."""
        response.scene = whole_scene(self._known())
        return response

    def _grasps(self, request: Any, response: Any) -> Any:
        """Of the object whose id is `target.id`, as in the scene; without one by its `target.type.key` as a prompt."""
        asked = GetGraspTargets.Request(prompt=request.target.type.key)
        if request.target.id:
            matched = re.fullmatch(rf"{SCENE}/([1-9]\d{{0,8}})", request.target.id)
            if matched is None:
                words = f"target.id: expected {SCENE}/ and a number, got {request.target.id!r}"
                response.error_code = _code(ErrorCode.INVALID_REQUEST, words)
                return response
            asked.instance_id = int(matched[1])
        found = self._grasp_answers.get_grasp_targets(asked, GetGraspTargets.Response())
        arm = self._grasp_answers.situation.node.arm
        reach = self._grasp_answers.situation.reach
        hand = HandFrame(matrix_from_xyz_rpy(arm.tip_from_grasp), arm.fingers, None if reach is None else reach.gripper.wanted())
        response.grasps = [moveit_grasp(target, hand, rank) for rank, target in enumerate(found.targets)]
        response.error_code = _code(found.error_code, found.message)
        return response


def _code(code: int, words: str) -> Any:
    kinds = moveit_msgs.MoveItErrorCodes
    return kinds(val=getattr(kinds, MOVEIT_CODES.get(code, "FAILURE")), message=words, source=SCENE)
