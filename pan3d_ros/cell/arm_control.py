"""Trajectories for the arm of the simulated cell: the topic `joint_trajectory`, and the action `follow_joint_trajectory`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from pan3d_core.motion import Trajectory
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.manipulation.trajectories import TrajectoryError, trajectory_from_message
from pan3d_ros.messages.parts import header
from pan3d_ros.platform.stand_ins import control_actions
from pan3d_sim.cell.commanded_arm import CommandedArm

log = logging.getLogger("pan3d.ros.arm")
REACHED_RAD, LATE_S = 0.02, 1.0  # of an arm's joint at the end, where a goal names no tolerance; time that it may need more
LONGEST_STEP_S = 0.2  # after a pause of the clock, physics does not catch up


@dataclass
class _Running:
    """A goal whose trajectory is being followed."""

    goal: Any
    path: Mapping[str, float]  # joint -> tolerance on the way
    end: Mapping[str, float]  # joint -> tolerance at the end
    late_s: float
    result: tuple[str, str] = ("", "")  # code's name and words, once it is over


class ArmControl:
    """Lets physics run and the arm follow what comes last. In the thread of the cell; callbacks of the node's executor.

    Args:
        node: That listens, and offers the action where control_msgs is installed.
        arm: Of the cell.
    """

    def __init__(self, node: Node, arm: CommandedArm) -> None:
        self.arm = arm
        self._node, self._stamp_ns = node, 0
        self._running: _Running | None = None
        self._ended: dict[bytes, tuple[str, str]] = {}  # goal -> its result, until it is answered
        self._topic = node.create_subscription(JointTrajectory, "joint_trajectory", self._take, 10)
        if control_actions is None:
            log.info("control_msgs is not installed: the arm takes trajectories on joint_trajectory alone")
            return
        self._action = ActionServer(
            node,
            control_actions.FollowJointTrajectory,
            "follow_joint_trajectory",
            execute_callback=self._answer,
            handle_accepted_callback=self._accept,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def use(self, arm: CommandedArm) -> None:
        """Go on with the arm of another scene."""
        self._end("INVALID_GOAL", "the cell was reset")
        self.arm = arm

    def advance(self, stamp_ns: int) -> None:
        """Let physics run up to a time, and tell goals how it goes."""
        seconds = (stamp_ns - self._stamp_ns) * 1e-9 if self._stamp_ns else 0.0
        self._stamp_ns = max(stamp_ns, self._stamp_ns) if seconds < LONGEST_STEP_S else stamp_ns
        if seconds > 0:
            self.arm.step(min(seconds, LONGEST_STEP_S))
        if self._running is not None:
            self._watch(self._running, stamp_ns)

    def _take(self, message: JointTrajectory) -> None:
        try:
            way, elapsed_s = self._read(message)
        except TrajectoryError as error:
            log.warning("a trajectory is not followed: %s", error)
            return
        self._end("INVALID_GOAL", "another trajectory has come on joint_trajectory")
        self.arm.follow(way, elapsed_s)

    def _read(self, message: JointTrajectory) -> tuple[Trajectory, float]:
        """A trajectory, and how much of it is over."""
        way = trajectory_from_message(message, self.arm.positions, self.arm.limits, self.arm.speeds)
        begin_ns = stamp_to_ns(message.header.stamp)
        elapsed_s = (self._node.get_clock().now().nanoseconds - begin_ns) * 1e-9 if begin_ns else 0.0
        if elapsed_s > way.duration_s:
            raise TrajectoryError("OLD_HEADER_TIMESTAMP", f"header.stamp: the trajectory ended {elapsed_s:.1f} s ago")
        return way, elapsed_s

    # --- goals -------------------------------------------------------------------------------------------------

    def _accept(self, goal: Any) -> None:
        """A goal that cannot be followed ends at once, with the reason that a rejection could not give."""
        request = goal.request
        late_s = request.goal_time_tolerance.sec + 1e-9 * request.goal_time_tolerance.nanosec
        end = dict.fromkeys(self.arm.speeds, REACHED_RAD) | _tolerances(request.goal_tolerance)
        running = _Running(goal, _tolerances(request.path_tolerance), end, late_s or LATE_S)
        try:
            way, elapsed_s = self._read(request.trajectory)
        except TrajectoryError as error:
            running.result = error.code, str(error)
            self._over(running)
            return
        self._end("INVALID_GOAL", "another goal has come")
        self._running = running
        self.arm.follow(way, elapsed_s)

    def _watch(self, running: _Running, stamp_ns: int) -> None:
        if running.goal.is_cancel_requested:
            self.arm.stop()
            self._end("SUCCESSFUL", "cancelled: the arm stays where it is")
            return
        errors = self.arm.errors()
        strayed = _beyond(errors, running.path)
        if strayed and self.arm.late_s <= 0:
            self.arm.stop()
            self._end("PATH_TOLERANCE_VIOLATED", strayed)
            return
        self._tell(running.goal, errors, stamp_ns)
        missing = _beyond(errors, running.end)
        if self.arm.late_s >= 0 and not missing:
            self._end("SUCCESSFUL", "")
        elif self.arm.late_s > running.late_s:
            self._end("GOAL_TOLERANCE_VIOLATED", missing)

    def _tell(self, goal: Any, errors: Mapping[str, float], stamp_ns: int) -> None:
        wanted, here = self.arm.wanted, self.arm.positions
        feedback = control_actions.FollowJointTrajectory.Feedback(header=header("", stamp_ns), joint_names=list(wanted))
        feedback.desired = JointTrajectoryPoint(positions=list(wanted.values()))
        feedback.actual = JointTrajectoryPoint(positions=[here[name] for name in wanted])
        feedback.error = JointTrajectoryPoint(positions=[errors[name] for name in wanted])
        goal.publish_feedback(feedback)

    def _end(self, code: str, words: str) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result = code, words
            self._over(running)

    def _over(self, running: _Running) -> None:
        self._ended[bytes(running.goal.goal_id.uuid)] = running.result
        running.goal.execute()

    def _answer(self, goal: Any) -> Any:
        """Of a goal that is over. Goals are executed only then, so that no callback waits meanwhile."""
        code, words = self._ended.pop(bytes(goal.goal_id.uuid))
        kinds = control_actions.FollowJointTrajectory.Result
        if goal.is_cancel_requested:
            goal.canceled()
        elif code == "SUCCESSFUL":
            goal.succeed()
        else:
            goal.abort()
        return kinds(error_code=getattr(kinds, code), error_string=words)


def _tolerances(named: Any) -> dict[str, float]:
    """Joint -> tolerance of its position; 0 = as if it were not named, negative = none."""
    return {item.name: item.position if item.position > 0 else float("inf") for item in named if item.position}


def _beyond(errors: Mapping[str, float], tolerances: Mapping[str, float]) -> str:
    """Which joints are too far off, in words."""
    far = {name: error for name, error in errors.items() if abs(error) > tolerances.get(name, float("inf"))}
    return ", ".join(f"{name} is off by {error:+.3f}, allowed are {tolerances[name]:.3f}" for name, error in far.items())
