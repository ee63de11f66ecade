"""What a robot is made of, as far as a camera can see it: links, joints between them, and the surfaces of links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TURNING, SLIDING, FIXED = ("revolute", "continuous"), ("prismatic",), ("fixed",)
KINDS = (*TURNING, *SLIDING, *FIXED)


@dataclass(frozen=True)
class Mimicked:
    """The joint that another one follows: its position is `multiplier` times that of `joint`, and `offset`."""

    joint: str
    multiplier: float = 1.0
    offset: float = 0.0  # radians or metres


@dataclass(frozen=True)
class Joint:
    """Between two links."""

    name: str
    kind: str  # one of `KINDS`
    parent: str
    child: str
    parent_from_joint: Floats  # (4, 4) metres: the child's frame while the position is 0
    axis: Floats  # (3,) unit, in the child's frame
    mimicked: Mimicked | None = None
    limits: tuple[float, float] | None = None  # radians or metres; None = not told


@dataclass(frozen=True)
class LinkShape:
    """A closed surface that moves with a link."""

    link: str
    vertices: Floats  # (V, 3) metres, in the link's frame
    faces: Ints  # (F, 3) vertices of each triangle, counter-clockwise as seen from outside


@dataclass(frozen=True)
class RobotDescription:
    """A tree of links."""

    name: str
    links: tuple[str, ...]
    joints: tuple[Joint, ...]  # those nearer to the root first
    shapes: tuple[LinkShape, ...]

    @cached_property
    def root(self) -> str:
        """The link that no joint moves."""
        children = {joint.child for joint in self.joints}
        return next(link for link in self.links if link not in children)

    @cached_property
    def told_joints(self) -> tuple[str, ...]:
        """The joints whose positions must be known to say where the links are."""
        return tuple(joint.name for joint in self.joints if joint.kind not in FIXED and joint.mimicked is None)

    def fixed_root(self, link: str) -> str:
        """The nearest link to the root of those that no joint moves against this one."""
        parents = {joint.child: joint.parent for joint in self.joints if joint.kind in FIXED}
        while link in parents:
            link = parents[link]
        return link

    def are_fixed(self, one: str, other: str) -> bool:
        """Whether no joint moves two links against each other."""
        return self.fixed_root(one) == self.fixed_root(other)

    def index(self, link: str) -> int:
        """Place of a link in `links`.

        Raises:
            ValueError: There is no such link; those that there are are named.
        """
        if link not in self.links:
            raise ValueError(f"link: expected one of {', '.join(self.links)}, got {link!r}")
        return self.links.index(link)


def parents_first(links: Sequence[str], joints: Sequence[Joint]) -> tuple[Joint, ...]:
    """Order joints from the root on and check that they make one tree of the links.

    Args:
        links: Names of all links.
        joints: In any order.

    Returns:
        The joints; each comes after the one that moves its parent.

    Raises:
        ValueError: Names are not unique, a joint names a link or joint that is not there, or the links are no single tree.
    """
    _require_names(links, joints)
    waiting, reached, ordered = list(joints), [], []
    children = [joint.child for joint in joints]
    roots = [link for link in links if link not in children]
    if len(roots) != 1:
        raise ValueError(f"link: expected one that no joint moves, the root of all others, got {', '.join(roots) or 'none'}")
    reached = roots
    while waiting:
        due = [joint for joint in waiting if joint.parent in reached]
        if not due:
            raise ValueError(f"joint: expected a way from {roots[0]} to every link, got a circle at {waiting[0].name}")
        ordered += due
        reached += [joint.child for joint in due]
        waiting = [joint for joint in waiting if joint not in due]
    return tuple(ordered)


def _require_names(links: Sequence[str], joints: Sequence[Joint]) -> None:
    for kind, names in (
        ("link", list(links)),
        ("joint", [joint.name for joint in joints]),
        ("child of joints", [joint.child for joint in joints]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{kind}: expected every name once, got {', '.join(twice)} again")
    for joint in joints:
        for role, link in (("parent", joint.parent), ("child", joint.child)):
            if link not in links:
                raise ValueError(f"joint {joint.name}.{role}: expected a link of {', '.join(links)}, got {link!r}")
    told = [joint.name for joint in joints if joint.kind not in FIXED and joint.mimicked is None]
    for joint in joints:
        if joint.mimicked is not None and joint.mimicked.joint not in told:
            raise ValueError(
                f"joint {joint.name}.mimic: expected one that moves and follows none ({', '.join(told) or 'there is none'}), "
                f"got {joint.mimicked.joint!r}"
            )
