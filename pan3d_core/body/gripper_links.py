"""Which links of a robot are the two fingers of its gripper, and which joints open them; asks by name where that is not plain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pan3d_core.body.description import FIXED, Joint, RobotDescription


@dataclass(frozen=True)
class GripperNames:
    """What somebody says of a gripper; what is empty is found where one answer alone is possible."""

    hand: str = ""  # link that the fingers move against
    fingers: tuple[str, ...] = ()  # two links: each with all that hangs from it is a finger
    joints: tuple[str, ...] = ()  # that open it


@dataclass(frozen=True)
class GripperLinks:
    """The parts of a gripper with two fingers."""

    hand: str  # in whose frame the gripper is measured
    fingers: tuple[str, str]
    joints: tuple[str, ...]  # one or two that open it and follow no other, each with limits
    finger_links: tuple[tuple[str, ...], tuple[str, ...]]  # all links of each finger
    palm_links: tuple[str, ...]  # all other links of the gripper


def find_gripper(robot: RobotDescription, names: GripperNames | None = None) -> GripperLinks:
    """Find the gripper of a robot.

    Args:
        robot: With at least one gripper.
        names: What is known of it by name.

    Returns:
        Its links, and the joints that open it.

    Raises:
        ValueError: None has two fingers, or several are possible and no name says which; the error lists them.
    """
    names, tree = names or GripperNames(), _Tree(robot)
    _require_known("hand", [names.hand] if names.hand else [], robot.links)
    _require_known("fingers", names.fingers, robot.links)
    moving = [joint.name for joint in robot.joints if joint.kind not in FIXED]
    _require_known("joints", names.joints, moving)
    fingers = _named_fingers(tree, names.fingers) if names.fingers else _only_fingers(tree, names.hand)
    between = tree.meeting(*fingers)
    if names.hand and not robot.are_fixed(names.hand, between):
        raise ValueError(f"hand: expected a link that is fixed to {between}, against which the fingers move, got {names.hand}")
    paths = [tree.moving_between(between, finger) for finger in fingers]
    for finger, path in zip(fingers, paths):
        if not path:
            raise ValueError(f"fingers: expected two that move against {between}, got {finger}, which is fixed to it")
    hand = _with_surface(tree, names.hand or between, fingers)
    finger_links = tuple(tree.below(finger) for finger in fingers)
    palm = tuple(link for link in tree.below(hand) if link not in finger_links[0] + finger_links[1])
    joints = _opening_joints(robot, fingers, paths, names.joints)
    return GripperLinks(hand, fingers, joints, (finger_links[0], finger_links[1]), palm)


class _Tree:
    """The links of a robot by what they hang from."""

    def __init__(self, robot: RobotDescription) -> None:
        self.robot = robot
        self.joint_to = {joint.child: joint for joint in robot.joints}

    def above(self, link: str) -> list[str]:
        """A link, the one that it hangs from, and so on to the root."""
        found = [link]
        while found[-1] in self.joint_to:
            found.append(self.joint_to[found[-1]].parent)
        return found

    def below(self, link: str) -> tuple[str, ...]:
        """A link and all that hang from it."""
        return tuple(other for other in self.robot.links if link in self.above(other))

    def meeting(self, one: str, other: str) -> str:
        """The last link from which both hang."""
        return next(link for link in self.above(one) if link in self.above(other))

    def moving_between(self, above: str, link: str) -> list[Joint]:
        """Joints that move a link against one above it."""
        way = self.above(link)
        joints = [self.joint_to[place] for place in way[: way.index(above)]]
        return [joint for joint in joints if joint.kind not in FIXED]

    def moved_by(self, rigid: str, within: str) -> list[str]:
        """Links that a joint moves against the rigid body that begins with `rigid`, below `within`."""
        return [
            joint.child
            for joint in self.robot.joints
            if joint.kind not in FIXED and self.robot.fixed_root(joint.parent) == rigid and within in self.above(joint.child)
        ]


def _require_known(field: str, given: Sequence[str], known: Iterable[str]) -> None:
    missing = [name for name in given if name not in known]
    if missing:
        raise ValueError(f"{field}: expected of {', '.join(known) or 'none'}, got {', '.join(missing)}")


def _named_fingers(tree: _Tree, given: Sequence[str]) -> tuple[str, str]:
    if len(given) != 2 or given[0] == given[1]:
        raise ValueError(f"fingers: expected two links, got {', '.join(given)}: a hand of other than two jaws is not planned for")
    for one, other in (given, given[::-1]):
        if other in tree.above(one):
            raise ValueError(f"fingers: expected two links side by side, got {one}, which hangs from {other}")
    return given[0], given[1]


def _only_fingers(tree: _Tree, hand: str) -> tuple[str, str]:
    """The two links that move against the only rigid body with two or more such links, and no such body after it."""
    within = hand or tree.robot.root
    bodies = list(dict.fromkeys(tree.robot.fixed_root(link) for link in tree.below(within)))
    branching = {body: moved for body in bodies if len(moved := tree.moved_by(body, within)) > 1}
    last = {
        body: moved
        for body, moved in branching.items()
        if not any(other != body and body in tree.above(other) for other in branching)
    }
    if not last:
        moving = [joint.child for joint in tree.robot.joints if joint.kind not in FIXED]
        where = f" below {hand}" if hand else ""
        raise ValueError(
            f"fingers: expected two links that move against the same hand{where}, got none; links that move: "
            f"{', '.join(moving) or 'none'}"
        )
    hands = [tree.joint_to[moved[0]].parent for moved in last.values()]
    if len(last) > 1:
        raise ValueError(f"hand: expected the name of one of {', '.join(hands)}, which all have fingers, got none")
    (moved,) = last.values()
    if len(moved) > 2:
        raise ValueError(
            f"fingers: expected two links that move against {hands[0]}, got {len(moved)}: {', '.join(moved)}; where it has two "
            f"jaws, name their links, of {', '.join(_all_below(tree, moved))}"
        )
    return moved[0], moved[1]


def _all_below(tree: _Tree, links: Sequence[str]) -> list[str]:
    return [name for link in links for name in tree.below(link)]


def _with_surface(tree: _Tree, hand: str, fingers: tuple[str, str]) -> str:
    """The hand, or the nearest link above that is fixed to it and has a surface apart from the fingers'."""
    shaped = {shape.link for shape in tree.robot.shapes}
    apart = set(tree.below(fingers[0]) + tree.below(fingers[1]))
    for link in tree.above(hand):
        if shaped & (set(tree.below(link)) - apart):
            return link
        if link not in tree.joint_to or tree.joint_to[link].kind not in FIXED:
            break
    raise ValueError(f"hand: expected a surface of {hand} or of what it is fixed to, beside that of the fingers, got none")


