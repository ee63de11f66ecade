"""Posed views of a bag from places that differ, few enough to refine their scene: `pan3d refine BAG`."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from pan3d_core.config import KeyframeConfig, PipelineConfig, PreprocessConfig
from pan3d_core.labelling.chosen_views import clear_views, spread_views
from pan3d_core.runtime.failures import FailureLog
from pan3d_core.structures import CameraView
from pan3d_core.views.keyframes import KeyframeWindow, told_apart
from pan3d_core.views.scene_folder import Scene
from pan3d_ros.bags.inspection import inspected
from pan3d_ros.bags.reading.frames import pairings_of, remember_infos
from pan3d_ros.bags.reading.reader import BagError, BagReader
from pan3d_ros.bags.reading.transforms import transforms_of
from pan3d_ros.bags.settings import ReplaySettings, check_topics, replay_settings
from pan3d_ros.inputs.camera_frames import CameraFrame
from pan3d_ros.inputs.transforms import TransformsSource
from pan3d_ros.processing.set_views import ViewRules, usable_views

log = logging.getLogger("pan3d.ros.bags")
MOST_VIEWS = 64  # as `KeyframeConfig.window_size` has it
COARSER = 1.25  # assumed: by which the motion between keyframes grows until few enough are left
NEVER_S = 3600.0  # a standing camera shows nothing new


@dataclass(frozen=True)
class KeyframeRequest:
    """What is wanted of a bag. `ValueError` names a field out of range."""

    views: int = 24  # at most
    params: tuple[Path, ...] = ()  # parameter files of the node; without any the bag decides
    use_depth: bool = False
    base: PipelineConfig | None = None  # settings where neither files nor bag say anything

    def __post_init__(self) -> None:
        if not 2 <= self.views <= MOST_VIEWS:
            raise ValueError(f"KeyframeRequest.views: expected 2 to {MOST_VIEWS}, got {self.views}")


def keyframe_scene(path: Path | str, request: KeyframeRequest | None = None) -> Scene:
    """Make a scene without truth of a bag's keyframes.

    Keyframes are what the node would take by its movement between them, `keyframe.min_translation_m` and `min_rotation_deg`,
    which grow until at most `request.views` are left: then these are spread over the journey. Images without a pose or
    calibration are left out and logged.

    Args:
        path: A folder, or an .mcap or .db3 file.
        request: What is wanted of it; None = the defaults.

    Returns:
        Undistorted views in the reference frame of the node's parameters, metres.

    Raises:
        BagError: The bag cannot be read, lacks topics or poses, or has no usable image.
    """
    request = request or KeyframeRequest()
    with BagReader(path) as bag:
        source = request.params or inspected(bag)
        settings = replay_settings(source, base=request.base, use_depth=request.use_depth)
        check_topics(bag, settings)
        transforms = transforms_of(bag, settings.node, settings.cameras)
        if transforms is None:
            raise BagError(f"{path}: transforms.source: expected the cameras' poses, got 'none': refining needs them")
        collector = _Collector(settings, transforms, request.views)
        pairings, streams = pairings_of(settings.node.input, settings.cameras, collector.take)
        remember_infos(bag, pairings, streams)
        for message in bag.messages(list(streams)):
            camera, kind = streams[message.topic]
            pairings[camera].take(kind, message.content)
    views = collector.finished()
    for note in settings.left_out:
        log.warning("%s", note)
    for reason, count in collector.left_out.items():
        log.warning("%d images were left out: %s", count, reason)
    if not views:
        why = "; ".join(collector.left_out) or "no image has its camera_info (and depth) beside it"
        raise BagError(f"{path}: expected at least one image with calibration and pose, got none: {why}")
    return Scene(Path(path).stem, views, support_height_m=settings.pipeline.workspace.support_height_m)


def spread_scene(path: Path | str, request: KeyframeRequest) -> Scene:
    """Make a scene of the keyframes of a bag that are farthest from each other, each with a name of its own.

    Args:
        path: As of `keyframe_scene`.
        request: What is wanted; as many views as it says, where the bag has so many keyframes.

    Returns:
        As `keyframe_scene`.

    Raises:
        BagError: Likewise.
        ValueError: Fewer than two of several pictures are clear.
    """
    found = keyframe_scene(path, replace(request, views=MOST_VIEWS))
    clear, unclear = clear_views(found.name, found.views) if len(found.views) > 1 else (list(found.views), "")
    if unclear:
        log.warning("%s", unclear)
    return replace(found, views=told_apart(spread_views(clear, request.views)))


class _Collector:
    """Takes frames in order of receipt; never holds more than `MOST_VIEWS` views."""

    def __init__(self, settings: ReplaySettings, transforms: TransformsSource, most: int) -> None:
        self.left_out: Counter[str] = Counter()
        self._transforms, self._most = transforms, most
        pipeline = settings.pipeline
        most_m = pipeline.align.max_scene_depth_m
        self._rules = ViewRules(settings.node.reference_frame, PreprocessConfig(), most_m, pipeline.limits)
        self._failures = FailureLog(log)
        motion = pipeline.keyframe
        self._config = replace(motion, enabled=True, window_size=MOST_VIEWS, min_views=1, max_interval_s=NEVER_S)
        self._window: KeyframeWindow[CameraView] = KeyframeWindow(self._config)
        self._kept: tuple[CameraView, ...] = ()

    def _pose(self, frame: CameraFrame) -> Tensor:
        return self._transforms.lookup(frame.camera, frame.frame_id, frame.stamp_ns)

    def take(self, frame: CameraFrame) -> None:
        """One frame more, if it can be used."""
        views, faults = usable_views([frame], self._pose, self._rules, self._failures)
        self.left_out.update(fault.message for fault in faults.values())
        if views:
            self._kept = self._window.add(views) or self._kept
        if len(self._kept) == MOST_VIEWS:  # one more would push out the oldest
            self._thin(MOST_VIEWS // 2)

    def finished(self) -> tuple[CameraView, ...]:
        """What is left of it all, oldest first."""
        self._thin(self._most)
        return self._kept

    def _thin(self, most: int) -> None:
        while len(self._kept) > most and self._config != (coarser := _coarser(self._config)):
            self._config, self._window = coarser, KeyframeWindow(coarser)
            self._kept = self._window.add(self._kept) or ()
        self._kept = self._kept[-most:]  # more cameras than that


def _coarser(config: KeyframeConfig) -> KeyframeConfig:
    moved_m, turned_deg = max(config.min_translation_m, 1e-3), max(config.min_rotation_deg, 0.1)
    return replace(
        config, min_translation_m=min(10.0, COARSER * moved_m), min_rotation_deg=min(180.0, COARSER * turned_deg)
    )  # the ranges of these settings
