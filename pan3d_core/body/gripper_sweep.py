"""The parts of a gripper moved from closed to open, as points of their surfaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pan3d_core.body.description import Floats, RobotDescription
from pan3d_core.body.gripper_links import GripperLinks
from pan3d_core.body.kinematics import root_from_links
from pan3d_core.body.surfaces import surface_points

POSITIONS = 25  # of the fingers, from one end to the other
STEP_M = 0.0015  # between points of surfaces
_Part = list[tuple[str, Floats]]  # links, and (N, 3) points in the frame of each


@dataclass(frozen=True)
class Swept:
    """Surface points of the parts of a gripper in `POSITIONS` positions, from closed to open; metres, in one frame."""

    low: Floats  # (S, N, 3) of the finger that is on the side of -x
    high: Floats  # (S, M, 3) of the other one
    palm: Floats  # (S, K, 3)
    positions: tuple[Mapping[str, float], ...]  # (S,) of the joints that open it
    turns_deg: tuple[Floats, Floats]  # (N,) and (M,) of each point of the fingers with its link, from closed to open

    def seen_from(self, here_from_frame: Floats) -> Swept:
        """The same in the frame of `here_from_frame`, the finger on the side of -x first."""
        turn, place = here_from_frame[:3, :3], here_from_frame[:3, 3]
        low, high, palm = ((points - place) @ turn for points in (self.low, self.high, self.palm))
        if low[-1, :, 0].mean() <= high[-1, :, 0].mean():
            return Swept(low, high, palm, self.positions, self.turns_deg)
        return Swept(high, low, palm, self.positions, self.turns_deg[::-1])


def sweep(robot: RobotDescription, links: GripperLinks) -> Swept:
    """Move the fingers; in the frame of the hand."""
    parts = _parts(robot, links)
    ways = _ways(robot, links, parts)
    frames = [hand_from_links(robot, links.hand, way) for way in ways]
    low, high, palm = (np.stack([_placed(part, places) for places in frames]) for part in parts)
    apart = np.linalg.norm(high.mean(1) - low.mean(1), axis=-1)
    chosen = slice(None) if apart[-1] >= apart[0] else slice(None, None, -1)
    turns = [
        np.concatenate([np.full(len(points), _turn_deg(frames[0][link], frames[-1][link])) for link, points in part])
        for part in parts[:2]
    ]
    return Swept(low[chosen], high[chosen], palm[chosen], tuple(ways[chosen]), (turns[0], turns[1]))


def _turn_deg(first: Floats, last: Floats) -> float:
    """Angle between two orientations (4, 4)."""
    return float(np.degrees(np.arccos(np.clip((np.trace(first[:3, :3].T @ last[:3, :3]) - 1) / 2, -1, 1))))


def _parts(robot: RobotDescription, links: GripperLinks) -> tuple[_Part, _Part, _Part]:
    """Points of both fingers, all over their surface, and corners of the palm, each in the frame of its link."""
    low, high = (
        [(shape.link, surface_points(shape.vertices, shape.faces, STEP_M)) for shape in robot.shapes if shape.link in members]
        for members in links.finger_links
    )
    for finger, points in zip(links.fingers, (low, high)):
        if not points:
            raise ValueError(f"fingers: expected a surface of {finger} or of what hangs from it, got none")
    return low, high, [(shape.link, shape.vertices) for shape in robot.shapes if shape.link in links.palm_links]


def _placed(part: _Part, places: Mapping[str, Floats]) -> Floats:
    """(N, 3) points of a part, in the frame of the hand."""
    return np.concatenate([points @ places[link][:3, :3].T + places[link][:3, 3] for link, points in part])


def _ways(robot: RobotDescription, links: GripperLinks, parts: tuple[_Part, _Part, _Part]) -> list[dict[str, float]]:
    """Positions of the opening joints from one end to the other; of two, in the sense in which the fingers part most."""
    limits = {joint.name: joint.limits for joint in robot.joints}
    ends = [np.linspace(*(limits[name] or (0.0, 0.0)), POSITIONS) for name in links.joints]
    senses = [ends] if len(ends) == 1 else [ends, [ends[0], ends[1][::-1]]]

    def apart(way: dict[str, float]) -> float:
        places = hand_from_links(robot, links.hand, way)
        return float(np.linalg.norm(_placed(parts[1], places).mean(0) - _placed(parts[0], places).mean(0)))

    ways = [[dict(zip(links.joints, map(float, row))) for row in zip(*sense)] for sense in senses]
    return max(ways, key=lambda way: abs(apart(way[-1]) - apart(way[0])))


def hand_from_links(robot: RobotDescription, hand: str, opening: Mapping[str, float]) -> dict[str, Floats]:
    """(4, 4) of each link; joints that do not open the gripper are at 0, or as near to it as they go."""
    limits = {joint.name: joint.limits or (-np.inf, np.inf) for joint in robot.joints}
    rest = {name: float(np.clip(0.0, *limits[name])) for name in robot.told_joints}
    places = root_from_links(robot, rest | dict(opening)).numpy()
    hand_from_root = np.linalg.inv(places[robot.index(hand)])
    return {link: hand_from_root @ place for link, place in zip(robot.links, places)}
