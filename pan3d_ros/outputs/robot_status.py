"""What /diagnostics says of the robot's own body."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus

from pan3d_core.config import BodyConfig
from pan3d_ros.inputs.robot_input import RobotInput
from pan3d_ros.outputs.diagnostics import ERROR, OK, WARN, status
from pan3d_ros.outputs.result_store import SceneResult

SILENT_S = 1.0


def robot_status(robot: RobotInput | None, config: BodyConfig, latest: SceneResult | None) -> DiagnosticStatus:
    """Tell whether the robot is told from what stands around it.

    Args:
        robot: What comes from it; None = it is not described.
        config: Whether and how its body is taken out.
        latest: The newest result, if there is one.

    Returns:
        OK with how much of the pictures it fills, or WARN or ERROR with what to do about it.
    """
    if robot is None:
        words = "the robot is not described, so an arm in the picture is an object or an obstacle; see robot.urdf"
        return status("robot", OK, words)
    if not config.enabled:
        return status("robot", WARN, "body.enabled is false: an arm in the picture is an object or an obstacle")
    values = {"joint_states": robot.count, "silence_s": robot.silence_s}
    dropped = "; its views are dropped" if robot.config.required else "; it is not taken out, and may be an object or an obstacle"
    if robot.described and robot.silence_s > SILENT_S:
        how = f"silent for {robot.silence_s:.1f} s" if robot.count else "none has come"
        return status("robot", ERROR, f"joint states on {robot.heard}: {how}{dropped}", values)
    if robot.problem:
        return status("robot", ERROR, robot.problem, values)
    if robot.missed:
        return status("robot", ERROR, f"{robot.missed}{dropped}", values)
    if not robot.described:
        return status("robot", WARN, f"no description of the robot has come on {robot.config.description_topic}", values)
    pixels = None if latest is None else latest.result.body_pixels
    if pixels is None:
        return status("robot", OK if latest is None else WARN, "joint states arrive; nothing is metric yet", values)
    share = float(pixels.float().mean())
    return status("robot", OK, f"the robot's body is taken out: {share:.1%} of the pictures", {**values, "share": share})
