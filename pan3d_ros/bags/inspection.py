"""`pan3d doctor BAG`: what a bag holds, what is wrong with it, and the parameters that make the node work on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pan3d_core.runtime.checks import MISSING, OK, OPTIONAL, Check
from pan3d_ros.bags.reading.camera_topics import BagCamera, find_cameras, unused_images
from pan3d_ros.bags.reading.contents import BagContents, RecordedTopic, chain, guess_reference_frame, read_contents
from pan3d_ros.bags.reading.frames import depth_fault, faults_of
from pan3d_ros.bags.reading.reader import CLOCK, BagError, BagReader
from pan3d_ros.bags.reading.timing import clock_offsets_s, nearest_gaps, set_spreads, stamps_refused
from pan3d_ros.parameters.node_config import CameraConfig, InputConfig, NodeConfig
from pan3d_ros.parameters.values import flat_values, node_settings
from pan3d_ros.processing.problem_log import Problem

KNOWN_CLOCK_RANGE_S = 10.0  # largest camera.<name>.time_offset_s
MOVING_M = 0.02  # a camera that travels further is moving
MENDS = {
    Problem.NO_IMAGES: "let the driver send one of the encodings that docs/perception_node.md names",
    Problem.NO_CAMERA_INFO: "calibrate the camera, or give camera.<name>.calibration_file",
    Problem.TF_FAILURE: "record /tf and /tf_static as they should be, or give transforms.static_file for fixed cameras",
}


@dataclass
class Inspection:
    """The outcome."""

    contents: BagContents
    checks: list[Check] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    depth_topics: dict[str, str] = field(default_factory=dict)  # camera -> depth that can be used

    @property
    def faults(self) -> dict[str, str]:
        """Camera -> why it cannot be used."""
        found: dict[str, list[str]] = {}
        for check in self.checks:
            if check.camera and check.status == MISSING:
                found.setdefault(check.camera, []).append(check.detail)
        return {camera: "; ".join(details) for camera, details in found.items()}

    def parameter_file(self) -> str:
        """YAML of the parameters, as the node reads it."""
        content = {"/**": {"ros__parameters": self.parameters}}
        return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120)

    def topic_table(self) -> list[tuple[str, ...]]:
        """One row per topic: name, type, messages, rate, what the messages say, receipt minus stamp."""
        rows: list[tuple[str, ...]] = [("topic", "type", "messages", "Hz", "content", "receipt - stamp")]
        for facts in self.contents.topics.values():
            size = f"{facts.size[0]}x{facts.size[1]}" if any(facts.size) else ""
            content = " ".join(part for part in (facts.encoding, size, facts.frame_id) if part)
            delay = "" if math.isnan(facts.delay_s) else f"{1000 * facts.delay_s:+.1f} ms"
            rows.append((facts.topic, facts.kind, str(facts.count), f"{facts.rate_hz:.1f}", content, delay))
        return rows


def inspect_bag(path: Path | str, reference_frame: str | None = None) -> Inspection:
    """Open a bag, read it once and judge it.

    Args:
        path: A folder, or an .mcap or .db3 file.
        reference_frame: In which poses are wanted; None = guess.

    Returns:
        What is in it, and what of that the node could use.

    Raises:
        BagError: It is no bag, or a damaged one.
    """
    with BagReader(path) as bag:
        return inspected(bag, reference_frame)


def inspected(bag: BagReader, reference_frame: str | None = None) -> Inspection:
    """Read a bag that is open already and judge it.

    Args:
        bag: Is read once, from begin to end.
        reference_frame: In which poses are wanted; None = guess.

    Returns:
        What is in it, and what of that the node could use.
    """
    return _Judge(bag, reference_frame).judged()


class _Judge:
    def __init__(self, bag: BagReader, reference_frame: str | None) -> None:
        self._bag_reader = bag
        self._contents = contents = read_contents(bag)
        self._result = Inspection(contents)
        cameras = find_cameras(contents)
        self._compressed = any(camera.raw is None for camera in cameras) and all(camera.compressed for camera in cameras)
        self._left_out = [] if self._compressed else [camera for camera in cameras if camera.raw is None]
        self._cameras = [camera for camera in cameras if camera not in self._left_out]
        frames = [self._image(camera).frame_id for camera in self._cameras]
        self._reference = reference_frame or guess_reference_frame(contents.edges, frames)

    def judged(self) -> Inspection:
        """All checks in the order in which problems are best mended."""
        self._bag()
        for camera in self._cameras:
            self._camera(camera)
        offsets = self._clocks()
        slop_s = self._synchronisation(offsets)
        source = self._transforms(offsets)
        self._first_frames(self._parameters(offsets, slop_s, False, source))
        use_depth = self._depth()
        self._clock_topic()
        self._support_height()
        self._result.parameters = self._parameters(offsets, slop_s, use_depth, source)
        return self._result

    def _image(self, camera: BagCamera) -> RecordedTopic:
        found = camera.compressed if self._compressed else camera.raw
        assert found is not None
        return found

    def _say(self, name: str, status: str, detail: str, mend: str = "") -> None:
        about, _, camera = name.partition(" ")
        self._result.checks.append(Check(name, status, detail, mend, camera if about in ("camera", "transforms") else ""))

    # --- checks ------------------------------------------------------------------------------------------------

    def _bag(self) -> None:
        contents = self._contents
        count = sum(facts.count for facts in contents.topics.values())
        self._say("bag", OK if count else MISSING, f"{count} messages in {contents.duration_s:.1f} s")
        for topic, reason in contents.unreadable.items():
            self._say("bag", OPTIONAL, f"{topic} cannot be read: {reason}")
        if not self._cameras and not self._left_out:
            mend = "record sensor_msgs/msg/Image or CompressedImage (JPEG or PNG); other transports must be decoded before"
            self._say("cameras", MISSING, "no topic with colour images", mend)
        for unused in unused_images(contents, [*self._cameras, *self._left_out]):
            self._say(unused.name, MISSING if unused.is_wanted else OPTIONAL, unused.detail, unused.mend)
        for camera in self._left_out:
            mend = "record raw images of this camera or compressed images of all: input.image_transport is one for all cameras"
            self._say(f"camera {camera.name}", MISSING, "has compressed images only, others raw ones only", mend)
        if self._compressed:
            only = [camera.name for camera in self._cameras if camera.raw is None]
            self._say("transport", OK, f"compressed images only: {', '.join(only)}; input.image_transport: compressed")

    def _camera(self, camera: BagCamera) -> None:
        image, name = self._image(camera), f"camera {camera.name}"
        width, height = image.size
        self._say(name, OK, f"{image.topic}: {image.encoding} {width}x{height}, {image.count} at {image.rate_hz:.1f} Hz")
        if not image.stamps_ns.all():
            self._say(name, MISSING, f"{image.topic}: stamps are 0", "let the driver stamp its images")
        if image.size == (0, 0):
            self._say(name, MISSING, f"{image.topic}: expected a JPEG or PNG, got something else")
        if camera.info is None:
            topic = image.topic.removesuffix("/compressed").rsplit("/", 1)[0] + "/camera_info"
            mend = f"record {topic}, or give camera.{camera.name}.calibration_file"
            self._say(name, MISSING, f"NO_CAMERA_INFO: no {topic}: intrinsics are unknown", mend)
            return
        if camera.info.topic in self._contents.unreadable:
            self._say(name, MISSING, f"{camera.info.topic} cannot be read")
            return
        pair_ms = 1e-6 * self._pair_gap_ns(image, camera.info)
        if pair_ms > 1000 * InputConfig().pair_slop_s:
            detail = f"camera_info is up to {pair_ms:.0f} ms from its image: the last one serves"
            self._say(name, OPTIONAL, detail, "input.camera_info_max_age_s: for how long; 0 = for ever")

    def _pair_gap_ns(self, image: RecordedTopic, other: RecordedTopic) -> float:
        """Distance from the images to their nearest partner that all but 5 % stay below."""
        return float(np.percentile(np.abs(nearest_gaps(image.stamps_ns, other.stamps_ns)), 95))

    def _clocks(self) -> dict[str, float]:
        """Offsets to suggest, by camera."""
        images = {camera.name: self._image(camera) for camera in self._cameras}
        offsets = clock_offsets_s({n: f.stamps_ns for n, f in images.items()}, {n: f.received_ns for n, f in images.items()})
        for name, offset in list(offsets.items()):
            late = f"stamps are {abs(offset):.3f} s {'late' if offset < 0 else 'early'} against the other cameras"
            if abs(offset) > KNOWN_CLOCK_RANGE_S:
                self._say(f"camera {name}", MISSING, late, "two clocks: synchronise them (chrony, ptp) or stamp by the host")
                del offsets[name]
            else:
                self._say(f"camera {name}", OPTIONAL, late, f"camera.{name}.time_offset_s: {offset}")
        for name, facts in images.items():
            if text := stamps_refused(facts.delay_s - offsets.get(name, 0.0), InputConfig()):
                self._say(f"camera {name}", MISSING, f"STALE_IMAGES: {text}", "the clocks of driver and recorder must be one")
        return offsets

    def _synchronisation(self, offsets: dict[str, float]) -> float | None:
        cameras = self._usable()
        if len(cameras) < 2:
            return None
        stamps = [self._shifted(camera, offsets) for camera in cameras]
        middle, most = (float(v) * 1e-9 for v in np.percentile(set_spreads(stamps), (50, 95)))
        slop_s = math.ceil((1.25 * most + 0.001) * 1000) / 1000
        period_s = max(1.0 / max(self._image(camera).rate_hz, 1e-3) for camera in cameras)
        detail = f"nearest images of all cameras differ by {1000 * middle:.1f} ms (95 %: {1000 * most:.1f} ms)"
        if most > period_s:
            mend = "check the clocks of the machines, and that all cameras ran at the same time"
            self._say("synchronisation", MISSING, detail, mend)
            return None
        self._say("synchronisation", OK, f"{detail}; sync.slop_s: {slop_s}")
        return min(slop_s, 1.0)

    def _shifted(self, camera: BagCamera, offsets: dict[str, float]) -> np.ndarray:
        return self._image(camera).stamps_ns + np.int64(round(offsets.get(camera.name, 0.0) * 1e9))

    def _depth(self) -> bool:
        fitting: list[BagCamera] = []
        for camera in self._usable():
            if camera.depth is None:
                continue
            depth, image, name = camera.depth, self._image(camera), f"camera {camera.name}"
            if depth.size != image.size:
                sizes = f"{depth.size[0]}x{depth.size[1]}, colour {image.size[0]}x{image.size[1]}"
                self._say(name, OPTIONAL, f"{depth.topic} is {sizes}: not used", "record the depth that is aligned to colour")
            elif depth.frame_id != image.frame_id:
                detail = f"{depth.topic} is in {depth.frame_id}, colour in {image.frame_id}: not used"
                self._say(name, OPTIONAL, detail, "record the depth that is aligned to colour")
            elif self._pair_gap_ns(image, depth) > 0.4e9 / max(image.rate_hz, 1e-3):
                self._say(name, OPTIONAL, f"{depth.topic}: most images have no depth of their time: not used")
            elif fault := self._depth_fault(camera, depth):
                self._say(name, OPTIONAL, f"{depth.topic}: {fault}: not used")
            else:
                self._say(name, OK, f"{depth.topic}: {depth.encoding}, aligned to colour")
                fitting.append(camera)
                self._result.depth_topics[camera.name] = depth.topic
        if without := ", ".join(camera.name for camera in self._usable() if fitting and camera not in fitting):
            mend = f"leave these cameras out to use depth (input.use_depth is one for all): {without}"
            self._say("depth", OPTIONAL, "some cameras have no depth that can be used", mend)
        return bool(fitting) and not without

    def _depth_fault(self, camera: BagCamera, depth: RecordedTopic) -> str:
        """Why the first depth images cannot be used; "" where they can."""
        transport = "compressed" if self._compressed else "raw"
        inputs = InputConfig(
            image_transport=transport, use_depth=True, use_camera_info=False, pair_slop_s=self._pair_slop_s(True)
        )
        own = {camera.name: CameraConfig(image_topic=self._image(camera).topic, depth_topic=depth.topic)}
        return depth_fault(self._bag_reader, NodeConfig(input=inputs), own)

    def _transforms(self, offsets: dict[str, float]) -> str:
        """The source to use; says for each camera what is missing."""
        for text in self._contents.contradictions:
            self._say("transforms", OPTIONAL, f"two parents: {text}", "only one node may publish a frame")
        if not self._contents.edges and self._cameras and all(camera.pose for camera in self._cameras):
            self._say("transforms", OK, "no /tf, but pose topics of all cameras")
            return "pose_topics"
        for camera in self._cameras:
            self._chain(camera, offsets)
        return "auto"  # tf, or where that is not installed the poses that `pan3d replay` publishes instead

    def _chain(self, camera: BagCamera, offsets: dict[str, float]) -> None:
        frame, name = self._image(camera).frame_id, f"transforms {camera.name}"
        if not frame:
            return self._say(name, MISSING, "images have no frame_id", f"give camera.{camera.name}.frame_id")
        way = chain(self._contents.edges, frame, self._reference)
        if not way.reaches:
            known = f"{frame} leads to {way.frames[-1]} only" if way.edges else f"nothing is known about {frame}"
            self._say(name, MISSING, f"TF_FAILURE: no transform to {self._reference}: {known}", MENDS[Problem.TF_FAILURE])
            return
        covered = way.covered(self._shifted(camera, offsets))
        moving = f", moves by {way.travel_m:.2f} m" if way.travel_m > MOVING_M else ""
        detail = f"{' <- '.join(reversed(way.frames))}{moving}"
        if covered >= 0.99:
            self._say(name, OK, detail)
        else:
            status = MISSING if covered < 0.5 else OPTIONAL
            reason = f"known at {100 * covered:.0f} % of the images' stamps"
            self._say(name, status, f"{detail}: {reason}", "the clocks of /tf and camera must be one")

    def _usable(self) -> list[BagCamera]:
        """The cameras that nothing is wrong with so far."""
        faults = self._result.faults
        return [camera for camera in self._cameras if camera.name not in faults]

    def _first_frames(self, parameters: Mapping[str, Any]) -> None:
        """Whether the node's own conversions take the first frames of the cameras that nothing was found about."""
        node, cameras = node_settings(flat_values(parameters))
        usable = {camera.name: cameras[camera.name] for camera in self._usable()}
        if not usable:
            return
        try:
            faults = faults_of(self._bag_reader, node, usable)
        except BagError as error:
            self._say("first frames", MISSING, str(error))
            return
        for name, fault in faults.items():
            self._say(f"camera {name}", MISSING, f"{fault.problem.name}: {fault.message}", MENDS[fault.problem])

    def _clock_topic(self) -> None:
        if any(facts.kind == CLOCK and facts.count for facts in self._contents.topics.values()):
            self._say("clock", OPTIONAL, "/clock was recorded", "play without it: ros2 bag play --clock --exclude-topics /clock")

    def _support_height(self) -> None:
        if "support_height_m" not in (self._contents.objects or {}):
            mend = f"workspace.support_height_m: height of the table in {self._reference}"
            self._say("support height", OPTIONAL, "a bag does not say where the objects stand", mend)

    # --- parameters --------------------------------------------------------------------------------------------

    def _parameters(self, offsets: dict[str, float], slop_s: float | None, use_depth: bool, source: str) -> dict[str, Any]:
        cameras = {camera.name: self._camera_parameters(camera, offsets, use_depth, source) for camera in self._cameras}
        inputs: dict[str, Any] = {"image_transport": "compressed" if self._compressed else "raw", "use_depth": use_depth}
        if (pair_slop_s := self._pair_slop_s(use_depth)) > InputConfig().pair_slop_s:
            inputs["pair_slop_s"] = pair_slop_s
        parameters: dict[str, Any] = {"cameras": list(cameras), "reference_frame": self._reference, "input": inputs}
        if slop_s is not None:
            parameters["sync"] = {"slop_s": slop_s}
        parameters["transforms"] = {"source": source}
        if (height := (self._contents.objects or {}).get("support_height_m")) is not None:
            parameters["workspace"] = {"support_height_m": float(height)}
        if len(self._cameras) == 1:
            way = chain(self._contents.edges, self._image(self._cameras[0]).frame_id, self._reference)
            if way.reaches and way.travel_m > MOVING_M:
                parameters["keyframe"] = {"enabled": True}
        parameters["camera"] = cameras
        return parameters

    def _pair_slop_s(self, use_depth: bool) -> float:
        gaps = [0.0]
        for camera in self._cameras if use_depth else ():
            if camera.depth is not None:
                gaps.append(self._pair_gap_ns(self._image(camera), camera.depth))
        return min(max(math.ceil(1.25e-6 * max(gaps)) / 1000, InputConfig().pair_slop_s), 1.0)

    def _camera_parameters(self, camera: BagCamera, offsets: dict[str, float], use_depth: bool, source: str) -> dict[str, Any]:
        found: dict[str, Any] = {"image_topic": self._image(camera).topic}
        if camera.info is not None:
            found["info_topic"] = camera.info.topic
        if use_depth and camera.depth is not None:
            found["depth_topic"] = camera.depth.topic
        if source == "pose_topics" and camera.pose is not None:
            found["pose_topic"] = camera.pose.topic
        if camera.rectified:
            found["rectified"] = True
        if camera.name in offsets:
            found["time_offset_s"] = offsets[camera.name]
        return found
