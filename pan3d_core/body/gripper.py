"""The shape of a gripper with two fingers, measured on a robot's description: as the grasp planner knows hands, by boxes.

The fingers are moved from closed to open, and what their surfaces fill meanwhile is measured in the grasp frame (origin between
the pads, +z approach, +x closing). All sizes are the largest on the way, so that no part is ever outside its box.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pan3d_core.body.description import Floats, RobotDescription
from pan3d_core.body.gripper_links import GripperLinks, GripperNames, find_gripper
from pan3d_core.body.gripper_sweep import Swept, hand_from_links, sweep
from pan3d_core.config import FingertipConfig, GripperConfig

TIP_M = 0.020  # the last part of fingers, at whose inner sides the pads are
FACE_M = 0.001  # what is less deep than this behind a pad's face is the face
GAP_M = 0.004  # along a finger, by which a face may be interrupted
INWARD_M = 0.003  # what is further inward than the pads belongs to the palm
TCP_BEFORE_TIP_M = 0.010  # of a grasp frame that nobody gave, at most
LEAST_TRAVEL_M = 0.001
SHORTEST_M = 0.005  # finger
TOUCHING_M = 0.001  # pads that come as near as this close to nothing
ASIDE_M = 0.003  # by which the middle between the pads may leave the approach axis
ASKEW_DEG = 10.0  # between given and measured closing direction
MOST_TURN_DEG = 45.0  # of a pad from closed to open
TOLD_TURN_DEG, TOLD_TRAVEL_M = 5.0, 0.002  # from here on a turn, and a way of the tips along the approach, are told


@dataclass(frozen=True)
class MeasuredGripper:
    """A gripper as the planner knows it."""

    links: GripperLinks
    config: GripperConfig  # kind parallel
    hand_from_grasp: Floats  # (4, 4) metres: the grasp frame on `links.hand`
    openings_m: tuple[float, ...]  # between the pads, from closed to open
    positions: tuple[Mapping[str, float], ...]  # of each of `links.joints` at these openings, radians or metres
    notes: tuple[str, ...] = ()  # in which way it is not quite what the planner takes it for

    def joints_at(self, opening_m: float) -> dict[str, float]:
        """The positions of `links.joints` at which the pads are so far apart, or as near to it as they go; radians or metres."""
        told = {name: [row[name] for row in self.positions] for name in self.links.joints}
        return {name: float(np.interp(opening_m, self.openings_m, values)) for name, values in told.items()}

    def on_link(self, robot: RobotDescription, link: str) -> Floats:
        """Place the grasp frame on another link.

        Args:
            robot: The same that was measured.
            link: That does not move against the hand.

        Returns:
            (4, 4) link_from_grasp, metres.

        Raises:
            ValueError: There is no such link, or a joint is between.
        """
        return np.linalg.inv(_fixed_to_hand(robot, self.links, link)) @ self.hand_from_grasp

    @property
    def message(self) -> str:
        """What was found, in words."""
        low, high = 1e3 * self.config.min_width_m, 1e3 * self.config.max_width_m
        words = f"{' and '.join(self.links.fingers)} at {self.links.hand} open from {low:.1f} to {high:.1f} mm"
        return "; ".join([f"{words} by {' and '.join(self.links.joints)}", *self.notes])


def measure_gripper(
    robot: RobotDescription, names: GripperNames | None = None, frame: tuple[str, Floats] | None = None
) -> MeasuredGripper:
    """Measure the gripper of a robot.

    Args:
        robot: With surfaces of its hand and fingers.
        names: Of its parts, as far as they are known.
        frame: The grasp frame, as a link and (4, 4) link_from_grasp; None = it is found, `TCP_BEFORE_TIP_M` before the tips.

    Returns:
        Opening, sizes and grasp frame.

    Raises:
        ValueError: It has no two fingers, or not those that are named; they have no surface, do not move apart by equal shares,
            or do not reach beyond the hand; or the given frame is not between them.
    """
    links = find_gripper(robot, names)
    swept = sweep(robot, links)
    hand_from_frame = None if frame is None else _fixed_to_hand(robot, links, frame[0]) @ np.asarray(frame[1], np.float64)
    closing = _closing_direction(swept)
    hand_from_axes = _axes(robot, links, swept, closing) if hand_from_frame is None else hand_from_frame
    _require_closing(hand_from_axes, closing, frame, links.hand)
    return _measured(links, swept.seen_from(hand_from_axes), hand_from_axes, frame)


def _closing_direction(swept: Swept) -> Floats:
    """(3,) unit, the way in which one finger leaves the other; of the two that which is along an axis of the hand."""
    way: Floats = (swept.high[-1] - swept.high[0]).mean(0) - (swept.low[-1] - swept.low[0]).mean(0)
    length = float(np.linalg.norm(way))
    if length < LEAST_TRAVEL_M:
        raise ValueError(
            f"joints: expected {', '.join(swept.positions[0])} to move the fingers apart by {LEAST_TRAVEL_M:g} m or more between "
            f"their limits, got {length:.4f} m"
        )
    closing: Floats = way / length * np.sign(way[np.abs(way).argmax()])
    return closing


def _axes(robot: RobotDescription, links: GripperLinks, swept: Swept, closing: Floats) -> Floats:
    """(4, 4) hand_from_axes with x closing and z from the palm to the fingers, along an axis of hand or finger where one fits."""
    both = np.concatenate([swept.low[-1], swept.high[-1]])
    ahead = _across((both.max(0) + both.min(0)) / 2 - (swept.palm[-1].max(0) + swept.palm[-1].min(0)) / 2, closing)
    frames = hand_from_links(robot, links.hand, swept.positions[-1])
    axes = np.concatenate([frames[link][:3, :3].T for link in (links.hand, *links.fingers)])
    axes = axes[np.abs(axes @ closing) < np.sin(np.radians(ASKEW_DEG))]
    if len(axes):
        along = axes @ ahead
        best = int(np.abs(along).argmax())
        ahead = _across(axes[best] * np.sign(along[best]), closing)
    hand_from_axes = np.eye(4)
    hand_from_axes[:3, :3] = np.stack([closing, np.cross(ahead, closing), ahead], axis=-1)
    return hand_from_axes


def _across(way: Floats, closing: Floats) -> Floats:
    """(3,) unit, the part of a way that is not along the closing direction."""
    rest = way - (way @ closing) * closing
    length = float(np.linalg.norm(rest))
    if length < LEAST_TRAVEL_M:
        raise ValueError("hand: expected fingers that reach ahead of it, got fingers beside it; give the grasp frame by a link")
    across: Floats = rest / length
    return across


def _fixed_to_hand(robot: RobotDescription, links: GripperLinks, link: str) -> Floats:
    """(4, 4) hand_from_link of a link that no joint moves against the hand."""
    robot.index(link)  # names the links that there are
    if not robot.are_fixed(link, links.hand):
        raise ValueError(
            f"grasp frame: expected a link that is fixed to {links.hand}, got {link}, which a joint moves against it"
        )
    return hand_from_links(robot, links.hand, {})[link]


def _require_closing(hand_from_axes: Floats, closing: Floats, frame: tuple[str, Floats] | None, hand: str) -> None:
    if frame is None:
        return
    along = abs(float(hand_from_axes[:3, 0] @ closing))
    if along < np.cos(np.radians(ASKEW_DEG)):
        way, given = (", ".join(f"{value:.2f}" for value in axis) for axis in (closing, hand_from_axes[:3, 0]))
        raise ValueError(
            f"grasp frame on {frame[0]}: expected +x along the closing direction, ({way}) in the frame of {hand}, got ({given}), "
            f"{np.degrees(np.arccos(along)):.0f} degrees off"
        )


def _measured(links: GripperLinks, swept: Swept, hand_from_axes: Floats, frame: tuple[str, Floats] | None) -> MeasuredGripper:
    palm_front = float(swept.palm[..., 2].max())
    tips = np.maximum(swept.low[..., 2].max(1), swept.high[..., 2].max(1))  # (S,)
    tip = float(tips.max())
    if tip - palm_front < SHORTEST_M:
        raise ValueError(
            f"fingers: expected {' and '.join(links.fingers)} to reach at least {SHORTEST_M:g} m ahead of "
            f"{', '.join(links.palm_links)}, got {tip - palm_front:.4f} m; all that hangs from the hand counts for the palm"
        )
    faces = np.array([_faces(low, high, top, palm_front) for low, high, top in zip(swept.low, swept.high, tips)])  # (S, 2)
    gaps, middles = faces[:, 1] - faces[:, 0], faces.mean(1)
    if gaps.max() < LEAST_TRAVEL_M:
        raise ValueError(f"fingers: expected room between {' and '.join(links.fingers)}, got {gaps.max():.4f} m at most")
    _require_shares(links, middles)
    turn_deg = float(swept.turns_deg[0][swept.low[0, :, 2].argmax()])  # of the link with the tip
    if turn_deg > MOST_TURN_DEG:
        raise ValueError(
            f"fingers: expected pads that turn by at most {MOST_TURN_DEG:g} degrees from closed to open, got {turn_deg:.0f}"
        )
    front = max(palm_front, _inward_end(swept, faces, palm_front))
    origin = _origin(swept, faces, tip, frame)
    if frame is not None:
        _require_between(links, frame[0], float(middles.mean()), front, tip)
    config = _sizes(swept, faces, tips, front, origin)
    hand_from_grasp = hand_from_axes.copy()
    hand_from_grasp[:3, 3] += hand_from_axes[:3, :3] @ origin
    order = np.argsort(gaps, kind="stable")
    openings_m, positions = tuple(map(float, gaps[order])), tuple(swept.positions[row] for row in order)
    return MeasuredGripper(links, config, hand_from_grasp, openings_m, positions, _notes(turn_deg, float(np.ptp(tips))))


def _faces(low: Floats, high: Floats, tip: float, palm_front: float) -> tuple[float, float]:
    """Where along x the inner sides of the fingers' last parts are."""
    since = tip - min(TIP_M, 0.6 * (tip - palm_front))
    ends = [points[points[:, 2] > since, 0] for points in (low, high)]
    if not len(ends[0]) or not len(ends[1]):
        raise ValueError(f"fingers: expected both to end within {TIP_M:g} m of each other along the approach, got one longer")
    return float(ends[0].max()), float(ends[1].min())


