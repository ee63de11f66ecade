"""What is learnt of an attempt: its pictures and its grasp, as a lesson is made of them."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch

from pan3d_core.body import RobotBody, see_body
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import called
from pan3d_core.lessons import LessonFolder, Look, PickEvidence, look_of
from pan3d_core.lessons.differences import Mask
from pan3d_core.picking.reports import Attempt, Outcome, Seen
from pan3d_core.structures import CameraView
from pan3d_core.views.shrinking import shrunk

log = logging.getLogger("pan3d.picking")
BODY_PADDING_M = 0.01
LET_GO = (Outcome.PLACED, Outcome.NOT_AT_PLACE)  # at its place, as far as the gripper knows


def learnt(
    lessons: LessonFolder, body: RobotBody | None, done: Attempt, before: Seen, after: Seen | None, instance_id: int
) -> Attempt:
    """Write an attempt down.

    Args:
        lessons: Where to.
        body: Of the robot that the cameras see.
        done: What was tried; its motion says with which grasp.
        before: The look that it was carried out by.
        after: The look afterwards; None = nobody could look.
        instance_id: Of the object, in the look before.

    Returns:
        The attempt with its lesson; as it was where nothing was tried or the lesson could not be written, which is logged.
    """
    segment = before.segment(instance_id)
    if done.motion is None or segment is None:
        return done
    put = None
    if done.outcome in LET_GO:
        moved = torch.from_numpy(done.motion.world_from_was).to(segment.box.world_from_box)
        put = OrientedBox(moved @ segment.box.world_from_box, segment.box.size_m)
    name = called(before.result.panoptic.labels, segment.class_id, segment.taught)
    pick = PickEvidence(
        look_from(before, body, lessons.config.longest_px),
        None if after is None else look_from(after, body, lessons.config.longest_px),
        segment.box, done.motion.grasp, done.outcome.value, done.message, name, put, done.closed_m,
    )  # fmt: skip
    try:
        return replace(done, lesson=lessons.learn(pick))
    except OSError as error:
        log.warning("a lesson could not be written: %s", error)
        return done


def look_from(seen: Seen, body: RobotBody | None, longest_px: int) -> Look:
    """Make a look that can be compared of one that was seen.

    Args:
        seen: With its pictures.
        body: Of the robot that the cameras see; None = there is none.
        longest_px: Of the longer side of pictures, at most.

    Returns:
        The look.
    """
    small = [shrunk(view, longest_px) for view in seen.views]
    return look_of(small, seen.result, [_robot_pixels(view, body) for view in small])


def _robot_pixels(view: CameraView, body: RobotBody | None) -> Mask | None:
    if body is None or view.world_from_links is None:
        return None
    intrinsics, cam_from_world = (item.float()[None] for item in view.calibration())
    seen = see_body(body.surface, [view.world_from_links], cam_from_world, intrinsics, view.hw, BODY_PADDING_M)
    pixels: Mask = (seen.padded_back[0] > 0).cpu().numpy()
    return pixels
