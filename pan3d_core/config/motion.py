"""Settings of how an arm moves among what is seen."""

from __future__ import annotations

from dataclasses import dataclass

from pan3d_core.settings import SHARE, Checked, setting


@dataclass(frozen=True)
class MotionConfig(Checked):
    """Joint positions, paths and their times, for an arm that knows its surroundings by its cameras alone."""

    clearance_m: float = setting(0.012, "distance that the arm keeps from everything on its way", range=(0.0, 0.2))
    close_clearance_m: float = setting(0.002, "the same on the straight pieces at a grasp and at a place", range=(0.0, 0.1))
    unseen_margin_m: float = setting(
        0.010, "objects are believed to reach this much further where no camera saw", range=(0.0, 0.2)
    )
    avoid_unknown: bool = setting(False, "keep out of space that no view has seen, too")
    path_time_s: float = setting(3.0, "longest search for one path", range=(0.01, 600.0))
    plan_time_s: float = setting(15.0, "longest search for a grasp, a place and all paths between", range=(0.01, 3600.0))
    step_rad: float = setting(0.03, "states on a path are checked this close to each other", range=(0.001, 0.5))
    speed_share: float = setting(0.4, "share of each joint's largest speed that is used", range=SHARE)
    acceleration: float = setting(2.5, "largest acceleration of a joint, radians per second squared", range=(0.01, 100.0))
    carry_share: float = setting(0.5, "share of both that is used while something is held", range=SHARE)
    straight_speed_m_s: float = setting(0.10, "speed of the tool on straight pieces, at most", range=(0.001, 2.0))
    # Depth from colour alone puts the tops of things up to 2 cm too high, and pads that hold an edge lose it.
    deeper_m: float = setting(
        0.012, "grasps in the upper half of an object go this much lower, where there is room", range=(0.0, 0.1)
    )
    lift_m: float = setting(0.12, "height by which an object is lifted before it is carried", range=(0.01, 1.0))
    release_m: float = setting(0.003, "height above its place from which an object is let go", range=(0.0, 0.1))
    place_gap_m: float = setting(0.03, "free space around an object where it is put", range=(0.0, 0.5))
