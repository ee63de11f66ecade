"""What lives from activate to deactivate: inputs, view sets, the worker and what it publishes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.exceptions import InvalidHandle
from rclpy.impl.implementation_singleton import rclpy_implementation

from pan3d_core.config import PipelineConfig
from pan3d_core.views.keyframes import KeyframeWindow
from pan3d_core.views.synchronizer import ViewSet, ViewSetSynchronizer
from pan3d_ros.inputs.camera_frames import CameraFrame
from pan3d_ros.inputs.camera_inputs import CameraInput
from pan3d_ros.inputs.transforms import FirstKnown, PoseTopicTransforms, StaticTransforms, TfTransforms, TransformsSource
from pan3d_ros.messages.instances import Sightings, instance_array
from pan3d_ros.outputs.diagnostics import camera_status, pipeline_status, sync_status, transform_status, why_no_result
from pan3d_ros.outputs.publishers import stats_message
from pan3d_ros.outputs.result_store import Latencies, SceneResult
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.platform.stand_ins import tf2_ros
from pan3d_ros.processing.set_processing import ProcessedSet, SetProcessor, Tools, sync_rules
from pan3d_ros.processing.worker import LatestWorker
from pan3d_ros.refinement.views import ViewCollector

if TYPE_CHECKING:
    from pan3d_ros.perception_node import PerceptionNode

log = logging.getLogger("pan3d.ros.perception")
RCLError = rclpy_implementation.RCLError
STOP_TIMEOUT_S = 30.0


class Perception:
    """The active node. All callbacks of `inputs` run in the node's `data_group`; the worker has its own thread."""

    def __init__(self, node: PerceptionNode, config: NodeConfig, on_failure: Callable[[Exception], None]) -> None:
        self.latencies = Latencies()
        self.inputs: list[CameraInput] = []
        self._node, self._config = node, config
        self._model, self._outputs = node.model, node.outputs
        self._store, self._problems = node.store, node.problems
        self._jumps = 0
        self._pose_topics: PoseTopicTransforms | None = None
        self._tf: TfTransforms | None = None
        self._transforms = self._make_transforms()
        self._cameras = {name: node.parameters.camera(name) for name in config.cameras}
        offsets = {name: int(camera.time_offset_s * 1e9) for name, camera in self._cameras.items()}
        self.sync: ViewSetSynchronizer[CameraFrame] = ViewSetSynchronizer(config.cameras, sync_rules(config), offsets)
        settings = self._model.pipeline.config
        self._window = KeyframeWindow(settings.keyframe)
        self._sightings = Sightings(int(settings.tracking.max_lost_s * 1e9))
        self.seen = ViewCollector(config.refine, settings)
        tools = Tools(self._model.pipeline, self._transforms, self._window, self._problems, node.now_ns)
        self._processor = SetProcessor(config, tools, self._publish, self._restart, lambda: self.worker.stopping)
        self.worker: LatestWorker[ViewSet[CameraFrame]] = LatestWorker(self._process, on_failure)

    def start(self) -> None:
        """Subscribe."""
        self._outputs.announce(self._model.engine.labels, self._model.name, self._config.reference_frame, self._node.now_ns())
        on_pose = self._pose_topics.add if self._pose_topics else None
        for name, camera in self._cameras.items():
            self.inputs.append(
                CameraInput(self._node, name, self._config.input, camera, self._take, on_pose, self._node.data_group)
            )

    def stop(self) -> None:
        """Unsubscribe, end the worker, take markers off the screen."""
        for camera in self.inputs:
            camera.close()
        if self._tf is not None:
            self._tf.close()
        if not self.worker.stop(STOP_TIMEOUT_S):
            log.error("the worker did not end within %.0f s", STOP_TIMEOUT_S)
        self._store.put(None)
        if self._node.context.ok():
            self._outputs.clear_markers()

    def _process(self, views: ViewSet[CameraFrame]) -> None:
        """One set; one that was under way when the process was asked to end has nobody to be published to."""
        try:
            self._processor(views)
        except (RCLError, InvalidHandle):
            if self._node.context.ok():
                raise
            log.info("a result came after the end of the process")

    def apply(self, config: NodeConfig, pipeline_config: PipelineConfig) -> None:
        """Take over live parameters."""
        self._config = self._processor.config = config
        self._outputs.config = config.publish
        self._outputs.max_points = pipeline_config.cloud.max_points
        self._window.config = pipeline_config.keyframe

    def forget(self, reason: str) -> None:
        """The clock jumped: drop views, poses, tracks and the newest result."""
        self.sync.reset(reason)
        if self._transforms is not None:
            self._transforms.clear()
        self.worker.discard()
        self._forget_results()

    def diagnose(self) -> list[DiagnosticStatus]:
        """Everything that can be said at the moment."""
        dead = self.sync.dead_cameras(time.monotonic())
        counts = {"sets": self.sync.delivered, "processed": self._processor.processed, "replaced": self.worker.replaced}
        busy_s = self.worker.busy_s
        return [
            *[camera_status(camera, camera.name in dead, self._problems) for camera in self.inputs],
            sync_status(self.sync, self._config.sync.slop_s),
            transform_status(self._problems),
            pipeline_status(self._store.latest, self.latencies, self._problems, busy_s, self._config, counts),
        ]

    def refresh_qos(self) -> None:
        """Resubscribe where publishers have come that need it."""
        for camera in self.inputs:
            camera.refresh_qos()

    def why_no_result(self) -> tuple[int, str]:
        """Error code and words for a request that waited in vain."""
        return why_no_result(self.inputs, self._problems, self.sync, self._config.sync.slop_s)

    def _take(self, frame: CameraFrame) -> None:
        view_set = self.sync.add(frame.camera, frame.stamp_ns, frame, time.monotonic())
        if self.sync.jumps > self._jumps:
            self._jumps = self.sync.jumps
            log.warning("stamps of %s jumped back: tracks and results are forgotten", frame.camera)
            self._forget_results()
        if view_set is not None:
            self.worker.offer(view_set)

    def _forget_results(self) -> None:
        self._processor.forget()
        self._store.put(None)

    def _restart(self) -> None:
        self._sightings.clear()
        self.seen.clear()

    def _publish(self, done: ProcessedSet) -> None:
        started_s = time.monotonic()
        self.seen.add(done.result)
        instances = instance_array(done.result, self._sightings.update(done.result))
        done.stages_s["publish"] = 0.0  # filled in below; other threads read this dict meanwhile
        scene = SceneResult(done.sequence, done.result, instances, done.frame_ids, done.stages_s)
        self._store.put(scene)
        self._outputs.publish(scene)
        scene.stages_s["publish"] = time.monotonic() - started_s
        latency_s = (self._node.now_ns() - scene.newest_ns) * 1e-9
        self.latencies.add(latency_s)
        message = stats_message(scene, self._model.name, self._model.device, latency_s, self.latencies)
        message.sets_received, message.sets_processed = self.sync.delivered, self._processor.processed
        message.sets_replaced = self.worker.replaced
        drops = self._problems.totals()
        for (camera, reason), count in list(self.sync.drops.items()):
            drops[f"{camera}: {reason}"] = drops.get(f"{camera}: {reason}", 0) + count
        message.drop_reasons, message.drop_counts = list(drops), list(drops.values())
        self._outputs.stats.publish(message)

    def _make_transforms(self) -> TransformsSource | None:
        config = self._config.transforms
        wanted = [config.source]
        if config.source == "auto":
            wanted = (["static"] if config.static_file else []) + ["pose_topics"] + (["tf"] if tf2_ros else [])
        sources: list[TransformsSource] = []
        if "static" in wanted:
            if not config.static_file:
                raise ValueError("transforms.static_file: expected a file for the source 'static', got none")
            sources.append(StaticTransforms(config.static_file, self._config.reference_frame))
        if "pose_topics" in wanted:
            self._pose_topics = PoseTopicTransforms(self._config.cameras, self._config.reference_frame)
            sources.append(self._pose_topics)
        if "tf" in wanted:
            self._tf = TfTransforms(self._node, self._config.reference_frame)
            sources.append(self._tf)
        return FirstKnown(sources) if sources else None
