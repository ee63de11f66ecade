"""Objects and cameras as RViz markers. Points never go into markers: 100,000 of them take seconds to send."""

from __future__ import annotations

import torch
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from pan3d_interfaces.msg import Instance, InstanceArray
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.cameras import pixel_rays
from pan3d_core.geometry.transforms import transform_points
from pan3d_core.pictures.palette import instance_color
from pan3d_core.structures import Reconstruction, Segment
from pan3d_ros.messages.parts import point_message
from pan3d_ros.messages.poses import box_corners

MAX_SINGLE_BOXES = 60  # more objects share one LINE_LIST
AXIS_LENGTH_FRACTION = 0.5  # of the longest side of the box, at least
MIN_AXIS_LENGTH_M = 0.02
FRUSTUM_DEPTH_FRACTION = 0.12  # of the distance that a camera typically sees: right also when the unit is unknown
_AXIS_COLORS = [ColorRGBA(r=1.0, a=1.0), ColorRGBA(g=1.0, a=1.0), ColorRGBA(b=1.0, a=1.0)]
_FRUSTUM_COLOR = ColorRGBA(r=1.0, g=0.85, b=0.2, a=0.9)
# Corners of a box whose index differs in one bit are joined by an edge.
_EDGES = [(a, a | 1 << axis) for a in range(8) for axis in range(3) if not a >> axis & 1]


def color_of_id(instance_id: int) -> ColorRGBA:
    """The instance's colour as every picture shows it."""
    red, green, blue = (channel / 255 for channel in instance_color(instance_id))
    return ColorRGBA(r=red, g=green, b=blue, a=0.9)


def lifetime(seconds: float) -> Duration:
    """Duration message of seconds."""
    whole = int(seconds)
    return Duration(sec=whole, nanosec=int((seconds - whole) * 1e9))


def marker_id(instance_id: int) -> int:
    """Instance id as the signed number that a Marker has."""
    return instance_id % 2**31


class MarkerDrawing:
    """Draws each result and deletes exactly what has gone.

    `instances/box` and `instances/label` have the id of the object. All axes of the boxes are one marker
    `instances/axis`, x red, y green, z blue, and all cameras one marker `cameras/frustum`, both with id 0.
    """

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()

    def clear(self) -> MarkerArray:
        """Remove everything, for instance when the node is deactivated."""
        self._shown.clear()
        return MarkerArray(markers=[Marker(action=Marker.DELETEALL)])

    def draw(
        self, array: InstanceArray, segments: dict[int, Segment], lifetime_s: float, cameras: Reconstruction | None = None
    ) -> MarkerArray:
        """Draw the visible instances, and delete what was drawn before and is gone.

        Args:
            array: Instances with their header.
            segments: By id; instances without one are left out.
            lifetime_s: Of every marker.
            cameras: Whose views are drawn; None = no views.

        Returns:
            Markers in the frame of the array.
        """
        visible = [i for i in array.instances if i.state != Instance.LOST and i.id in segments]
        kept = lifetime(lifetime_s)
        if len(visible) > MAX_SINGLE_BOXES:
            markers = [_marker("instances/box", 0, Marker.LINE_LIST, array.header, kept)]
            for instance in visible:
                _add_box(markers[0], segments[instance.id].box, color_of_id(instance.id))
        else:
            markers = []
            for instance in visible:
                box = _marker("instances/box", marker_id(instance.id), Marker.LINE_LIST, array.header, kept)
                _add_box(box, segments[instance.id].box, color_of_id(instance.id))
                markers += [box, _label(instance, array.header, kept)]
        if visible:
            markers.append(_marker("instances/axis", 0, Marker.LINE_LIST, array.header, kept))
            for instance in visible:
                _add_axes(markers[-1], segments[instance.id].box)
        if cameras is not None:
            markers.append(_frusta(cameras, array.header, kept))
        shown = {(m.ns, m.id) for m in markers}
        gone = [Marker(header=array.header, ns=ns, id=number, action=Marker.DELETE) for ns, number in sorted(self._shown - shown)]
        self._shown = shown
        return MarkerArray(markers=gone + markers)


def _marker(namespace: str, number: int, kind: int, header: Header, kept: Duration) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=Marker.ADD, lifetime=kept)
    marker.pose.orientation.w = 1.0
    marker.scale.x = 0.002
    return marker


def _add_box(marker: Marker, box: OrientedBox, color: ColorRGBA) -> None:
    corners = [Point(x=x, y=y, z=z) for x, y, z in box_corners(box).tolist()]
    marker.color = color
    marker.points.extend(corners[end] for edge in _EDGES for end in edge)
    marker.colors.extend([color] * (2 * len(_EDGES)))


def _add_axes(marker: Marker, box: OrientedBox) -> None:
    """The box's own axes from its centre."""
    length = max(AXIS_LENGTH_FRACTION * float(box.size_m.max()), MIN_AXIS_LENGTH_M)
    center = box.world_from_box[:3, 3]
    for axis, color in enumerate(_AXIS_COLORS):
        marker.points += [point_message(center), point_message(center + length * box.world_from_box[:3, axis])]
        marker.colors += [color, color]


def _frusta(cameras: Reconstruction, header: Header, kept: Duration) -> Marker:
    """Eight edges per view: from the camera's centre to the corners of its image, and around the image."""
    marker = _marker("cameras/frustum", 0, Marker.LINE_LIST, header, kept)
    marker.color = _FRUSTUM_COLOR
    height, width = cameras.depth.shape[-2:]
    corners = torch.tensor([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=torch.float32)
    seen = cameras.depth[cameras.depth > 0]
    distance = FRUSTUM_DEPTH_FRACTION * (float(seen.median()) if len(seen) else 1.0)
    for intrinsics, world_from_cam in zip(cameras.intrinsics.cpu(), cameras.world_from_cam.cpu()):
        rays = pixel_rays(intrinsics, corners)
        image = [point_message(p) for p in transform_points(world_from_cam, distance * rays)]
        eye = point_message(world_from_cam[:3, 3])
        for index, corner in enumerate(image):
            marker.points += [eye, corner, corner, image[(index + 1) % 4]]
    return marker


def _label(instance: Instance, header: Header, kept: Duration) -> Marker:
    marker = _marker("instances/label", marker_id(instance.id), Marker.TEXT_VIEW_FACING, header, kept)
    name = instance.class_name or "object"
    marker.text = f"{name} {instance.id} ({instance.score:.2f})"
    marker.scale.x, marker.scale.z = 0.0, 0.025
    marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    top = max(instance.size.x, instance.size.y, instance.size.z) / 2
    marker.pose.position = Point(x=instance.pose.position.x, y=instance.pose.position.y, z=instance.pose.position.z + top + 0.02)
    return marker