def _require_shares(links: GripperLinks, middles: Floats) -> None:
    aside = float(np.ptp(middles))
    if aside > ASIDE_M:
        raise ValueError(
            f"fingers: expected {' and '.join(links.fingers)} to open by equal shares, got a middle between them that goes "
            f"{aside:.4f} m aside from closed to open"
        )


def _inward_end(swept: Swept, faces: Floats, palm_front: float) -> float:
    """How far along z parts of the fingers reach that are further inward than the pads: an object must stay before them."""
    end = palm_front
    for low, high, (left, right) in zip(swept.low, swept.high, faces):
        inward = np.concatenate([low[low[:, 0] > left + INWARD_M, 2], high[high[:, 0] < right - INWARD_M, 2]])
        end = max(end, float(inward.max(initial=palm_front)))
    return end


def _origin(swept: Swept, faces: Floats, tip: float, frame: tuple[str, Floats] | None) -> Floats:
    """(3,) of the grasp frame: as given, or between the middles of the pads and a little before the tips."""
    if frame is not None:
        return np.zeros(3)
    length, side = _pad(swept, faces, tip)
    return np.array([faces.mean(), side.mean(), tip - min(TCP_BEFORE_TIP_M, length / 2)])


def _pad(swept: Swept, faces: Floats, tip: float) -> tuple[float, Floats]:
    """How far before the tips the faces of both pads go on, and their ends (2,) along y; while they are closed."""
    closed = int((faces[:, 1] - faces[:, 0]).argmin())
    mirror = np.array([-1.0, 1.0, 1.0])
    pads = [_face(swept.low[closed], faces[closed, 0]), _face(swept.high[closed] * mirror, -faces[closed, 1])]
    lowest = max(float(pad[:, 2].min()) for pad in pads)
    return tip - lowest, np.array([max(pad[:, 1].min() for pad in pads), min(pad[:, 1].max() for pad in pads)])


