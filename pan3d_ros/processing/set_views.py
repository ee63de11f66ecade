"""The views of one set: every frame converted and checked by itself and beside the others, so that a bad camera harms no other.

No ROS in here, and no clock: the node, the replay of a bag and `pan3d doctor BAG` ask the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from pan3d_core.config import ImageLimits, PreprocessConfig
from pan3d_core.geometry.camera_checks import CalibrationRefused, CameraRefused, PoseRefused, code_of
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.runtime.failures import FAILURES, FailureLog, described
from pan3d_core.structures import CameraView
from pan3d_core.views.image_files import DEFAULT_LIMITS
from pan3d_core.views.preprocessing import require_usable
from pan3d_core.views.usable_views import distant_views
from pan3d_ros.inputs.camera_frames import CameraFrame
from pan3d_ros.inputs.transforms import TransformUnavailable
from pan3d_ros.messages.cameras import to_camera_view
from pan3d_ros.processing.problem_log import Problem

# What a camera is refused for -> what of it is meant.
PARTS = {CameraRefused.code: "image", CalibrationRefused.code: "camera_info", PoseRefused.code: "transform"}
OF_CAMERAS = (Problem.TF_FAILURE, Problem.NO_CAMERA_INFO, Problem.NO_IMAGES)  # what can be wrong with one of several

ONE_PLACE_M = 0.02  # a moving frame is so far from where it was a few milliseconds before; no two cameras are so near


@dataclass(frozen=True)
class ViewRules:
    """What is asked of the views."""

    world_frame_id: str
    preprocess: PreprocessConfig  # what they are prepared for
    max_scene_depth_m: float  # largest distance of two cameras
    limits: ImageLimits = DEFAULT_LIMITS  # of the sizes of images, before they are decoded


@dataclass(frozen=True)
class Fault:
    """Why a camera is left out."""

    problem: Problem
    part: str  # of the camera: "image", "camera_info" or "transform"
    message: str


def usable_views(
    frames: Sequence[CameraFrame],
    cam_from_world: Callable[[CameraFrame], Tensor | None],
    rules: ViewRules,
    failures: FailureLog,
) -> tuple[list[CameraView], dict[str, Fault]]:
    """Convert the frames of one set.

    Args:
        frames: One of each camera.
        cam_from_world: (4, 4) metres of a frame, None for unposed cameras; raises `TransformUnavailable`.
        rules: Asked of the views.
        failures: Is told of exceptions that no check expected.

    Returns:
        The views that can be used, and camera -> what is wrong with the others.
    """
    views, faults = [], {}
    for frame in frames:
        try:
            views.append(_view(frame, cam_from_world(frame), rules))
        except TransformUnavailable as error:
            faults[frame.camera] = Fault(Problem.TF_FAILURE, "transform", str(error))
        except ValueError as error:
            code = code_of(error)
            faults[frame.camera] = Fault(Problem[code], PARTS[code], f"{frame.camera}: {error}")
        except FAILURES as error:  # a message that no check expected
            failures.report(f"a view of {frame.camera}", error)
            faults[frame.camera] = Fault(Problem.NO_IMAGES, "image", f"{frame.camera}: {described(error)}")
    frame_ids = {frame.camera: frame.frame_id for frame in frames}
    for wrong in (one_place(views, frame_ids), far_away(views, rules.max_scene_depth_m)):
        faults |= {camera: Fault(Problem.TF_FAILURE, "transform", message) for camera, message in wrong.items()}
    return [view for view in views if view.camera not in faults], faults


def _view(frame: CameraFrame, cam_from_world: Tensor | None, rules: ViewRules) -> CameraView:
    if frame.info_problem:
        raise CalibrationRefused(frame.info_problem)
    view = to_camera_view(
        frame.image,
        frame.info,
        frame.depth,
        cam_from_world,
        camera=frame.camera,
        world_frame_id=rules.world_frame_id,
        rectified=frame.config.rectified,
        limits=rules.limits,
    )
    require_usable(view, rules.preprocess)
    return view


def one_place(views: Sequence[CameraView], frame_ids: Mapping[str, str]) -> dict[str, str]:
    """Find cameras whose images name one optical frame and that so have one pose, which is that of one of them at most.

    Args:
        views: Of one set.
        frame_ids: Camera -> optical frame.

    Returns:
        Camera -> what is wrong.
    """
    placed = {view.camera: invert_rigid(view.cam_from_world)[:3, 3] for view in views if view.cam_from_world is not None}
    wrong = {}
    for camera, place in placed.items():
        same = [
            other
            for other, there in placed.items()
            if frame_ids[other] == frame_ids[camera] and float((there - place).norm()) < ONE_PLACE_M
        ]
        if len(same) > 1:
            wrong[camera] = (
                f"{camera}: expected an optical frame of its own, got '{frame_ids[camera]}' and so one pose for"
                f" {', '.join(same)}; set camera.<name>.frame_id"
            )
    return wrong


def far_away(views: Sequence[CameraView], most_m: float) -> dict[str, str]:
    """Find the cameras whose poses cannot be metres because the others stand elsewhere.

    Args:
        views: Of one set.
        most_m: Largest distance of two cameras.

    Returns:
        Camera -> what is wrong.
    """
    wrong = distant_views(views, most_m)
    return {views[row].camera: f"{views[row].camera}: {words}" for row, words in wrong.items()}
