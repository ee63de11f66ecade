"""The services and the action of the node. They exist from construction on and answer in every state."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from pan3d_interfaces.action import Segment
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import GetGraspTargets, GetInstances, SegmentObject, SetClasses
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from visualization_msgs.msg import MarkerArray

from pan3d_ros.messages.manipulation.hands import hand_markers
from pan3d_ros.platform.rclpy_private import HANDLE_IS_GONE
from pan3d_ros.services.answers import Answers
from pan3d_ros.services.private.own import request_queue
from pan3d_ros.services.private.warranty import WarrantyServices
from pan3d_ros.services.requests import RequestError

_SERVICES = {
    "segment_object": (SegmentObject, "segment"),
    "get_instances": (GetInstances, "get_instances"),
    "get_grasp_targets": (GetGraspTargets, "get_grasp_targets"),
    "set_classes": (SetClasses, "set_classes"),
}


class PerceptionServices:
    """The services segment_object, ... and the action segment.

    Waiting requests occupy a thread of the executor each (`service.max_waiting` and its threads bound them), so it needs more
    threads than wait; `service.queue` requests of each service wait for one. The callback group is reentrant: cancel requests
    arrive while a goal is executed.
    """

    names = (*_SERVICES, "segment/_action/send_goal")  # as they appear in the graph, behind a prefix

    def __init__(self, node: Node, answers: Answers) -> None:
        self._node, self._answers = node, answers
        self._group = ReentrantCallbackGroup()
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)  # RViz may be started after the answer
        self._hands = node.create_publisher(MarkerArray, "~/grasp_markers", latched)

    def offer(self, prefix: str) -> Callable[[], None]:
        """Offer them all.

        Args:
            prefix: Before every name, as "~/".

        Returns:
            What destroys them.
        """
        node, group = self._node, self._group
        profile = request_queue(node)
        services = [
            node.create_service(kind, prefix + name, self._shown(method), qos_profile=profile, callback_group=group)
            for name, (kind, method) in _SERVICES.items()
        ]
        action = ActionServer(
            node,
            Segment,
            prefix + "segment",
            execute_callback=self._execute,
            goal_callback=lambda _: GoalResponse.ACCEPT,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
            callback_group=group,
            goal_service_qos_profile=profile,
            result_service_qos_profile=profile,
            cancel_service_qos_profile=profile,
        )

        own = WarrantyServices(node, self._answers.warranty, lambda: self._answers.situation.node.warranty).offer(prefix)

        def withdraw() -> None:
            own()
            action.destroy()
            for service in services:
                node.destroy_service(service)

        return withdraw

    def close(self) -> None:
        """Nothing runs by itself that would have to be ended."""

    def _shown(self, method: str) -> Callable[[Any, Any], Any]:
        """A method of the answers that also draws the grasps that it has found."""
        answer = getattr(self._answers, method)

        def answer_and_draw(request: Any, response: Any) -> Any:
            return self._draw(answer(request, response))

        return answer_and_draw

    def _draw(self, response: Any) -> Any:
        targets = getattr(response, "targets", None) or getattr(response, "grasps", None)
        if targets:
            with contextlib.suppress(*HANDLE_IS_GONE, RequestError):  # the process, or the robot, is being ended
                self._hands.publish(hand_markers(targets, self._answers.situation.rules().gripper))
        return response

    def _execute(self, goal: Any) -> Segment.Result:
        last: list[Any] = [None]

        def progress(stage: int, share: float, status: str) -> None:
            if (stage, status) != last[0]:
                last[0] = (stage, status)
                goal.publish_feedback(Segment.Feedback(stage=stage, progress=share, status=status))

        result = self._draw(self._answers.segment(goal.request, Segment.Result(), progress, lambda: goal.is_cancel_requested))
        if result.error_code == ErrorCode.CANCELED:
            goal.canceled()
        elif result.success:
            goal.succeed()
        else:
            goal.abort()
        return result
