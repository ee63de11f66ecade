"""Messages of vision_msgs 4.1 that pan3d fills, by their fields, for machines without the package; other fields are errors."""

from __future__ import annotations

from dataclasses import field, make_dataclass

from geometry_msgs.msg import Pose, PoseWithCovariance, Vector3
from std_msgs.msg import Header


def message(name: str, **fields: type) -> type:
    """A message with these fields and no others, each as its type begins."""
    return make_dataclass(name, [(key, kind, field(default_factory=kind)) for key, kind in fields.items()], slots=True)


BoundingBox3D = message("BoundingBox3D", center=Pose, size=Vector3)
ObjectHypothesis = message("ObjectHypothesis", class_id=str, score=float)
ObjectHypothesisWithPose = message("ObjectHypothesisWithPose", hypothesis=ObjectHypothesis, pose=PoseWithCovariance)
Detection3D = message("Detection3D", header=Header, results=list, bbox=BoundingBox3D, id=str)
Detection3DArray = message("Detection3DArray", header=Header, detections=list)
VisionInfo = message("VisionInfo", header=Header, method=str, database_location=str, database_version=int)