def _face(points: Floats, inner: float) -> Floats:
    """The points (N, 3) of a finger on the side of -x that lie on its inner face, from the tip on as far as this goes."""
    face = points[points[:, 0] > inner - FACE_M]
    face = face[np.argsort(-face[:, 2])]
    ends = np.flatnonzero(-np.diff(face[:, 2]) > GAP_M)
    return face[: ends[0] + 1] if len(ends) else face


def _require_between(links: GripperLinks, link: str, middle: float, front: float, tip: float) -> None:
    """Of a given frame, in which the pads' middle is at `middle` along x, the palm ends at `front` and the fingers at `tip`."""
    if abs(middle) > ASIDE_M or not front <= 0 <= tip:
        raise ValueError(
            f"grasp frame on {link}: expected an origin between the pads of {' and '.join(links.fingers)}, got one from which "
            f"they are {middle:.4f} m along x, and reach from {front:.4f} to {tip:.4f} m along z"
        )


def _sizes(swept: Swept, faces: Floats, tips: Floats, front: float, origin: Floats) -> GripperConfig:
    """Boxes around the grasp frame; `tips` (S,) of each position and `front` of the palm along z."""
    fingers = np.concatenate([swept.low, swept.high], axis=1) - origin
    free = fingers[..., 2] > front - origin[2]
    behind = np.concatenate([(swept.palm - origin).reshape(-1, 3), fingers[~free]])
    gaps, narrowest = faces[:, 1] - faces[:, 0], float((faces[:, 1] - faces[:, 0]).min())
    tip, length = float(tips.max()), _pad(swept, faces, float(tips.max()))[0]
    slim, fingertip = np.maximum(tips - length, front) + FACE_M, FingertipConfig()
    if tip - length > front + TOUCHING_M:
        breadth = 2 * np.abs(fingers[fingers[..., 2] > (slim - origin[2])[:, None]][:, 1]).max()
        fingertip = FingertipConfig(_millimetres(length), _thickness(swept, faces, slim), _millimetres(breadth))
    return GripperConfig(
        max_width_m=_millimetres(gaps.max()),
        min_width_m=_millimetres(narrowest) if narrowest > TOUCHING_M else 0.0,
        finger_thickness_m=_thickness(swept, faces, np.full(len(tips), front)),
        finger_breadth_m=_millimetres(2 * np.abs(fingers[free][:, 1]).max()),
        finger_length_m=_millimetres(tip - front),
        tip_beyond_tcp_m=_millimetres(tip - origin[2]),
        palm_width_m=_millimetres(2 * np.abs(behind[:, 0]).max()),
        palm_breadth_m=_millimetres(2 * np.abs(behind[:, 1]).max()),
        palm_length_m=_millimetres(front - origin[2] - behind[:, 2].min()),
        fingertip=fingertip,
    )


def _thickness(swept: Swept, faces: Floats, since: Floats) -> float:
    """The most that fingers are thick outwards from their pads, over all positions, further along z than `since` (S,)."""
    found = 0.0
    for low, high, (left, right), start in zip(swept.low, swept.high, faces, since):
        found = max(found, left - float(low[low[:, 2] > start, 0].min()), float(high[high[:, 2] > start, 0].max()) - right)
    return _millimetres(found)


def _millimetres(value: float) -> float:
    """Metres, to a tenth of a millimetre."""
    return round(float(value), 4)


def _notes(turn_deg: float, travel_m: float) -> tuple[str, ...]:
    notes = []
    if turn_deg > TOLD_TURN_DEG:
        notes.append(f"pads turn by {turn_deg:.0f} degrees from closed to open, and the planner takes them for parallel")
    if travel_m > TOLD_TRAVEL_M:
        notes.append(f"tips move by {1e3 * travel_m:.0f} mm along the approach as they open; the furthest counts")
    return tuple(notes)
