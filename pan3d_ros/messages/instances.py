"""Objects of a result as InstanceArray, LabelInfo, id images and vision_msgs detections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pan3d_interfaces.msg import Instance, InstanceArray, LabelInfo
from sensor_msgs.msg import Image
from std_msgs.msg import ColorRGBA, Header
from torch import Tensor

from pan3d_core.labels import LabelSpace, best_taught, called
from pan3d_core.memory import MemoryObject, ObjectState, World
from pan3d_core.pictures.palette import class_colors
from pan3d_core.structures import PerceptionResult, Segment
from pan3d_ros.messages.clouds import label_of_class
from pan3d_ros.messages.parts import header, image_message, point_message, pose_message, stamp_from_ns, vector_message
from pan3d_ros.platform.stand_ins import vision_msgs


def remembered_instances(result: PerceptionResult, world: World, max_lost_s: float) -> list[Instance]:
    """Make Instances of all that is known after a view set.

    Args:
        result: Newest.
        world: What is remembered with it.
        max_lost_s: For how long an object is told whose place was seen empty.

    Returns:
        Those that the result shows, then, where it is metric, the remembered ones that it does not show, `LOST`.
    """
    now_ns, known = max(result.views.stamps_ns), {item.instance_id: item for item in world.objects}
    panoptic, instances = result.panoptic, []
    for segment in panoptic.segments:
        first_ns = known[segment.instance_id].first_seen_ns if segment.instance_id in known else now_ns
        instances.append(instance_message(segment, panoptic.labels, first_ns, now_ns))
    shown = {segment.instance_id for segment in panoptic.segments}
    for item in world.objects if result.is_metric else ():
        gone = item.state is ObjectState.GONE and now_ns - item.last_seen_ns > max_lost_s * 1e9
        if item.instance_id not in shown and not gone:
            instances.append(_lost_instance(item, panoptic.labels))
    return instances


def _lost_instance(item: MemoryObject, labels: LabelSpace) -> Instance:
    """As it was last seen; its class may be of labels that the result no longer has."""
    class_id = labels.names.index(item.name) if item.name in labels.names else -1
    segment = replace(item.segment, class_id=class_id)
    message = instance_message(segment, labels, item.first_seen_ns, item.last_seen_ns)
    message.state = Instance.LOST
    return message


def instance_message(segment: Segment, labels: LabelSpace, first_ns: int, now_ns: int) -> Instance:
    """Make an Instance of a segment that is visible now.

    Args:
        segment: In the reference frame, metres.
        labels: Classes that its `class_id` refers to; an object that was taught is called by its own name.
        first_ns: When the object was first seen.
        now_ns: Stamp of the result.

    Returns:
        NEW where the two stamps are equal, else TRACKED.
    """
    taught = best_taught(segment.taught)
    name = called(labels, segment.class_id, segment.taught)
    message = Instance(id=segment.instance_id, state=Instance.NEW if first_ns == now_ns else Instance.TRACKED)
    message.class_id = message.class_name = name
    message.class_score = taught.probability if taught else float(segment.class_score) if name else 0.0
    message.score = float(segment.score)
    message.label = label_of_class(segment.class_id)
    message.pose = pose_message(segment.box.world_from_box)
    message.size = vector_message(segment.box.size_m)
    message.centroid = point_message(segment.centroid)
    known = segment.position_covariance
    message.position_covariance = [-1.0] + [0.0] * 8 if known is None else known.flatten().tolist()
    message.num_points = int(segment.num_points)
    message.num_views = min(int(segment.num_views), 65535)
    message.color_rgb = [float(c) for c in segment.color_rgb]
    message.first_seen, message.last_seen = stamp_from_ns(first_ns), stamp_from_ns(now_ns)
    return message


def instance_array(result: PerceptionResult, instances: list[Instance]) -> InstanceArray:
    """Make an InstanceArray of a result.

    Args:
        result: Whose views, scale and residual are told.
        instances: What it has.

    Returns:
        The header has the oldest image stamp, `newest_stamp` the newest.
    """
    views, reconstruction = result.views, result.reconstruction
    message = InstanceArray(header=header(views.world_frame_id, min(views.stamps_ns)), cameras=list(dict.fromkeys(views.cameras)))
    message.newest_stamp = stamp_from_ns(max(views.stamps_ns))
    message.metric = bool(reconstruction.is_metric)
    message.scale = float(reconstruction.metric_scale)
    residual = reconstruction.alignment_residual_m
    message.scale_residual_m = -1.0 if residual is None else float(residual)
    message.instances = instances
    return message


def label_info(labels: LabelSpace, model: str, frame_id: str, stamp_ns: int) -> LabelInfo:
    """Tell names and colours of classes.

    Args:
        labels: The classes.
        model: Name of the engine.
        frame_id: Of the header.
        stamp_ns: Of the header.

    Returns:
        The message; index i of `names` is label i + 1.
    """
    colors = [ColorRGBA(r=r / 255, g=g / 255, b=b / 255, a=1.0) for r, g, b in class_colors(labels.names)]
    return LabelInfo(
        header=header(frame_id, stamp_ns),
        model=model,
        names=list(labels.names),
        is_thing=list(labels.is_thing),
        colors=colors,
    )


def id_image(instance_id: Tensor, message_header: Header) -> Image:
    """Make an image of instance ids.

    Args:
        instance_id: (h, w) integers, 0 = none.
        message_header: Of the message.

    Returns:
        16UC1; ids keep their lowest 16 bits and are never 0.
    """
    ids = instance_id.detach().cpu().numpy()
    pixels = np.where(ids > 0, (ids - 1) % 65535 + 1, 0).astype(np.uint16)
    return image_message(pixels, "16UC1", message_header)


def depth_image(depth: Tensor, message_header: Header) -> Image:
    """Make an image of depth.

    Args:
        depth: (h, w) metres.
        message_header: Of the message.

    Returns:
        32FC1.
    """
    return image_message(depth.detach().cpu().float().numpy(), "32FC1", message_header)


def detections(array: InstanceArray) -> object | None:
    """vision_msgs Detection3DArray of the visible instances; None where vision_msgs is not installed."""
    if vision_msgs is None:
        return None
    message = vision_msgs.Detection3DArray(header=array.header)
    for instance in array.instances:
        if instance.state == Instance.LOST:
            continue
        detection = vision_msgs.Detection3D(header=array.header, id=str(instance.id))
        detection.bbox.center, detection.bbox.size = instance.pose, instance.size
        hypothesis = vision_msgs.ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = instance.class_id
        hypothesis.hypothesis.score = instance.class_score if instance.class_id else instance.score
        hypothesis.pose.pose = instance.pose
        detection.results.append(hypothesis)
        message.detections.append(detection)
    return message


def vision_info(model: str, labels_topic: str, frame_id: str, stamp_ns: int) -> object | None:
    """Tell where the classes of detections are described.

    Args:
        model: Name of the engine.
        labels_topic: With the names and colours of its classes.
        frame_id: Of the header.
        stamp_ns: Of the header.

    Returns:
        A vision_msgs VisionInfo; None where vision_msgs is not installed. `class_id` of detections is the name itself.
    """
    if vision_msgs is None:
        return None
    return vision_msgs.VisionInfo(header=header(frame_id, stamp_ns), method=model, database_location=labels_topic)


def only_instances(array: InstanceArray, instance_ids: tuple[int, ...]) -> InstanceArray:
    """Return the array with these instances alone.

    Args:
        array: With at least what is to stay.
        instance_ids: In the order wanted; unknown ones are left out.
    """
    by_id = {instance.id: instance for instance in array.instances}
    fields = {name: getattr(array, name) for name in array.get_fields_and_field_types()}
    return InstanceArray(**{**fields, "instances": [by_id[i] for i in instance_ids if i in by_id]})
