"""Everything that is published about a result."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from copy import copy

import torch
from pan3d_interfaces.msg import InstanceArray, LabelInfo, PipelineStats
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from pan3d_core.labels import LabelSpace
from pan3d_core.pictures.overlays import to_picture
from pan3d_core.structures import PerceptionResult
from pan3d_ros.messages.clouds import by_class, cloud_message, cloud_records
from pan3d_ros.messages.instances import depth_image, detections, id_image, label_info, vision_info
from pan3d_ros.messages.markers import MarkerDrawing
from pan3d_ros.messages.parts import header, image_message, info_message
from pan3d_ros.outputs.planning import PlanningOutputs
from pan3d_ros.outputs.result_store import Latencies, SceneResult
from pan3d_ros.parameters.node_config import PublishConfig
from pan3d_ros.platform.rclpy_private import qos_overrides
from pan3d_ros.platform.stand_ins import vision_msgs


def profile(depth: int, *, reliable: bool = True, latched: bool = False) -> QoSProfile:
    """Make a keep-last profile.

    Args:
        depth: How many messages are kept.
        reliable: Else best effort.
        latched: Whether late subscribers get the last messages.

    Returns:
        The profile.
    """
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


class ScenePublishers:
    """Publishers of the node; nothing is converted that nobody listens to."""

    def __init__(self, node: LifecycleNode, cameras: Sequence[str], config: PublishConfig, max_points: int) -> None:
        self._config, self._max_points = config, max_points
        self._drawing = MarkerDrawing()
        self._labels: LabelSpace | None = None
        self._model = ""
        self._last_publish_s = time.monotonic()
        self._node = node
        large = profile(1, reliable=config.qos == "reliable")

        def make(kind: type, topic: str, qos: QoSProfile) -> LifecyclePublisher:
            own = copy(qos)  # overrides are written into it
            overrides = qos_overrides(node, topic, "publisher")
            return node.create_lifecycle_publisher(kind, topic, own, qos_overriding_options=overrides)

        self.points = make(PointCloud2, "~/points", large)
        self.semantic_points = make(PointCloud2, "~/semantic_points", large)
        self.obstacle_points = make(PointCloud2, "~/obstacle_points", large)
        self.instances = make(InstanceArray, "~/instances", profile(5))
        self.markers = make(MarkerArray, "~/markers", profile(5))
        self.label_info = make(LabelInfo, "~/label_info", profile(1, latched=True))
        self.stats = make(PipelineStats, "~/stats", profile(5))
        self.detections = make(vision_msgs.Detection3DArray, "~/detections", profile(5)) if vision_msgs else None
        kinds = {"depth": Image, "camera_info": CameraInfo, "image": Image, "instance_image": Image}
        # The standard one beside our own: where the names of the classes of ~/detections are.
        self.vision_info = make(vision_msgs.VisionInfo, "~/vision_info", profile(1, latched=True)) if vision_msgs else None
        self._images = {
            camera: {kind: make(message, f"~/{camera}/{kind}", large) for kind, message in kinds.items()} for camera in cameras
        }
        self.planning = PlanningOutputs(cameras, make, profile(10), large)

    def close(self) -> None:
        """Destroy all publishers."""
        clouds = [self.points, self.semantic_points, self.obstacle_points]
        fixed = [*clouds, self.instances, self.markers, self.label_info, self.stats, self.detections, self.vision_info]
        images = [publisher for outputs in self._images.values() for publisher in outputs.values()]
        for publisher in (*fixed, *images, *self.planning.publishers):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)

    def reconfigure(self, config: PublishConfig, max_points: int) -> None:
        """Publish by other settings from the next result on; called from any thread.

        Args:
            config: What is published.
            max_points: Of a cloud; 0 = all.
        """
        self._config, self._max_points = config, max_points

    def announce(self, labels: LabelSpace, model: str, frame_id: str, stamp_ns: int) -> None:
        """Publish names and colours of the labels (latched) and clear old markers.

        Args:
            labels: The classes in force.
            model: Name of the engine.
            frame_id: Of the header.
            stamp_ns: Of the header.
        """
        self._model = model
        self._announce_labels(labels, frame_id, stamp_ns)
        self.markers.publish(self._drawing.clear())

    def _announce_labels(self, labels: LabelSpace, frame_id: str, stamp_ns: int) -> None:
        self._labels = labels
        self.label_info.publish(label_info(labels, self._model, frame_id, stamp_ns))
        if self.vision_info is not None:
            self.vision_info.publish(vision_info(self._model, self.label_info.topic_name, frame_id, stamp_ns))

    def clear_markers(self) -> None:
        """Take everything off the screen."""
        self.markers.publish(self._drawing.clear())

    def publish(self, scene: SceneResult) -> None:
        """Publish a result: instances first, they are small and awaited."""
        config, cycle_s = self._config, time.monotonic() - self._last_publish_s
        self._last_publish_s = time.monotonic()
        panoptic = scene.result.panoptic
        if panoptic.labels != self._labels:  # other classes were set: numbers mean other names from here on
            self._announce_labels(panoptic.labels, panoptic.world_frame_id, scene.newest_ns)
        self.instances.publish(scene.instances)
        if self.detections is not None and config.detections and wanted(self.detections):
            self.detections.publish(detections(scene.instances))
        if config.markers and wanted(self.markers):
            segments = {segment.instance_id: segment for segment in panoptic.segments}
            lifetime_s = config.marker_lifetime_s or max(2 * cycle_s, 1.0)
            self.markers.publish(self._drawing.draw(scene.instances, segments, lifetime_s, scene.result.reconstruction))
        self._publish_clouds(scene)
        self._publish_images(scene)

    def _publish_clouds(self, scene: SceneResult) -> None:
        config, panoptic, message_header = self._config, scene.result.panoptic, scene.instances.header
        colored, semantic = config.cloud and wanted(self.points), config.semantic_cloud and wanted(self.semantic_points)
        if colored or semantic:
            records = cloud_records(panoptic, max_points=self._max_points)
            if colored:
                self.points.publish(cloud_message(records, message_header))
            if semantic:
                self.semantic_points.publish(cloud_message(by_class(records, panoptic.labels), message_header))
        if config.obstacle_cloud and scene.result.is_metric and wanted(self.obstacle_points):
            obstacles = cloud_records(panoptic, {0}, max_points=self._max_points)
            self.obstacle_points.publish(cloud_message(obstacles, message_header))

    def _publish_images(self, scene: SceneResult) -> None:
        """Depth, its calibration, colours and ids of each camera at network size; with keyframes the newest view of it."""
        views, reconstruction = scene.result.views, scene.result.reconstruction
        newest = {camera: index for index, camera in enumerate(views.cameras)}
        height, width = views.hw
        for camera, index in newest.items():
            frame_id = scene.frame_ids.get(camera, camera)
            message_header = header(frame_id, views.stamps_ns[index])
            outputs = self._images.get(camera, {})
            if self._config.depth and wanted(outputs.get("depth")):
                outputs["depth"].publish(depth_image(reconstruction.depth[index], message_header))
            if self._config.depth and wanted(outputs.get("camera_info")):
                outputs["camera_info"].publish(info_message(reconstruction.intrinsics[index], height, width, message_header))
            if self._config.image and wanted(outputs.get("image")):
                outputs["image"].publish(image_message(to_picture(views.images[index]), "rgb8", message_header))
            if self._config.instance_image and wanted(outputs.get("instance_image")):
                outputs["instance_image"].publish(id_image(scene.result.panoptic.instance_id[index], message_header))


def wanted(publisher: LifecyclePublisher | None) -> bool:
    """Whether somebody listens."""
    return publisher is not None and publisher.get_subscription_count() > 0


def stats_message(
    scene: SceneResult, stages_s: Mapping[str, float], model: str, device: str, latency_s: float, latencies: Latencies
) -> PipelineStats:
    """Give the timing of one result; the counters are filled in by the caller.

    Args:
        scene: The result.
        stages_s: Its stages with "publish", seconds.
        model: Name of the engine.
        device: That it ran on.
        latency_s: From the newest image stamp to the end of publishing.
        latencies: Of this result and those before it.

    Returns:
        The message, seconds and MB.
    """
    message = PipelineStats(header=scene.instances.header, newest_stamp=scene.instances.newest_stamp, sequence=scene.sequence)
    message.model, message.device = model, device
    message.stages = list(stages_s)
    message.stage_seconds = [float(v) for v in stages_s.values()]
    message.process_seconds = sum(stages_s.values()) - stages_s["wait"]
    message.latency_seconds = latency_s
    message.latency_p50_seconds, message.latency_p99_seconds = latencies.percentile(50), latencies.percentile(99)
    message.num_instances = len(scene.result.panoptic.segments)
    message.num_points = len(scene.result.panoptic.points)
    _tell_cameras(message, scene.result)
    if torch.cuda.is_available():
        message.device_memory_mb = torch.cuda.max_memory_allocated() / 2**20
    return message


def _tell_cameras(message: PipelineStats, result: PerceptionResult) -> None:
    """Which cameras made the result, how well their poses agree with the pictures, and which were left out."""
    found = result.consistency
    if found is None:
        message.cameras = list(result.views.cameras)
        message.camera_consistency = [-1.0] * len(result.views.cameras)
        return
    message.cameras = list(found.cameras)
    message.camera_consistency = [-1.0 if figure is None else float(figure) for figure in found.figures]
    message.cameras_left_out, message.left_out_reasons = list(found.left_out), list(found.reasons)
