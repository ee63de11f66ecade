"""Frames of a bag by the node's own pairing, and what the node would say of the first ones: no network is asked."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice

from torch import Tensor

from pan3d_core.config import AlignConfig, PreprocessConfig
from pan3d_core.runtime.failures import FailureLog
from pan3d_core.structures import CameraView
from pan3d_ros.bags.reading.reader import BagError, BagReader
from pan3d_ros.bags.reading.transforms import transforms_of
from pan3d_ros.inputs.camera_frames import CameraFrame, CameraTopics, FramePairing
from pan3d_ros.inputs.transforms import TransformUnavailable
from pan3d_ros.messages.images import compressed_to_depth, depth_to_metres, is_compressed
from pan3d_ros.parameters.node_config import CameraConfig, InputConfig, NodeConfig
from pan3d_ros.processing.problem_log import Problem
from pan3d_ros.processing.set_views import Fault, ViewRules, usable_views

log = logging.getLogger("pan3d.ros.bags")
FRAMES = 10  # of each camera that are tried: the first ones may come before their transforms
PATIENCE = 200  # images of a camera after which no frame of it is waited for

Routes = Mapping[str, tuple[str, str]]  # topic -> camera and kind of message


def pairings_of(
    inputs: InputConfig, cameras: Mapping[str, CameraConfig], on_frame: Callable[[CameraFrame], None]
) -> tuple[dict[str, FramePairing], Routes]:
    """Make what the node pairs messages with, and tell which topics go where.

    Args:
        inputs: Settings of the node.
        cameras: Settings by camera.
        on_frame: Takes the frames.

    Returns:
        Camera -> pairing; and topic -> camera and kind of message.
    """
    pairings = {name: FramePairing(name, inputs, own, on_frame) for name, own in cameras.items()}
    routes: dict[str, tuple[str, str]] = {}
    for camera, pairing in pairings.items():
        topics = CameraTopics.of(camera, cameras[camera], inputs.image_transport).from_the_root()
        routes[topics.image] = camera, "image"
        if pairing.waits_for_info:
            routes[topics.info] = camera, "info"
        if inputs.use_depth:
            routes[topics.depth] = camera, "depth"
    return pairings, routes


def remember_infos(bag: BagReader, pairings: Mapping[str, FramePairing], routes: Routes, start_s: float = 0.0) -> None:
    """Let pairings know the camera_info that was sent last before a replay begins, or else the first of all: a latched one
    lies at the bag's start, or just behind the first image.

    Args:
        bag: Opened.
        pairings: By camera.
        routes: Topic -> camera and kind of message.
        start_s: After the bag's start.
    """
    for topic, (camera, kind) in routes.items():
        if kind == "info":
            before = bag.messages([topic], 0.0, start_s) if start_s else ()
            last = next(iter(deque(before, maxlen=1)), None)
            info = last.content if last is not None else bag.first(topic)
            if info is not None:
                pairings[camera].remember(info)


def first_frames(bag: BagReader, inputs: InputConfig, cameras: Mapping[str, CameraConfig]) -> dict[str, list[CameraFrame]]:
    """Pair the first messages of cameras.

    Args:
        bag: Opened; has all their topics.
        inputs: Settings of the node.
        cameras: Settings by camera.

    Returns:
        Camera -> at most `FRAMES` frames.

    Raises:
        BagError: A message cannot be decoded.
    """
    frames: dict[str, list[CameraFrame]] = {name: [] for name in cameras}

    def take(frame: CameraFrame) -> None:
        if len(frames[frame.camera]) < FRAMES:
            frames[frame.camera].append(frame)

    pairings, routes = pairings_of(inputs, cameras, take)
    remember_infos(bag, pairings, routes)
    for message in bag.messages(list(routes)):
        camera, kind = routes[message.topic]
        pairings[camera].take(kind, message.content)
        if all(len(frames[name]) == FRAMES or pairings[name].counts["image"] >= PATIENCE for name in frames):
            break
    return frames


def depth_fault(bag: BagReader, node: NodeConfig, camera: Mapping[str, CameraConfig]) -> str:
    """Tell why the node could not use the first depth images of a camera.

    Args:
        bag: Opened; has the topics.
        node: Settings.
        camera: Its settings by its name.

    Returns:
        "" where nothing is wrong.
    """
    (name, own), *_ = camera.items()
    try:
        faults = faults_of(bag, node, camera, posed=False)
        topic = CameraTopics.of(name, own, node.input.image_transport).from_the_root().depth
        if not faults and not measures_something(bag, topic):
            return "nothing is measured in the first images"
    except BagError as error:
        return str(error)
    return faults[name].message if faults else ""


def measures_something(bag: BagReader, topic: str) -> bool:
    """Tell whether one of the first depth images has a measurement.

    Args:
        bag: Opened.
        topic: Of depth, raw or compressed.

    Returns:
        Whether a pixel of them is neither 0 nor NaN nor below.

    Raises:
        BagError: A message cannot be decoded.
        ValueError: It is no depth.
    """
    for message in islice(bag.messages([topic]), FRAMES):
        image = message.content
        depth = compressed_to_depth(image) if is_compressed(image) else depth_to_metres(image)
        if (depth > 0).any():
            return True
    return False


def first_views(
    bag: BagReader, node: NodeConfig, cameras: Mapping[str, CameraConfig], *, posed: bool = True
) -> tuple[list[CameraView], dict[str, Fault]]:
    """Make one view of each camera from its first frames, by what the node does with a set of views.

    Args:
        bag: Opened; has all their topics.
        node: Settings.
        cameras: Settings by camera.
        posed: Whether poses are asked for.

    Returns:
        Views of the cameras that the node could use, and camera -> what is wrong with the first frames of the others.

    Raises:
        BagError: A message cannot be decoded, or the bag has no poses at all.
    """
    transforms = transforms_of(bag, node, dict(cameras)) if posed else None

    def place(frame: CameraFrame) -> Tensor | None:
        return None if transforms is None else transforms.lookup(frame.camera, frame.frame_id, frame.stamp_ns)

    def has_place(frame: CameraFrame) -> bool:
        try:
            place(frame)
        except TransformUnavailable:
            return False
        return True

    frames = first_frames(bag, node.input, cameras)
    tried = [next(filter(has_place, found), found[0]) for found in frames.values() if found]
    rules = ViewRules(node.reference_frame, PreprocessConfig(), AlignConfig().max_scene_depth_m)
    views, faults = usable_views(tried, place, rules, FailureLog(log))
    partner = "camera_info and depth" if node.input.use_depth else "camera_info"
    nothing = {name: Fault(Problem.NO_IMAGES, "image", f"no image has its {partner}") for name in frames if not frames[name]}
    return views, nothing | faults


def faults_of(bag: BagReader, node: NodeConfig, cameras: Mapping[str, CameraConfig], *, posed: bool = True) -> dict[str, Fault]:
    """Tell which cameras the node could not use; arguments and errors as `first_views`."""
    return first_views(bag, node, cameras, posed=posed)[1]
