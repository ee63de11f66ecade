"""Objects and grasps as RViz markers. Points never go into markers: 100,000 of them take seconds to send."""

from __future__ import annotations

import colorsys

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from pan3d_interfaces.msg import Instance, InstanceArray
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from pan3d_core.structures import OrientedBox, Segment
from pan3d_ros.messages.poses import box_corners

MAX_SINGLE_BOXES = 60  # more objects share one LINE_LIST
# Corners of a box whose index differs in one bit are joined by an edge.
_EDGES = [(a, a | 1 << axis) for a in range(8) for axis in range(3) if not a >> axis & 1]


def color_of_id(instance_id: int) -> ColorRGBA:
    """A colour that stays with an id; neighbouring ids differ (steps of the golden angle)."""
    red, green, blue = colorsys.hsv_to_rgb(instance_id * 0.618034 % 1.0, 0.75, 1.0)
    return ColorRGBA(r=red, g=green, b=blue, a=0.9)


def lifetime(seconds: float) -> Duration:
    """Duration message of seconds."""
    whole = int(seconds)
    return Duration(sec=whole, nanosec=int((seconds - whole) * 1e9))


def marker_id(instance_id: int) -> int:
    """Instance id as the signed number that a Marker has."""
    return instance_id % 2**31


class MarkerDrawing:
    """Draws the objects of each result: `instances/box` and `instances/label` with the id of the object, and
    deletes exactly those that have gone."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()

    def clear(self) -> MarkerArray:
        """Remove everything, for instance when the node is deactivated."""
        self._shown.clear()
        return MarkerArray(markers=[Marker(action=Marker.DELETEALL)])

    def draw(self, array: InstanceArray, segments: dict[int, Segment], lifetime_s: float) -> MarkerArray:
        """Markers of the visible instances; `segments` are theirs by id."""
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


def _label(instance: Instance, header: Header, kept: Duration) -> Marker:
    marker = _marker("instances/label", marker_id(instance.id), Marker.TEXT_VIEW_FACING, header, kept)
    name = instance.class_name or "object"
    marker.text = f"{name} {instance.id} ({instance.score:.2f})"
    marker.scale.x, marker.scale.z = 0.0, 0.025
    marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    top = max(instance.size.x, instance.size.y, instance.size.z) / 2
    marker.pose.position = Point(x=instance.pose.position.x, y=instance.pose.position.y, z=instance.pose.position.z + top + 0.02)
    return marker
