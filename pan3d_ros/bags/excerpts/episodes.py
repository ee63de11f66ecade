"""What a bag shows at a steady rate, with calibration, poses and objects: what data sets of robots are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from pan3d_core.config import PipelineConfig
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.pictures.overlays import to_picture
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import CameraView, PerceptionResult, Segment, unit_range
from pan3d_ros.bags.inspection import inspected
from pan3d_ros.bags.reading.reader import BagError, BagReader
from pan3d_ros.bags.replay import BagReplay, ReplayedSet
from pan3d_ros.bags.settings import ReplaySettings, pipeline_of, prepared, replay_settings
from pan3d_ros.messages.cameras import to_camera_view

SAMPLE_SIDE = 48  # pixels of a picture's longer side from which its statistics are made
PAUSE = 2.0  # usual gaps between view sets after which a new episode begins


@dataclass(frozen=True)
class SeenView:
    """What one camera saw at one moment, undistorted."""

    picture: bytes  # PNG, RGB
    hw: tuple[int, int]
    sample: np.ndarray  # (N, 3) uint8 of its pixels
    depth: bytes | None  # PNG, 16 bit, millimetres, 0 = none
    intrinsics: np.ndarray | None  # (3, 3) pixels
    world_from_cam: np.ndarray | None  # (4, 4) metres; None = unknown


@dataclass(frozen=True)
class Moment:
    """One view set."""

    stamp_ns: int  # of its oldest image
    views: Mapping[str, SeenView]
    objects: tuple[Segment, ...]
    names: Mapping[int, str]  # instance id -> name, "" = unnamed
    is_metric: bool  # False: no result in metres, and no objects for that reason


@dataclass(frozen=True)
class EpisodeRequest:
    """What is wanted of bags."""

    fps: int | None = None  # frames per second; None = the nearest to what was recorded
    params: tuple[Path, ...] = ()  # parameter files of the node; without any the bag decides
    use_depth: bool = False
    base: PipelineConfig = field(default_factory=PipelineConfig)

    def __post_init__(self) -> None:
        if self.fps is not None and not 1 <= self.fps <= 1000:
            raise ValueError(f"fps: expected 1 to 1000, got {self.fps}")


def moments_of(path: Path | str, request: EpisodeRequest, pipeline: PerceptionPipeline | None = None) -> list[Moment]:
    """Replay a bag through the node's own processing.

    Args:
        path: A folder, or an .mcap or .db3 file.
        request: What is wanted.
        pipeline: None = as the request and the bag say.

    Returns:
        Every view set with all cameras, in time.

    Raises:
        BagError: The bag cannot be read, lacks topics, or has no view set with all cameras.
    """
    with BagReader(path) as bag:
        source = request.params or inspected(bag)
        settings = replay_settings(source, base=request.base, use_depth=request.use_depth)
        settings = replace(settings, node=replace(settings.node, input=replace(settings.node.input, max_rate_hz=0.0)))
        if pipeline is None:
            pipeline = pipeline_of(settings)
        settings = prepared(pipeline, settings)
        found: list[Moment] = []
        replay = BagReplay(bag, pipeline, settings, lambda item: found.extend(_moments(item, settings)))
        replay.run()
        if not found:
            raise BagError(f"{path}: expected at least one view set with all of {', '.join(settings.cameras)}, got none")
    return sorted(found, key=lambda moment: moment.stamp_ns)


def episodes_of(moments: Sequence[Moment], fps: int) -> list[list[Moment]]:
    """Choose moments at a steady rate; where nothing was recorded for a while, a new episode begins.

    Args:
        moments: In time.
        fps: Frames per second.

    Returns:
        Episodes; frame k of one is the moment nearest to its beginning + k / fps.
    """
    stamps = np.array([moment.stamp_ns for moment in moments], np.float64) * 1e-9
    gaps = np.diff(stamps)
    pause_s = PAUSE * max(float(np.median(gaps)) if len(gaps) else 0.0, 1.0 / fps)
    episodes = []
    for part in np.split(np.arange(len(stamps)), np.flatnonzero(gaps > pause_s) + 1):
        own = stamps[part]
        ticks = own[0] + np.arange(math.floor((own[-1] - own[0]) * fps + 0.5) + 1) / fps
        nearest = np.abs(own[None] - ticks[:, None]).argmin(1)
        episodes.append([moments[part[index]] for index in nearest])
    return episodes


def recorded_fps(moments: Sequence[Moment]) -> int:
    """The whole number of frames per second nearest to what was recorded, at least 1."""
    gaps = np.diff([moment.stamp_ns for moment in moments])
    return max(1, round(1e9 / float(np.median(gaps)))) if len(gaps) and np.median(gaps) > 0 else 1


def _moments(item: ReplayedSet, settings: ReplaySettings) -> list[Moment]:
    if set(item.cameras) != set(settings.cameras):
        return []
    result = None if item.done is None else item.done.result
    poses = {} if result is None else _poses(result)
    views = {}
    for frame in item.frames:
        view = to_camera_view(
            frame.image, frame.info, frame.depth, None,
            camera=frame.camera, world_frame_id=settings.node.reference_frame, rectified=frame.config.rectified,
            limits=settings.pipeline.limits,
        )  # fmt: skip
        views[frame.camera] = _seen(view, poses.get(frame.camera))
    if result is None or not result.is_metric:
        return [Moment(min(item.stamps_ns), views, (), {}, False)]
    panoptic = result.panoptic
    names = {segment.instance_id: panoptic.labels.name(segment.class_id) for segment in panoptic.segments}
    return [Moment(min(item.stamps_ns), views, tuple(panoptic.segments), names, True)]


def _poses(result: PerceptionResult) -> dict[str, np.ndarray]:
    """Camera -> world_from_cam, where it was known."""
    views = result.views
    if views.cam_from_world is None:
        return {}
    return {camera: pose.numpy(force=True) for camera, pose in zip(views.cameras, invert_rigid(views.cam_from_world))}


def _seen(view: CameraView, world_from_cam: np.ndarray | None) -> SeenView:
    pixels = to_picture(unit_range(view.image))
    step = max(1, max(view.hw) // SAMPLE_SIDE)
    return SeenView(
        picture=_png(pixels[:, :, ::-1]),
        hw=view.hw,
        sample=pixels[::step, ::step].reshape(-1, 3),
        depth=None if view.depth is None else _png(_millimetres(view.depth)),
        intrinsics=None if view.intrinsics is None else view.intrinsics.numpy(force=True),
        world_from_cam=world_from_cam,
    )


def _millimetres(depth: Tensor) -> np.ndarray:
    """(H, W) uint16 of metres; what is further than 65.5 m is unknown, 0."""
    millimetres = (depth.double() * 1000.0).round().numpy(force=True)
    return np.where(millimetres <= np.iinfo(np.uint16).max, millimetres, 0).astype(np.uint16)


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes()
