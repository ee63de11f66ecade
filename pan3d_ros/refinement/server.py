"""The action `refine_scene`: what perception has seen becomes one panoptic map, in a process beside it."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pan3d_interfaces.action import RefineScene
from pan3d_interfaces.msg import ErrorCode
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from pan3d_core.memory.place_map import RefinedMap, read_map
from pan3d_ros.parameters.declaration import NodeParameters
from pan3d_ros.parameters.node_config import NodeConfig, RefineConfig
from pan3d_ros.processing.model_loading import ModelHolder
from pan3d_ros.refinement.folder import FolderProblem, RefinementFolder, RefinementJob, expanded
from pan3d_ros.refinement.runner import ProcessEnded, RefinementRunner
from pan3d_ros.refinement.views import UnderstoodView, ViewCollector
from pan3d_ros.services.answers import Answers
from pan3d_ros.services.requests import RequestError

log = logging.getLogger("pan3d.ros.refinement")
POLL_S = 0.1  # how soon a cancel is seen
CLOSE_TIMEOUT_S = 10.0
STOPPED = {
    "minutes": "as the minutes were over before the steps",
    "settled": "as the losses had stopped falling (refine.stop_below)",
}
_FAILURES = {
    "memory": ErrorCode.OUT_OF_MEMORY,
    "rejected": ErrorCode.INFERENCE_ERROR,
    "request": ErrorCode.INVALID_REQUEST,
    "busy": ErrorCode.BUSY,
    "disk": ErrorCode.INFERENCE_ERROR,
}


@dataclass(frozen=True)
class RefinementSources:
    """What a node lends to its refinements; asked anew for every goal."""

    parameters: NodeParameters
    models: ModelHolder  # take the map that a goal wants loaded
    answers: Answers  # know why there is no result
    seen: Callable[[], ViewCollector | None]  # None while the node is not active


class RefinementServer:
    """The action refine_scene; one refinement at a time.

    A running one occupies a thread of the executor, which only waits: the work is done by a process of low priority. It
    outlives a deactivation of the node, as its views have been collected before.

    Args:
        node: That offers the action.
        sources: What refinements take from it, and where a map goes.
    """

    names = ("refine_scene/_action/send_goal",)  # as it appears in the graph, behind a prefix

    def __init__(self, node: Node, sources: RefinementSources) -> None:
        self._node, self._sources = node, sources
        self._running = threading.Lock()
        self._closing = False
        self._step = 0

    def offer(self, prefix: str) -> Callable[[], None]:
        """Offer it.

        Args:
            prefix: Before its name, as "~/".

        Returns:
            What destroys it.
        """
        server = ActionServer(
            self._node,
            RefineScene,
            prefix + "refine_scene",
            execute_callback=self._execute,
            goal_callback=lambda _: GoalResponse.ACCEPT,  # a refused goal could not say why
            cancel_callback=lambda _: CancelResponse.ACCEPT,
            callback_group=ReentrantCallbackGroup(),
        )
        return server.destroy

    def close(self) -> None:
        """End a refinement that runs."""
        self._closing = True
        if self._running.acquire(timeout=CLOSE_TIMEOUT_S):
            self._running.release()

    def _execute(self, goal: Any) -> RefineScene.Result:
        result = RefineScene.Result()
        if not self._running.acquire(blocking=False):
            result.error_code = ErrorCode.BUSY
            result.message = f"another refinement is at step {self._step}; wait for it, or cancel it"
            goal.abort()
            return result
        try:
            self._step = 0
            self._refine(goal, result)
        except RequestError as error:
            result.success, result.error_code, result.message = False, error.code, str(error)
        except Exception as error:  # noqa: BLE001 (a fault here must not end the executor, and with it perception)
            log.exception("a refinement failed")
            result.success, result.error_code = False, ErrorCode.INFERENCE_ERROR
            result.message = f"{type(error).__name__}: {error}"
        finally:
            self._running.release()
        log.info("refine_scene: %s", result.message)
        if result.error_code == ErrorCode.CANCELED:
            goal.canceled()
        elif result.success:
            goal.succeed()
        elif not self._closing:
            goal.abort()
        return result

    def _refine(self, goal: Any, result: RefineScene.Result) -> None:
        request, settings = goal.request, self._sources.parameters.read()[0]
        check_goal(request)
        if request.load and not self._sources.parameters.configured:
            raise RequestError(ErrorCode.NOT_ACTIVE, f"load: {self._sources.answers.situation.inactive_reason}")
        folder = self._folder(request, settings.refine)
        try:
            folder.write_job(job_of(request, settings))
            done = self._follow(goal, result, RefinementRunner(folder.path, settings.refine.threads))
        except RequestError as error:
            raise RequestError(error.code, f"{error}; {folder.give_up()}") from error
        except BaseException:
            folder.give_up()
            raise
        self._conclude(request, result, folder.scene_file, done)

    def _folder(self, request: Any, config: RefineConfig) -> RefinementFolder:
        """With the views that are to be refined in it: those that have been collected, or those of an earlier goal."""
        try:
            if request.resume:
                return RefinementFolder.left(config.folder, request.output)
            views = self._views(config)
            folder = RefinementFolder.made(config.folder, request.output)
        except FolderProblem as error:
            raise RequestError(ErrorCode.INVALID_REQUEST, str(error)) from error
        try:
            folder.write_views(views)
        except BaseException:
            folder.give_up()
            raise
        return folder

    def _follow(self, goal: Any, result: RefineScene.Result, runner: RefinementRunner) -> dict[str, Any]:
        """Feedback until the process is done; its last report."""
        try:
            while True:
                if goal.is_cancel_requested:
                    raise RequestError(ErrorCode.CANCELED, f"cancelled by the caller after {result.steps} steps")
                if self._closing:
                    raise RequestError(ErrorCode.NOT_ACTIVE, "the node ends")
                report = runner.next(POLL_S)
                if report is None:
                    continue
                if "failed" in report:
                    raise RequestError(_FAILURES[report["failed"]], report["message"])
                if "done" in report:
                    return report
                result.views = report.get("views", result.views)
                self._step = result.steps = report.get("step", result.steps)
                result.seconds = report.get("seconds", result.seconds)
                goal.publish_feedback(feedback(report, result))
        except ProcessEnded as error:
            raise RequestError(ErrorCode.INFERENCE_ERROR, str(error)) from error
        finally:
            runner.stop()

    def _conclude(self, request: Any, result: RefineScene.Result, path: Path, done: dict[str, Any]) -> None:
        objects = {int(key): name for key, name in done["done"].items()}
        result.path, result.steps, result.seconds = str(path), done["step"], done["seconds"]
        result.stopped_early = bool(done["stopped"])
        result.object_ids, result.object_names = list(objects), list(objects.values())
        after = f"after {result.steps} steps" + (f", {STOPPED[done['stopped']]}" if done["stopped"] else "")
        if not objects:
            text = f"no object is left {after}; a resume with more may help. See {path}"
            raise RequestError(ErrorCode.NOT_FOUND, text)
        if request.load:
            self._sources.models.use_map(read_map(path, self._sources.parameters.read()[0].reference_frame))
            result.loaded = True
        result.success, result.error_code = True, ErrorCode.OK
        result.message = f"{len(objects)} objects of {result.views} views {after}: {path}"

    def _views(self, config: RefineConfig) -> tuple[UnderstoodView, ...]:
        """The collected views; `RequestError` says what is wrong with them."""
        seen, answers = self._sources.seen(), self._sources.answers
        if seen is None:
            raise RequestError(ErrorCode.NOT_ACTIVE, answers.situation.inactive_reason)
        if blind := answers.situation.blind_reason:
            raise RequestError(ErrorCode.INVALID_REQUEST, blind)
        views = seen.views()
        if not views and (refused := seen.refused):
            raise RequestError(getattr(ErrorCode, refused[0]), refused[1])
        if not views:
            code, why = answers.why_no_result()
            raise RequestError(code, f"there is no result yet: {why}")
        if len(views) < config.min_views:
            text = f"expected views from at least refine.min_views = {config.min_views} places, got {len(views)}; move a camera"
            raise RequestError(ErrorCode.TOO_FEW_VIEWS, text)
        if not any(bool((view.instance_id > 0).any()) for view in views):
            raise RequestError(ErrorCode.NOT_FOUND, f"none of the {len(views)} views shows an object")
        return views


def configured_map(config: NodeConfig) -> RefinedMap | None:
    """Read the map that the parameters name, if they do. Raises `OSError` or `ValueError` for one that cannot be used."""
    path = expanded("refine.map_file", config.refine.map_file)
    return read_map(path, config.reference_frame) if config.refine.map_file else None


def check_goal(request: Any) -> None:
    """Raise `RequestError` for what is wrong whatever has been seen."""
    if not math.isfinite(request.minutes) or request.minutes < 0:
        raise RequestError(ErrorCode.INVALID_REQUEST, f"minutes: expected a number of at least 0, got {request.minutes}")
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}", request.output):
        text = f"output: expected 1 to 100 letters, digits, - _ . and no . first, got '{request.output}'"
        raise RequestError(ErrorCode.INVALID_REQUEST, text)


def job_of(request: Any, settings: NodeConfig) -> RefinementJob:
    """Turn a goal into what the process is to do.

    Args:
        request: RefineScene goal; without a limit of its own it has that of the parameters.
        settings: The node's.

    Returns:
        The job.
    """
    config = settings.refine
    return RefinementJob(
        resume=request.resume,
        stop_below=config.stop_below,
        checkpoint_every=config.checkpoint_steps,
        steps=int(request.steps if request.steps or request.minutes else config.steps),
        minutes=float(request.minutes),
        world_frame_id=settings.reference_frame,
        device=config.device,
        threads=config.threads,
        niceness=config.niceness,
    )


def feedback(report: dict[str, Any], result: RefineScene.Result) -> RefineScene.Feedback:
    """Turn a report of the process into feedback.

    Args:
        report: As `refine` gives it.
        result: What has been reached so far.

    Returns:
        Progress 0..1, 1 while the file is written.
    """
    status, stopped = report.get("status") or f"step {result.steps}, loss {report['loss']:.3f}", report.get("stopped")
    if stopped:
        status = f"{STOPPED[stopped]}; {status}"
    progress = 1.0 if report["stage"] == RefineScene.Feedback.WRITE else report.get("share", 0.0)
    return RefineScene.Feedback(
        stage=report["stage"],
        step=result.steps,
        progress=float(progress),
        loss=float(report.get("loss", 0.0)),
        seconds=float(result.seconds),
        stopped_early=bool(stopped),
        status=status,
    )
