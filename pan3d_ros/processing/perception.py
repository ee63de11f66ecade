"""What lives from activate to deactivate: inputs, view sets, the worker and what it publishes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

from pan3d_core.config import PipelineConfig
from pan3d_core.runtime.failures import FAILURES, FailureLog, described
from pan3d_core.structures import CameraView
from pan3d_core.views.keyframes import KeyframeWindow
from pan3d_core.views.synchronizer import ViewSet, ViewSetSynchronizer
from pan3d_ros.inputs.camera_frames import CameraFrame
from pan3d_ros.inputs.camera_inputs import PARTS, CameraInput
from pan3d_ros.inputs.gate import DrainingTransforms, InputGate, Intake
from pan3d_ros.inputs.live_transforms import LiveTransforms
from pan3d_ros.inputs.robot_input import RobotInput
from pan3d_ros.messages.instances import instance_array, remembered_instances
from pan3d_ros.outputs.clock_status import clock_status
from pan3d_ros.outputs.diagnostics import camera_status, pipeline_status, sync_status, transform_status, why_no_result
from pan3d_ros.outputs.planning import KnownWorld
from pan3d_ros.outputs.publishers import ScenePublishers, stats_message
from pan3d_ros.outputs.result_store import Latencies, ResultStore, SceneResult
from pan3d_ros.outputs.robot_status import robot_status
from pan3d_ros.parameters.node_config import CameraConfig, NodeConfig
from pan3d_ros.platform.rclpy_private import HANDLE_IS_GONE
from pan3d_ros.processing.model_loading import LoadedModel
from pan3d_ros.processing.problem_log import Problem, ProblemLog
from pan3d_ros.processing.set_processing import ProcessedSet, SetProcessor, Tools, sync_rules
from pan3d_ros.processing.worker import LatestWorker
from pan3d_ros.refinement.views import ViewCollector
from pan3d_ros.services.gripper import gripper_status
from pan3d_ros.services.private.onlookers import Onlooker
from pan3d_ros.services.private.worlds import world_status
from pan3d_ros.services.reach import GraspReach

log = logging.getLogger("pan3d.ros.perception")
STOP_TIMEOUT_S = 30.0


class RepeatedFailure(RuntimeError):
    """View sets fail one after the other, which ends perception."""


@dataclass(frozen=True)
class Surroundings:
    """What a node lends to its perception for as long as it is active."""

    node: Node  # for topics, TF and the time
    gate: InputGate  # callback group of all inputs
    model: LoadedModel
    outputs: ScenePublishers
    store: ResultStore
    problems: ProblemLog
    onlookers: Sequence[Onlooker]


class Perception:
    """The active node. All callbacks of `inputs` run in the callback group of the surroundings; the worker has its own thread.

    Args:
        around: What the node lends.
        config: The node's settings.
        cameras: Settings of each of `config.cameras`.
        on_failure: Called in the worker's thread with what ended it.

    Raises:
        ValueError: The source of transforms cannot be used, see `LiveTransforms.of`.
    """

    def __init__(
        self,
        around: Surroundings,
        config: NodeConfig,
        cameras: Mapping[str, CameraConfig],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.latencies = Latencies()
        self.worked = False  # there was a result
        self.inputs: list[CameraInput] = []
        self._node, self._group, self._config, self._cameras = around.node, around.gate, config, cameras
        self._model, self._outputs = around.model, around.outputs
        self._store, self._problems, self._onlookers = around.store, around.problems, around.onlookers
        self._jumps = 0
        self._formed: tuple[ViewSet[CameraFrame], int] | None = None  # by what is being taken
        self._failures = FailureLog(log)
        self._publish_s = 0.0  # of the newest result; not in it, because others read it while it is published
        self._transforms = LiveTransforms.of(around.node, config)
        offsets = {name: int(camera.time_offset_s * 1e9) for name, camera in cameras.items()}
        self.sync: ViewSetSynchronizer[CameraFrame] = ViewSetSynchronizer(config.cameras, sync_rules(config), offsets)
        settings = self._model.pipeline.config
        self._window: KeyframeWindow[CameraView] = KeyframeWindow(settings.keyframe)
        self.seen = ViewCollector(config.refine, settings)
        source = self._transforms.source
        if self._transforms.pose_topics is not None and source is not None:
            source = DrainingTransforms(source, self._drain_poses)
        self._robot = RobotInput.of(around.node, config, self._model.pipeline, self._transforms.tf, around.gate)
        self.reach = GraspReach(config.arm, self._robot)
        tools = Tools(self._model.pipeline, source, self._window, self._problems, self._now_ns, robot=self._robot)
        self._processor = SetProcessor(config, tools, self._publish, self._restart, lambda: self.worker.stopping)
        self.worker: LatestWorker[tuple[ViewSet[CameraFrame], int]] = LatestWorker(
            self._process, on_failure, on_idle=lambda: self._intake.idle()
        )
        rate_hz, is_idle = (lambda: self._config.input.max_rate_hz), (lambda: self.worker.is_idle)
        self._intake = Intake(around.node, around.gate, self._drain, rate_hz, is_idle)

    def start(self) -> None:
        """Subscribe."""
        for onlooker in self._onlookers:
            onlooker.forget()
        self._outputs.announce(self._model.engine.facts.labels, self._model.name, self._config.reference_frame, self._now_ns())
        on_pose = self._transforms.pose_topics.add if self._transforms.pose_topics else None
        for name, camera in self._cameras.items():
            self.inputs.append(CameraInput(self._node, name, self._config.input, camera, self._take, on_pose, self._group))
        for each in self.inputs:
            each.drain_all = self._drain

    def stop(self) -> None:
        """Unsubscribe, end the worker, take markers off the screen."""
        for camera in self.inputs:
            camera.close()
        if self._robot is not None:
            self._robot.close()
        self._intake.close()
        self._transforms.close()
        if not self.worker.stop(STOP_TIMEOUT_S):
            log.error("the worker did not end within %.0f s", STOP_TIMEOUT_S)
        self._store.put(None)
        if self._node.context.ok():
            self._outputs.clear_markers()

    def _process(self, job: tuple[ViewSet[CameraFrame], int]) -> None:
        """One set. When too many fail one after the other, something is broken that the next set will not mend."""
        self._processor(*job)
        if (count := self._processor.failed_in_a_row) >= self._config.recovery.max_failures:
            error = self._processor.last_failure
            last = described(error) if error else "an unknown error"
            raise RepeatedFailure(f"{count} view sets in a row failed, the last by {last}") from error

    def apply(self, config: NodeConfig, pipeline_config: PipelineConfig) -> None:
        """Take over live parameters.

        Args:
            config: The node's.
            pipeline_config: The pipeline's, of which keyframes and the cloud's size count here.
        """
        self._config = config
        self._processor.reconfigure(config)
        self._outputs.reconfigure(config.publish, pipeline_config.cloud.max_points)
        self._window.reconfigure(pipeline_config.keyframe)
        self.reach.config = config.arm
        if self._robot is not None:
            self._robot.apply(config)

    def forget(self, reason: str) -> None:
        """The clock jumped: drop views, poses, tracks and the newest result."""
        self._forget_results()
        self.sync.reset(reason)
        for camera in self.inputs:
            camera.forget()
        if self._robot is not None:
            self._robot.clear()
        self._transforms.clear()
        self.worker.discard()

    def diagnose(self) -> list[DiagnosticStatus]:
        """Everything that can be said at the moment."""
        dead = self.sync.dead_cameras(time.monotonic())
        counts = {"sets": self.sync.delivered, "processed": self._processor.processed, "replaced": self.worker.replaced}
        busy_s, latest = self.worker.busy_s, self._store.latest
        posed_s = self._processor.posed_s
        known_s = None if posed_s is None else time.monotonic() - posed_s
        return [
            *[camera_status(camera, camera.name in dead, self._problems) for camera in self.inputs],
            clock_status(self._node),
            sync_status(self.sync, self._config.sync.slop_s),
            transform_status(self._problems, self._transforms.source is not None, known_s),
            robot_status(self._robot, self._model.pipeline.config.body, latest),
            *gripper_status(self.reach.gripper),
            world_status(self._model.pipeline.memory.world),
            self._outputs.planning.status(),
            *(line for onlooker in self._onlookers for line in onlooker.status(self._config)),
            pipeline_status(latest, self._publish_s, self.latencies, self._problems, busy_s, self._config, counts),
        ]

    def known(self) -> KnownWorld:
        """What planners may know of the world now."""
        pipeline = self._model.pipeline
        held = () if pipeline.body is None else pipeline.body.held
        memory = pipeline.memory
        return KnownWorld(self._store.latest, memory.world.objects, held, memory.space, memory.tracking.enabled, self._config)

    def refresh_qos(self) -> None:
        """Resubscribe where publishers have come that need it."""
        for camera in self.inputs:
            camera.refresh_qos()

    def why_no_result(self) -> tuple[int, str]:
        """Error code and words for a request that waited in vain."""
        return why_no_result(self.inputs, self._problems, self.sync, self._config.sync.slop_s)

    def _drain(self) -> None:
        """Take what waits for any camera; of several view sets in it the newest goes on. In the gate's callbacks only."""
        for part in PARTS:  # all poses first, as images are judged by them
            for camera in self.inputs:
                camera.drain(part)
        if self._robot is not None:
            self._robot.drain()
        formed, self._formed = self._formed, None
        if formed is not None:
            self.worker.offer(formed)
            self._intake.took()

    def _drain_poses(self) -> None:
        for camera in list(self.inputs):
            camera.drain("pose")

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _take(self, frame: CameraFrame) -> None:
        """A frame that fails here must not fail in the pairing that called, which could stay locked."""
        try:
            self._synchronize(frame)
        except FAILURES as error:
            self._failures.report(f"a frame of {frame.camera}", error)
            text = f"{frame.camera}: {described(error)}"
            self._problems.report(Problem.NO_IMAGES, f"{frame.camera}: frame", text, frame.camera)

    def _synchronize(self, frame: CameraFrame) -> None:
        epoch = self._processor.epoch  # before the frame counts: another thread may forget meanwhile
        view_set = self.sync.add(frame.camera, frame.stamp_ns, frame, time.monotonic())
        if self.sync.jumps > self._jumps:
            self._jumps = self.sync.jumps
            log.warning("stamps of %s jumped back: tracks and results are forgotten", frame.camera)
            self._forget_results()
            epoch = self._processor.epoch
        if view_set is not None:
            self._formed = view_set, epoch

    def _forget_results(self) -> None:
        self._processor.forget()
        self._store.put(None)

    def _restart(self) -> None:
        self.seen.clear()
        for onlooker in self._onlookers:
            onlooker.forget()

    def _publish(self, done: ProcessedSet) -> None:
        """A result that comes after the process was asked to end has nobody to be published to."""
        try:
            self._publish_result(done)
        except HANDLE_IS_GONE:
            if self._node.context.ok():
                raise
            log.info("a result came after the end of the process")

    def _publish_result(self, done: ProcessedSet) -> None:
        started_s = time.monotonic()
        self.seen.add(done.result)
        pipeline = self._model.pipeline
        known = remembered_instances(done.result, pipeline.memory.world, pipeline.config.tracking.max_lost_s)
        instances = instance_array(done.result, known)
        scene = SceneResult(done.sequence, done.result, instances, done.frame_ids, done.stages_s)
        self._publish_s = 0.0
        self._store.put(scene)
        self._outputs.publish(scene)
        self._outputs.planning.publish(replace(self.known(), scene=scene))
        self._publish_s = time.monotonic() - started_s
        latency_s = (self._now_ns() - scene.newest_ns) * 1e-9
        self.latencies.add(latency_s)
        stages_s = {**scene.stages_s, "publish": self._publish_s}
        message = stats_message(scene, stages_s, self._model.name, self._model.engine.facts.device, latency_s, self.latencies)
        message.sets_received, message.sets_processed = self.sync.delivered, self._processor.processed
        message.sets_replaced = self.worker.replaced
        drops = self._problems.totals()
        for (camera, reason), count in list(self.sync.drops.items()):
            drops[f"{camera}: {reason}"] = drops.get(f"{camera}: {reason}", 0) + count
        message.drop_reasons, message.drop_counts = list(drops), list(drops.values())
        self._outputs.stats.publish(message)
        self.worked = True
        for onlooker in self._onlookers:
            onlooker.saw(self._config, done.views, done.result.panoptic)
