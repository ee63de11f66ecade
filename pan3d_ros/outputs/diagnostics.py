"""The state of the node as /diagnostics, in words that say what is wrong and how to mend it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from pan3d_interfaces.msg import ErrorCode

from pan3d_core.structures import PerceptionResult
from pan3d_core.views.picture_checks import ONE_COLOUR
from pan3d_core.views.synchronizer import ViewSetSynchronizer
from pan3d_ros.inputs.camera_inputs import UNPAIRED_S, CameraInput
from pan3d_ros.outputs.result_store import Latencies, SceneResult
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.platform.shared_memory import OTHER_USERS, OTHER_USERS_MEND, other_users
from pan3d_ros.processing.problem_log import Problem, ProblemLog

UNASKED_S = 10.0  # after so long without a lookup nothing is said of camera poses
UNPAIRED = "image and depth have no matching stamps; see input.pair_slop_s"
OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE


def status(name: str, level: bytes, message: str, values: Mapping[str, Any] | None = None) -> DiagnosticStatus:
    """Make one line of /diagnostics.

    Args:
        name: What it is about.
        level: OK, WARN or ERROR of DiagnosticStatus.
        message: For a person.
        values: Further numbers and words by name.

    Returns:
        The line.
    """
    pairs = [
        KeyValue(key=key, value=f"{value:.4g}" if isinstance(value, float) else str(value))
        for key, value in (values or {}).items()
    ]
    return DiagnosticStatus(name=name, level=level, message=message, values=pairs)


def parameter_status(unknown: Sequence[str]) -> DiagnosticStatus:
    """Whether everything that the node was started with is read."""
    return status("parameters", WARN if unknown else OK, "; ".join(unknown) or "all given parameters are known")


def service_status(node_name: str, everywhere: bool, problem: str) -> DiagnosticStatus:
    """Tell under which names requests are answered.

    Args:
        node_name: Fully qualified.
        everywhere: Whether the services are offered without a namespace too.
        problem: Why they are not although they should be, or who else could answer.

    Returns:
        ERROR with the problem, else OK.
    """
    offered = f"{node_name}/segment_object" + (" and /segment_object" if everywhere else "")
    return status("services", ERROR if problem else OK, problem or f"offered as {offered} and so on")


def camera_status(camera: CameraInput, dead: bool, problems: ProblemLog) -> DiagnosticStatus:
    """Tell what comes from one camera, and what does not.

    Args:
        camera: The camera's input.
        dead: Whether view sets are formed without it.
        problems: Why views were dropped.

    Returns:
        OK, or WARN or ERROR with what to do about it.
    """
    now_s = time.monotonic()
    values = {"rate_hz": camera.rate_hz(now_s), "silence_s": camera.silence_s(now_s), **camera.counts}
    values |= {reason: n for reason, n in problems.totals().items() if reason.startswith(f"{camera.name}: ")}
    level, message = OK, "images arrive"
    if not camera.counts["image"]:
        level, message = WARN, f"no image on {camera.heard.image}{_why_none(camera)}"
    elif camera.lacks_info(now_s):
        level, message = ERROR, f"images, but no camera_info on {camera.heard.info}{camera.elsewhere('info')}"
        message += f"; or set camera.{camera.name}.calibration_file"
    elif camera.info_problem:
        level, message = ERROR, camera.info_problem
    elif camera.lacks_depth(now_s):
        level, message = ERROR, f"images, but no depth on {camera.heard.depth}{camera.elsewhere('depth')}"
    elif camera.unpaired_s(now_s) > UNPAIRED_S:
        level, message = ERROR, UNPAIRED
    elif dead:
        level, message = WARN, f"silent for {camera.silence_s(now_s):.1f} s; sets are formed without it"
    elif camera.problem:
        level, message = ERROR, camera.problem
    for problem in (Problem.NO_CAMERA_INFO, Problem.NO_IMAGES, Problem.TF_FAILURE):
        if level == OK and (recent := problems.recent(problem, camera.name)):
            level, message = ERROR, recent[0]
    return status(f"camera {camera.name}", level, message, values)


def _why_none(camera: CameraInput) -> str:
    """Why no image of a camera comes."""
    publishers = camera.publishers()
    if not publishers:
        return f": it has no publisher{camera.elsewhere('image')}"
    words = f" although it has {publishers} publisher{'s' * (publishers > 1)}; "
    if users := other_users():
        return f"{words}{', '.join(users)} uses ROS on this machine, too, and {OTHER_USERS}: {OTHER_USERS_MEND}"
    return f"{words}compare QoS (ros2 topic info -v)"


def sync_status(sync: ViewSetSynchronizer, slop_s: float) -> DiagnosticStatus:
    """Tell whether view sets come about.

    Args:
        sync: What forms them.
        slop_s: `sync.slop_s`, within which stamps match.

    Returns:
        OK, or WARN with what to do about it.
    """
    now_s = time.monotonic()
    values: dict[str, Any] = {"sets": sync.delivered, "clock_jumps": sync.jumps}
    values |= {f"{camera}: {reason}": n for (camera, reason), n in list(sync.drops.items())}
    dead = sync.dead_cameras(now_s)
    if not sync.delivered and (dead or not sync.starved_s(now_s)):
        nothing = f"nothing comes without {', '.join(dead)}" if dead else "no camera has sent what makes a view"
        return status("synchronization", WARN, f"no view set yet: {nothing}", values)
    if dead:
        return status("synchronization", WARN, f"without {', '.join(dead)}", values)
    if sync.starved_s(now_s) > 2.0:
        offsets = {camera: ns * 1e-9 for camera, ns in sync.observed_offset_ns().items()}
        if any(abs(offset) > slop_s for offset in offsets.values()):
            text = ", ".join(f"{camera} {offset:+.3f} s" for camera, offset in offsets.items())
            message = f"stamps never match within sync.slop_s = {slop_s:g}: against {sync.cameras[0]} {text};"
            message += " mend the clocks or set camera.<name>.time_offset_s"
            return status("synchronization", WARN, message, values)
        return status("synchronization", WARN, "no view set for 2 s", values)
    if not sync.delivered:
        return status("synchronization", WARN, "no view set yet", values)
    return status("synchronization", OK, "view sets are formed", values)


def transform_status(problems: ProblemLog, posed: bool, known_s: float | None) -> DiagnosticStatus:
    """Tell whether the cameras' poses are known.

    Args:
        problems: Why views were dropped.
        posed: Whether poses are asked for at all.
        known_s: Seconds since a pose was found; None = none ever was.

    Returns:
        WARN when poses are missing or none was asked for lately, ERROR when they are missing for 2 s.
    """
    if recent := problems.recent(Problem.TF_FAILURE):
        message, lasting_s = recent
        return status("transforms", ERROR if lasting_s > 2.0 else WARN, message)
    if not posed:
        return status("transforms", OK, "cameras are unposed, as transforms.source says")
    if known_s is None:
        return status("transforms", WARN, "no camera pose has been looked up yet")
    if known_s > UNASKED_S:
        return status("transforms", WARN, f"the last camera pose was looked up {known_s:.0f} s ago")
    return status("transforms", OK, "camera poses are known")


def pipeline_status(
    latest: SceneResult | None,
    publish_s: float,
    latencies: Latencies,
    problems: ProblemLog,
    busy_s: float,
    config: NodeConfig,
    counts: Mapping[str, int],
) -> DiagnosticStatus:
    """Tell speed and success of the processing.

    Args:
        latest: The newest result, if there is one.
        publish_s: How long its publication took; 0 while it lasts.
        latencies: Of the last results.
        problems: Why views did not become results.
        busy_s: How long the present view set has been in work.
        config: The node's settings.
        counts: Numbers of view sets, by what became of them.

    Returns:
        OK with figures, or WARN or ERROR with the reason.
    """
    p50, p99 = latencies.percentile(50), latencies.percentile(99)
    values: dict[str, Any] = {"latency_p50_s": p50, "latency_p99_s": p99, "busy_s": busy_s, **counts, **problems.totals()}
    if latest is not None:
        values |= {f"{stage}_s": seconds for stage, seconds in {**latest.stages_s, "publish": publish_s}.items()}
        values |= _pose_figures(latest.result) | _support_figures(latest.result)
    if busy_s > config.watchdog.inference_timeout_s:
        return status("pipeline", ERROR, f"one view set has been in work for {busy_s:.0f} s", values)
    for problem in (Problem.OUT_OF_MEMORY, Problem.INFERENCE_ERROR):
        if recent := problems.recent(problem):
            return status("pipeline", ERROR, recent[0], values)
    if recent := problems.recent(Problem.STALE_IMAGES):
        return status("pipeline", WARN, recent[0], values)
    if latest is None:
        return status("pipeline", WARN, "no result yet", values)
    if not latest.result.finds_objects:
        covered = [words for words in latest.result.warnings if ONE_COLOUR in words]
        return status("pipeline", WARN, (covered or ["this model finds no objects: clouds and depth only"])[0], values)
    if doubt := _pose_doubt(latest.result):
        return status("pipeline", WARN, doubt, values)
    if not latest.result.reconstruction.is_metric:
        words = "the result is not metric: no grasps; camera poses or depth are needed"
        if latest.result.views.cam_from_world is not None and latest.result.views.support_height_m is None:
            words += ", or the support's height: set workspace.support_height_m"
        return status("pipeline", WARN, words, values)
    if config.watchdog.latency_budget_s and p50 > config.watchdog.latency_budget_s:
        return status(
            "pipeline", WARN, f"latency p50 {p50:.2f} s exceeds the budget of {config.watchdog.latency_budget_s:g} s", values
        )
    level, words = _support_words(latest.result)
    unchecked = () if latest.result.consistency is None else latest.result.consistency.unchecked
    return status("pipeline", level, "; ".join((words or "results are published", *unchecked)), values)


def _pose_figures(result: PerceptionResult) -> dict[str, float | str]:
    """How well each camera's pose agrees with the pictures, where that is known; where the support was seen, what is unknown."""
    found = result.consistency
    if found is None:
        return {}
    figures = {f"consistency_{name}": figure for name, figure in zip(found.cameras, found.figures) if figure is not None}
    seen = {} if found.support is None else {"support_seen_at_m": found.support.height_m}
    return {**figures, **seen, **({"not_checked": "; ".join(found.unchecked)} if found.unchecked else {})}