def _opening_joints(
    robot: RobotDescription, fingers: Sequence[str], paths: Sequence[Sequence[Joint]], given: Sequence[str]
) -> tuple[str, ...]:
    """The joints that open the gripper, with what follows them; others stay."""
    told = {joint.name: joint.name if joint.mimicked is None else joint.mimicked.joint for joint in robot.joints}
    leading = [list(dict.fromkeys(told[joint.name] for joint in path)) for path in paths]
    wanted = {told[name] for name in given}
    astray = sorted(wanted - {name for names in leading for name in names})
    if astray:
        ways = "; ".join(f"{finger}: {', '.join(names)}" for finger, names in zip(fingers, leading))
        raise ValueError(f"joints: expected those that move the fingers ({ways}), got {', '.join(astray)}")
    for finger, names in zip(fingers, leading):
        opening = [name for name in names if not wanted or name in wanted]
        if len(opening) != 1:
            got = f"{len(names)}: {', '.join(names)}; name those that open it" if not given else f"{', '.join(given)} of those"
            raise ValueError(f"joints: expected one that opens {finger}, or that others follow, got {got}")
    found = tuple(dict.fromkeys(name for names in leading for name in names if not wanted or name in wanted))
    joints = {joint.name: joint for joint in robot.joints}
    for name in found:
        limits = joints[name].limits
        if limits is None or joints[name].kind == "continuous" or not limits[0] < limits[1]:
            what = "none" if limits is None or joints[name].kind == "continuous" else f"{limits[0]:g} and {limits[1]:g}"
            raise ValueError(f"joint {name}.limit: expected a lower and a higher one, by which the gripper opens, got {what}")
    return found
