"""Messages of vision_msgs 4.1 that pan3d fills, by their fields, for machines without the package; other fields are errors."""

from __future__ import annotations

from dataclasses import dataclass, field

from geometry_msgs.msg import Pose, PoseWithCovariance, Vector3
from std_msgs.msg import Header


@dataclass(slots=True)
class BoundingBox3D:
    center: Pose = field(default_factory=Pose)
    size: Vector3 = field(default_factory=Vector3)


@dataclass(slots=True)
class ObjectHypothesis:
    class_id: str = ""
    score: float = 0.0


@dataclass(slots=True)
class ObjectHypothesisWithPose:
    hypothesis: ObjectHypothesis = field(default_factory=ObjectHypothesis)
    pose: PoseWithCovariance = field(default_factory=PoseWithCovariance)


@dataclass(slots=True)
class Detection3D:
    header: Header = field(default_factory=Header)
    results: list[ObjectHypothesisWithPose] = field(default_factory=list)
    bbox: BoundingBox3D = field(default_factory=BoundingBox3D)
    id: str = ""


@dataclass(slots=True)
class Detection3DArray:
    header: Header = field(default_factory=Header)
    detections: list[Detection3D] = field(default_factory=list)


@dataclass(slots=True)
class VisionInfo:
    header: Header = field(default_factory=Header)
    method: str = ""
    database_location: str = ""
    database_version: int = 0