def _support_figures(result: PerceptionResult) -> dict[str, float]:
    """The support's height that was used, and how well it is known where it was found."""
    height_m, found = result.views.support_height_m, result.found_support
    used = {} if height_m is None else {"support_height_m": float(height_m)}
    return used | ({} if found is None else {"support_height_sigma_m": found.sigma_m})


def _support_words(result: PerceptionResult) -> tuple[bytes, str]:
    """What is to be said of the support's height where nobody gave it: OK where it was found, WARN where it was not."""
    if (found := result.found_support) is not None:
        return OK, f"results are published; workspace.support_height_m is not given, {found.height_m:.3f} m was found"
    if result.views.support_height_m is None:
        words = "the support's height is neither given nor found, so nothing keeps grasps off it: set workspace.support_height_m"
        return WARN, words
    return OK, ""


def _pose_doubt(result: PerceptionResult) -> str:
    """What the pictures say against the cameras' poses; empty where they agree or nothing is known."""
    found = result.consistency
    if found is None:
        return ""
    if found.contradiction:
        return f"the pictures contradict what was given, so nothing is metric: {found.contradiction}"
    return "; ".join(found.warnings)


def diagnostic_array(node_name: str, stamp: Any, parts: Sequence[DiagnosticStatus]) -> DiagnosticArray:
    """Put all parts under the name of the node.

    Args:
        node_name: Is put before the parts' names, in place.
        stamp: Of the header, builtin_interfaces Time.
        parts: Lines as `status` makes them.

    Returns:
        The message.
    """
    for part in parts:
        part.hardware_id = node_name
        part.name = f"{node_name}: {part.name}"
    message = DiagnosticArray(status=list(parts))
    message.header.stamp = stamp
    return message


