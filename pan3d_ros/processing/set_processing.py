"""What is done with one view set: transforms, conversion, keyframes, pipeline, tracks.

No ROS in here, and no clock of its own: the node's worker and the replay of a bag call the same object.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.runtime.failures import FAILURES, FailureLog, described
from pan3d_core.structures import CameraView, PerceptionResult
from pan3d_core.views.keyframes import KeyframeWindow
from pan3d_core.views.preprocessing import require_usable
from pan3d_core.views.synchronizer import SyncRules, ViewSet
from pan3d_ros.inputs.camera_frames import CameraFrame
from pan3d_ros.inputs.transforms import TransformsSource, TransformUnavailable, wait_for_transform
from pan3d_ros.messages.calibration import CalibrationError
from pan3d_ros.messages.cameras import to_camera_view
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.processing.problem_log import Problem, ProblemLog
from pan3d_ros.processing.rate_limit import RateLimit

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


@dataclass(frozen=True)
class ProcessedSet:
    """One view set that gave a result."""

    sequence: int  # 1, 2, ...
    result: PerceptionResult
    frame_ids: Mapping[str, str]  # camera -> optical frame
    stages_s: Mapping[str, float]  # stage -> seconds; "wait" = newest stamp to begin of work


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
        self._failures = FailureLog(log)
        self._config = config
        self._tools, self._problems = tools, tools.problems
        self._deliver, self._restart, self._cancelled = deliver, restart, cancelled
        self._rate_limit = RateLimit()
        self._forget = False

    def reconfigure(self, config: NodeConfig) -> None:
        """Go by these settings from the next set on."""
        self._config = config

    def forget(self) -> None:
        """Before the next set drop all that depends on earlier ones; called from other threads after a clock jump."""
        self._forget = True

    def __call__(self, job: ViewSet[CameraFrame]) -> None:
        try:
            self._work(job)
        except FAILURES as error:
            self.failed_in_a_row += 1
            self.last_failure = error
            self._failures.report("a view set", error)
            self._drop(Problem.INFERENCE_ERROR, f"failed: {type(error).__name__}", f"a view set failed: {described(error)}")

    def _work(self, job: ViewSet[CameraFrame]) -> None:
        if self._forget:
            self._forget = False
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
        result = self._perceive(views)
        if result is None:
            return
        self.processed += 1
        stages_s |= {stage: ms * 1e-3 for stage, ms in result.timings_ms.items() if stage != "total"}
        if self._forget or self._cancelled():
            return
        frame_ids = {frame.camera: frame.frame_id for frame in job.items}
        self._deliver(ProcessedSet(self.processed, result, frame_ids, stages_s))
        self.failed_in_a_row, self.last_failure = 0, None
        self._problems.solved(Problem.INFERENCE_ERROR)

    def _due(self, job: ViewSet[CameraFrame]) -> bool:
        age_s = (self._tools.now_ns() - job.newest_ns) * 1e-9
        limit_s = self._config.input.max_image_age_s
        if limit_s and age_s > limit_s:
            text = f"images are {age_s:.2f} s old, input.max_image_age_s is {limit_s:g}"
            self._drop(Problem.STALE_IMAGES, "stale", text)
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
        views, failed = [], {}
        for frame in job.items:
            try:
                views.append(self._view(frame))
            except TransformUnavailable as error:
                failed[frame.camera] = Problem.TF_FAILURE, "transform", str(error)
            except CalibrationError as error:
                failed[frame.camera] = Problem.NO_CAMERA_INFO, "camera_info", f"{frame.camera}: {error}"
            except ValueError as error:
                failed[frame.camera] = Problem.NO_IMAGES, "image", f"{frame.camera}: {error}"
            except FAILURES as error:  # a message that no check expected
                self._failures.report(f"a view of {frame.camera}", error)
                failed[frame.camera] = Problem.NO_IMAGES, "image", f"{frame.camera}: {described(error)}"
        for camera, message in far_away(views, self._tools.pipeline.config.align.max_scene_depth_m).items():
            failed[camera] = Problem.TF_FAILURE, "transform", message
        for frame in job.items:
            problem, reason, message = failed.get(frame.camera, (None, "", ""))
            if problem is not None:
                self._drop(problem, f"{frame.camera}: {reason}", message, frame.camera)
            solved = [item for item in (Problem.TF_FAILURE, Problem.NO_CAMERA_INFO, Problem.NO_IMAGES) if item != problem]
            self._problems.solved(*solved, camera=frame.camera)
        views = [view for view in views if view.camera not in failed]
        return views if len(views) >= max(1, self._config.sync.min_cameras) else None

    def _view(self, frame: CameraFrame) -> CameraView:
        cam_from_world = None
        if self._tools.transforms is not None:
            cam_from_world = wait_for_transform(
                self._tools.transforms,
                frame.camera,
                frame.frame_id,
                frame.stamp_ns,
                self._config.transforms.timeout_s,
                self._cancelled,
            )
        view = to_camera_view(
            frame.image,
            frame.info,
            frame.depth,
            cam_from_world,
            camera=frame.camera,
            world_frame_id=self._config.reference_frame,
            rectified=frame.config.rectified,
        )
        require_usable(view, self._tools.pipeline.engine.facts.preprocess)
        return view

    def _perceive(self, views: list[CameraView]) -> PerceptionResult | None:
        """None, reported, when these views give no result."""
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
        return result


def far_away(views: Sequence[CameraView], most_m: float) -> dict[str, str]:
    """Find the cameras whose poses cannot be metres because the others stand elsewhere.

    They are measured from the camera that most others are near to, of several the one nearest to the reference frame.

    Args:
        views: Of one set.
        most_m: Largest distance of two cameras.

    Returns:
        Camera -> what is wrong.
    """
    placed = {view.camera: invert_rigid(view.cam_from_world)[:3, 3] for view in views if view.cam_from_world is not None}
    if len(placed) < 2:
        return {}

    def loneliness(camera: str) -> tuple[int, float]:
        others = [float((place - placed[camera]).norm()) > most_m for place in placed.values()]
        return sum(others), float(placed[camera].norm())

    middle = min(placed, key=loneliness)
    distances_m = {camera: float((place - placed[middle]).norm()) for camera, place in placed.items()}
    return {
        camera: f"{camera}: expected a pose within align.max_scene_depth_m = {most_m:g} m of camera {middle}, got"
        f" {distance:.4g} m; are its poses in millimetres?"
        for camera, distance in distances_m.items()
        if distance > most_m
    }


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
