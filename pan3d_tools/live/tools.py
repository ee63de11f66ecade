"""What an agent may ask a running node: its objects, words resolved, grasps, a picture. It can look and ask, and move nothing."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass
from typing import Any

from pan3d_interfaces.msg import GraspTarget, Instance, InstanceArray
from pan3d_interfaces.srv import GetGraspTargets, GetInstances, SegmentObject
from PIL import Image

from pan3d_core.pictures.overlays import montage
from pan3d_ros.messages.poses import pose_numbers
from pan3d_tools.live.connection import NodeConnection, NodeUnavailable, refusal
from pan3d_tools.live.sight import Sight

QUICK_S = 10.0  # for answers from the newest result
LOOK_S = 20.0  # that the node may take for pictures of now
WHOLE_S = 0.5  # pictures of the other cameras of a result come within this after the first
LARGEST_ID, MOST_GRASPS = 2**32 - 1, 100
STATES = {Instance.NEW: "new", Instance.TRACKED: "tracked", Instance.LOST: "lost"}


class Refused(RuntimeError):
    """The node refuses, in its own words, or nobody is there to answer."""


@dataclass(frozen=True)
class SeenObject:
    """One object; lengths in metres where `metric` says so, in the frame `frame_id`."""

    id: int  # stays the same while the object is tracked
    name: str  # empty = unnamed
    name_probability: float
    score: float  # probability that this is one object
    state: str  # new, tracked or lost: seen before, not now
    center_xyz: tuple[float, float, float]  # of its oriented box
    orientation_xyzw: tuple[float, float, float, float]
    size_xyz: tuple[float, float, float]  # along the axes of the box
    color_rgb: tuple[float, float, float]  # median, 0..1
    views: int  # cameras that saw it


@dataclass(frozen=True)
class SeenObjects:
    """All objects of one result."""

    frame_id: str
    metric: bool  # False: the unit of lengths is unknown, and nothing can be grasped
    cameras: list[str]
    objects: list[SeenObject]


@dataclass(frozen=True)
class FoundObjects:
    """What words mean in what is seen now."""

    prompt: str
    explanation: str  # how the words were understood
    none_probability: float  # that nothing there fits
    probabilities: list[float]  # of each object, that it fits
    found: SeenObjects  # best first


@dataclass(frozen=True)
class Grasp:
    """A pose for a parallel-jaw hand: origin between the pads, +z approach, +x closing; metres."""

    object_id: int
    quality: float  # 0..1, larger is better
    position_xyz: tuple[float, float, float]
    orientation_xyzw: tuple[float, float, float, float]
    opening: float  # to approach with
    object_width: float  # between the pads
    approach_distance: float  # straight, checked to be free


@dataclass(frozen=True)
class Grasps:
    """Ranked grasps of one object, best first."""

    frame_id: str
    message: str
    grasps: list[Grasp]


class NodeTools:
    """The questions, each of which raises `Refused` with the node's words.

    Args:
        connection: To the node that answers.
    """

    def __init__(self, connection: NodeConnection) -> None:
        self._connection = connection

    def list_objects(self) -> SeenObjects:
        """List all objects of the newest result, at once and without looking again."""
        answer = self._ask(GetInstances, "get_instances", GetInstances.Request(), QUICK_S)
        return seen_objects(answer.instances)

    def find_objects(self, prompt: str) -> FoundObjects:
        """Find the objects that words mean, such as "the red mug on the left", in pictures that are taken from now on.

        Args:
            prompt: 1 to 256 characters.
        """
        request = SegmentObject.Request(prompt=prompt, timeout=LOOK_S)
        answer = self._ask(SegmentObject, "segment_object", request, LOOK_S)
        probabilities = [float(value) for value in answer.match_probabilities]
        found = seen_objects(answer.instances)
        return FoundObjects(prompt, answer.explanation, float(answer.none_probability), probabilities, found)

    def get_grasps(self, object_id: int, max_grasps: int = 5) -> Grasps:
        """Give ranked grasps of one object of the newest result. Nothing is moved.

        Args:
            object_id: As listed or found.
            max_grasps: 1 to 100.
        """
        _require_within("object_id", object_id, LARGEST_ID)
        _require_within("max_grasps", max_grasps, MOST_GRASPS)
        request = GetGraspTargets.Request(instance_id=object_id, max_grasps=max_grasps)
        answer = self._ask(GetGraspTargets, "get_grasp_targets", request, QUICK_S)
        return Grasps(answer.poses.header.frame_id, answer.message, [_grasp(target) for target in answer.targets])

    def get_picture(self) -> bytes:
        """Show what every camera sees now, with the objects and their ids drawn in, as one JPEG."""
        if not self._connection.is_there():
            self.list_objects()  # waits for a node that has just come, and says what is wrong where none is
        changed = threading.Event()
        sight = Sight(self._connection, changed.set)
        sight.begin()
        try:
            end_s, whole_s = time.monotonic() + LOOK_S, float("inf")
            while time.monotonic() < min(end_s, whole_s):
                changed.wait(WHOLE_S / 4)
                changed.clear()
                look = sight.look
                if look.pictures and whole_s == float("inf"):
                    whole_s = time.monotonic() + WHOLE_S
        finally:
            sight.end()
        if not look.pictures:
            self.list_objects()  # why there is no result, where that is so
            raise Refused("no picture came; are publish.image and publish.instance_image of the node true?")
        cameras = sorted(look.pictures)
        grid = montage([look.picture(camera) for camera in cameras], min(len(cameras), 2), cameras)
        file = io.BytesIO()
        Image.fromarray(grid).save(file, "JPEG", quality=85)
        return file.getvalue()

    def _ask(self, kind: Any, service: str, request: Any, timeout_s: float) -> Any:
        try:
            answer = self._connection.ask(kind, service, request, timeout_s)
        except NodeUnavailable as error:
            raise Refused(str(error)) from error
        if refused := refusal(answer):
            raise Refused(refused)
        return answer


def seen_objects(array: InstanceArray) -> SeenObjects:
    """Read an InstanceArray."""
    return SeenObjects(array.header.frame_id, array.metric, list(array.cameras), [_seen_object(item) for item in array.instances])


def _seen_object(item: Instance) -> SeenObject:
    center, orientation = pose_numbers(item.pose)
    red, green, blue = (float(value) for value in item.color_rgb)
    return SeenObject(
        id=item.id,
        name=item.class_name,
        name_probability=item.class_score,
        score=item.score,
        state=STATES.get(item.state, str(item.state)),
        center_xyz=center,
        orientation_xyzw=orientation,
        size_xyz=(item.size.x, item.size.y, item.size.z),
        color_rgb=(red, green, blue),
        views=item.num_views,
    )


def _grasp(target: GraspTarget) -> Grasp:
    position, orientation = pose_numbers(target.grasp_pose)
    return Grasp(
        target.instance_id, target.quality, position, orientation, target.opening, target.object_width, target.approach_distance
    )


def _require_within(name: str, value: int, largest: int) -> None:
    if not 1 <= value <= largest:
        raise Refused(f"{name}: expected 1 to {largest}, got {value}")