def why_no_result(
    inputs: Sequence[CameraInput], problems: ProblemLog, sync: ViewSetSynchronizer, slop_s: float
) -> tuple[int, str]:
    """Tell a request that waited in vain: could not look, and why.

    Args:
        inputs: The cameras.
        problems: Why views did not become results.
        sync: What forms view sets.
        slop_s: `sync.slop_s`, within which stamps match.

    Returns:
        A number of ErrorCode, and words.
    """
    now_s = time.monotonic()
    if not inputs or not any(camera.counts["image"] for camera in inputs):
        topics = ", ".join(f"{camera.heard.image}{camera.elsewhere('image')}" for camera in inputs)
        return ErrorCode.NO_IMAGES, f"no image has arrived on {topics}"
    if all(camera.silence_s(now_s) > 2.0 for camera in inputs):
        silence = min(camera.silence_s(now_s) for camera in inputs)
        return ErrorCode.STALE_IMAGES, f"the last image arrived {silence:.1f} s ago"
    if not any(camera.counts["frame"] for camera in inputs) and all(c.waits_for_info and not c.counts["info"] for c in inputs):
        return ErrorCode.NO_CAMERA_INFO, f"no camera_info on {inputs[0].heard.info}{inputs[0].elsewhere('info')}"
    if old := [f"{camera.name}: {camera.info_problem}" for camera in inputs if camera.info_problem]:
        return ErrorCode.NO_CAMERA_INFO, "; ".join(old)
    order = (Problem.TF_FAILURE, Problem.ROBOT_UNKNOWN, Problem.NO_CAMERA_INFO, Problem.OUT_OF_MEMORY, Problem.INFERENCE_ERROR)
    for problem in (*order, Problem.STALE_IMAGES, Problem.NO_IMAGES):
        if recent := problems.recent(problem):
            return getattr(ErrorCode, problem.name, ErrorCode.TF_FAILURE), recent[0]
    if all(camera.unpaired_s(now_s) > UNPAIRED_S for camera in inputs):
        return ErrorCode.NO_IMAGES, UNPAIRED
    if sync.starved_s(now_s) > 1.0:
        return ErrorCode.TIMEOUT, sync_status(sync, slop_s).message
    return ErrorCode.TIMEOUT, "the view sets are still being processed"
