"""What is done with one view set: transforms, conversion, keyframes, pipeline, tracks.

No ROS in here, and no clock of its own: the node's worker and the replay of a bag call the same object.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.runtime.failures import FAILURES, FailureLog, described
from pan3d_core.structures import CameraView, PerceptionResult
from pan3d_core.views.keyframes import KeyframeWindow
from pan3d_core.views.synchronizer import SyncRules, ViewSet
from pan3d_ros.inputs.camera_frames import CameraFrame
from pan3d_ros.inputs.robot_places import RobotSource
from pan3d_ros.inputs.transforms import TransformsSource, TransformUnavailable, wait_for_pose, wait_for_transform
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.processing.problem_log import Problem, ProblemLog
from pan3d_ros.processing.rate_limit import RateLimit
from pan3d_ros.processing.set_views import OF_CAMERAS, ViewRules, usable_views

log = logging.getLogger("pan3d.ros.processing")


@dataclass(frozen=True)
class Tools:
    """What a set passes through."""

    pipeline: PerceptionPipeline
    transforms: TransformsSource | None  # None: unposed cameras
    window: KeyframeWindow[CameraView]  # lets every set of a fixed rig pass
    problems: ProblemLog
    now_ns: Callable[[], int]  # on the clock of the stamps
    steady_s: Callable[[], float] = time.monotonic  # what `input.max_rate_hz` is measured with
    robot: RobotSource | None = None  # None: there is none in the pictures, or it is not described


@dataclass(frozen=True)
class ProcessedSet:
    """One view set that gave a result."""

    sequence: int  # 1, 2, ...
    result: PerceptionResult
    frame_ids: Mapping[str, str]  # camera -> optical frame
    stages_s: Mapping[str, float]  # stage -> seconds; "wait" = newest stamp to begin of work
    views: tuple[CameraView, ...] = ()  # that the network had, as the cameras gave them


class SetProcessor:
    """Call it with a view set. Bad views and sets are dropped and reported, and so is a set whose work fails by an exception of
    the families that data may cause; whoever calls decides by `failed_in_a_row` whether to go on.

    `deliver` takes every result, `restart` is called before the first set after `forget`, both in the calling thread.
    """

    def __init__(
        self,
        config: NodeConfig,
        tools: Tools,
        deliver: Callable[[ProcessedSet], None],
        restart: Callable[[], None],
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.processed = 0
        self.failed_in_a_row = 0  # sets since the last result
        self.last_failure: Exception | None = None
        self.posed_s: float | None = None  # when a camera's pose was found last, `time.monotonic()`
        self._failures = FailureLog(log)
        self._config = config
        self._tools, self._problems = tools, tools.problems
        self._deliver, self._restart, self._cancelled = deliver, restart, cancelled
        self._rate_limit = RateLimit()
        self._epoch, self._begun_epoch = 0, 0  # grows when time starts over; the one that the last set in work is of
        self._delivering = threading.Lock()  # nobody can forget between the last look at the epoch and the delivery

    def reconfigure(self, config: NodeConfig) -> None:
        """Go by these settings from the next set on."""
        self._config = config

    @property
    def epoch(self) -> int:
        """How often time has started over; a set is of the one in which its frames arrived."""
        return self._epoch

    def forget(self) -> None:
        """Time started over: once this returns no set of before is delivered, and the next one begins afresh. Called from other
        threads."""
        with self._delivering:
            self._epoch += 1

    def __call__(self, job: ViewSet[CameraFrame], epoch: int | None = None) -> None:
        """Process a set.

        Args:
            job: One frame of each camera.
            epoch: In which it was formed; None = in the present one.
        """
        try:
            self._work(job, self._epoch if epoch is None else epoch)
        except FAILURES as error:
            self.failed_in_a_row += 1
            self.last_failure = error
            self._failures.report("a view set", error)
            self._drop(Problem.INFERENCE_ERROR, f"failed: {type(error).__name__}", f"a view set failed: {described(error)}")

    def _work(self, job: ViewSet[CameraFrame], epoch: int) -> None:
        if epoch != self._epoch:
            self._problems.count("clock_jump")
            return
        if epoch != self._begun_epoch:
            self._begun_epoch = epoch
            self._tools.pipeline.reset()
            self._tools.window.reset()
            self._restart()
        if not self._due(job):
            return
        started_s = time.monotonic()
        stages_s = {"wait": max(0.0, (self._tools.now_ns() - job.newest_ns) * 1e-9)}
        views = self._views(job)
        if views is None:
            return
        stages_s["convert"] = time.monotonic() - started_s
        perceived = self._perceive(views)
        if perceived is None:
            return
        result, window = perceived
        self.processed += 1
        stages_s |= {stage: ms * 1e-3 for stage, ms in result.timings_ms.items() if stage != "total"}
        frame_ids = {frame.camera: frame.frame_id for frame in job.items}
        with self._delivering:
            if self._is_over():
                return
            self._deliver(ProcessedSet(self.processed, result, frame_ids, stages_s, window))
        self.failed_in_a_row, self.last_failure = 0, None
        self._problems.solved(Problem.INFERENCE_ERROR)

    def _is_over(self) -> bool:
        """Whether nobody wants the set in work any more."""
        return self._epoch != self._begun_epoch or self._cancelled()

    def _due(self, job: ViewSet[CameraFrame]) -> bool:
        age_s = (self._tools.now_ns() - job.newest_ns) * 1e-9
        limit_s = self._config.input.max_image_age_s
        if limit_s and age_s > limit_s:
            text = f"images are {age_s:.2f} s old, input.max_image_age_s is {limit_s:g}"
            self._drop(Problem.STALE_IMAGES, "stale", text)
            return False
        most_s = self._config.input.max_future_s
        if most_s and -age_s > most_s:
            text = f"images are {-age_s:.2f} s ahead of the clock, input.max_future_s is {most_s:g}; are the clocks one?"
            self._drop(Problem.STALE_IMAGES, "future", text)
            return False
        if not self._rate_limit.take(self._tools.steady_s(), self._config.input.max_rate_hz):
            self._problems.count("rate_limit")
            return False
        self._problems.solved(Problem.STALE_IMAGES)
        return True

    def _drop(self, problem: Problem, reason: str, message: str, camera: str = "") -> None:
        if self._problems.report(problem, reason, message, camera):
            log.warning("dropped (%s): %s", reason, message)

    def _views(self, job: ViewSet[CameraFrame]) -> list[CameraView] | None:
        """The usable views; None when they are fewer than `sync.min_cameras`. A camera that cannot be used harms no other."""
        pipeline = self._tools.pipeline
        config = pipeline.config
        most_m = config.align.max_scene_depth_m
        rules = ViewRules(self._config.reference_frame, pipeline.engine.facts.preprocess, most_m, config.limits)
        views, faults = usable_views(job.items, self._cam_from_world, rules, self._failures)
        for frame in job.items:
            fault = faults.get(frame.camera)
            if fault is not None:
                self._drop(fault.problem, f"{frame.camera}: {fault.part}", fault.message, frame.camera)
            solved = [problem for problem in OF_CAMERAS if fault is None or problem != fault.problem]
            self._problems.solved(*solved, camera=frame.camera)
        if self._tools.robot is not None and config.body.enabled:
            views = self._with_links(views, self._tools.robot)
        return views if len(views) >= max(1, self._config.sync.min_cameras) else None

    def _with_links(self, views: list[CameraView], robot: RobotSource) -> list[CameraView]:
        """The views with the place of the robot at their times; without those of which it is not known, unless that is wanted."""
        config, known = self._config.robot, []
        for view in views:
            lookup = partial(robot.links_at, view.stamp_ns)
            try:
                known.append(replace(view, world_from_links=wait_for_pose(lookup, config.timeout_s, self._is_over)))
            except TransformUnavailable as error:
                self._drop(Problem.ROBOT_UNKNOWN, f"{view.camera}: robot", f"{view.camera}: {error}", view.camera)
                known += [] if config.required else [view]
            else:
                self._problems.solved(Problem.ROBOT_UNKNOWN, camera=view.camera)
        return known

    def _cam_from_world(self, frame: CameraFrame) -> Tensor | None:
        """(4, 4) metres, None where cameras are unposed; waits for it."""
        source, timeout_s = self._tools.transforms, self._config.transforms.timeout_s
        if source is None:
            return None
        found = wait_for_transform(source, frame.camera, frame.frame_id, frame.stamp_ns, timeout_s, self._is_over)
        self.posed_s = time.monotonic()
        return found

    def _perceive(self, views: list[CameraView]) -> tuple[PerceptionResult, tuple[CameraView, ...]] | None:
        """The result and the views that it is of; None, reported, when these views give no result."""
        try:
            window = self._tools.window.add(views)
            if window is None:
                self._problems.count("waiting_for_keyframes")
                return None
            result = self._tools.pipeline.process(window)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            self._drop(Problem.OUT_OF_MEMORY, "out_of_memory", f"use fewer cameras or a smaller model: {error}")
            return None
        except ValueError as error:
            self._drop(Problem.INFERENCE_ERROR, "rejected_by_pipeline", str(error))
            return None
        self._problems.solved(Problem.OUT_OF_MEMORY)
        return result, tuple(window)


def sync_rules(config: NodeConfig) -> SyncRules:
    """The synchroniser's rules from the parameters."""
    sync = config.sync
    return SyncRules(
        slop_ns=int(sync.slop_s * 1e9),
        queue=sync.queue,
        min_cameras=sync.min_cameras,
        policy=sync.policy,
        camera_timeout_s=sync.camera_timeout_s,
    )
