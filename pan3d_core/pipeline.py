"""The whole journey of one view set. Knows no ROS, no simulator and no model by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from pan3d_core.assembly.alignment import align_to_world
from pan3d_core.assembly.depth_outlines import can_fuse, fuse_outlines
from pan3d_core.assembly.merging import merge_panoptic
from pan3d_core.assembly.ownership import OwnedPixels, own_masks, own_pixels, without_body
from pan3d_core.assembly.placement import refine_placement
from pan3d_core.assembly.pose_checks.consistency import refuse_metres
from pan3d_core.assembly.pose_checks.consistency_watch import ConsistencyWatch
from pan3d_core.assembly.pose_checks.support.height import estimate_support_height
from pan3d_core.body import RobotBody, look_for_body
from pan3d_core.config import ImageLimits, PipelineConfig, PreprocessConfig
from pan3d_core.engines.facts import Engine
from pan3d_core.engines.parts.memory import run_within_memory
from pan3d_core.language.namer import Namer
from pan3d_core.memory.world import WorldMemory
from pan3d_core.structures import (
    CameraView,
    InstanceSet,
    PerceptionResult,
    PoseConsistency,
    Reconstruction,
    SupportHeight,
    ViewBatch,
    to_device,
)
from pan3d_core.teaching import CropSource, LookSource, Recogniser, Seen, TaughtLibrary
from pan3d_core.views.image_files import require_image_size
from pan3d_core.views.picture_checks import about_covered, covered_rows
from pan3d_core.views.preprocessing import preprocess, seen_shares

CUT_TOLD = 0.05  # share of a picture outside the network's frame that is worth a warning
BLIND = "this engine finds no objects: that there are none here says nothing about the scene"


class StageClock:
    """Wall time per stage; waits for the device, so that a stage pays for the work it queued. `progress` is told each stage's
    name as it begins."""

    def __init__(self, progress: Callable[[str], None] | None = None) -> None:
        self.timings_ms: dict[str, float] = {}
        self._progress = progress

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if self._progress is not None:
            self._progress(name)
        start_ns = time.perf_counter_ns()
        yield
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        self.timings_ms[name] = (time.perf_counter_ns() - start_ns) * 1e-6

    def with_total(self) -> dict[str, float]:
        return {**self.timings_ms, "total": sum(self.timings_ms.values())}


class PerceptionPipeline:
    """Camera views in, objects in the world out. Remembers them (`memory`); not for use by two threads at once.

    The views of a moving camera are chosen by a `KeyframeWindow` before they come here.
    """

    def __init__(
        self,
        engine: Engine,
        config: PipelineConfig | None = None,
        namer: Namer | None = None,
        body: RobotBody | None = None,
    ) -> None:
        self.engine = engine
        self.body = body  # of the robot that the cameras see; None = there is none, or it is taken for what stands there
        self.config = config or PipelineConfig()
        self.namer = namer
        self.memory = WorldMemory(self.config.tracking, self.config.memory)
        self.recogniser: Recogniser | None = None  # of taught objects; None = none are looked for
        self._watch = ConsistencyWatch()
        self._support: SupportHeight | None = None  # found last

    def reset(self) -> None:
        """Forget the objects and what was thought of the poses, as after a jump of the clock. Ids go on."""
        self.memory.reset()
        self._watch.reset()

    def reconfigure(self, config: PipelineConfig) -> None:
        """Take over other settings from the next view set on; objects stay, and so does the engine, whatever `config.model` says.
        Any thread may call this."""
        self.config = config
        self.memory.reconfigure(config.tracking, config.memory)
        if self.namer is not None:
            self.namer.config = config.naming

    def fresh(self, config: PipelineConfig | None = None) -> PerceptionPipeline:
        """Make one with the same engine, namer and taught objects that has seen nothing: ids begin again. `config`: other
        settings."""
        made = PerceptionPipeline(self.engine, config or self.config, self.namer, self.body)
        if self.recogniser is not None:
            made.use_library(self.recogniser.library)
        return made

    def use_library(self, library: TaughtLibrary) -> None:
        """Find these taught objects by their names from the next view set on. Any thread may call this."""
        facts = self.engine.facts
        if self.recogniser is None:
            crops = None if facts.crops is None else CropSource(facts.crops, facts.crops_checkpoint)
            self.recogniser = Recogniser(library, LookSource(facts.appearance, facts.checkpoint, crops))
        self.recogniser.library = library
        if self.namer is not None:
            self.namer.taught = library.names

    def shown(self) -> Seen:
        """Give what the newest view set shows, to teach objects from. Raises `ValueError` where there is none, or no library is
        in use."""
        seen = None if self.recogniser is None else self.recogniser.seen
        if seen is None:
            raise ValueError("views: expected at least one view set with a result, got none")
        return seen

    @torch.no_grad()
    def process(self, views: Sequence[CameraView], progress: Callable[[str], None] | None = None) -> PerceptionResult:
        """Views that belong together -> result. `progress` is told the name of every stage as it begins; an exception of it
        ends the call and leaves the memory as it is. Raises `ValueError` for views that cannot be used, naming the field."""
        config, clock = self.config, StageClock(progress)

        with clock.stage("preprocess"):
            batch, covered = self._batch(views)
            looked = len(covered) < len(views)

        with clock.stage("poses"):
            consistency = self._watch.check(views, config.consistency, batch.support_height_m)
            batch = batch.select([index for index, name in enumerate(batch.cameras) if name not in consistency.left_out])
            found_support, support_warnings = self._find_support(batch, views, consistency)
            if found_support is not None:
                batch = replace(batch, support_height_m=found_support.height_m)

        with clock.stage("body") if self.body is not None else nullcontext():
            body = look_for_body(self.body, batch, config.body, self.engine.facts.device)

        with clock.stage("engine"):
            reconstruction, instances, used = run_within_memory(self.engine, body.without_depth(batch))
            warnings = consistency.warnings + support_warnings + _left_out(batch, used) + _about_views(views, used, covered)
            body = body.select([batch.cameras.index(camera) for camera in used.cameras], reconstruction.depth.device)
            batch = to_device(used, reconstruction.depth.device)

        with clock.stage("align"):
            reconstruction = align_to_world(reconstruction, batch, config.align)
            reconstruction = refuse_metres(reconstruction, consistency)
            body_pixels = body.pixels(reconstruction)

        outlines_fused = False
        if self._fuses_outlines(batch, consistency):
            with clock.stage("outlines"):
                detailed = _detailed(views, batch, self.engine.facts.preprocess, config.outlines.detail_rows)
                detailed = body.without_depth(detailed)
                fused = fuse_outlines(instances, batch, detailed, config.merge.mask_threshold, config.outlines)
            instances, outlines_fused, warnings = fused.instances, not fused.contradicted, warnings + fused.warnings

        with clock.stage("refine"):
            owned, reconstruction = self._own(instances, reconstruction, batch, body_pixels)
            reconstruction = body.as_surface(reconstruction, body_pixels)

        with clock.stage("merge"):
            panoptic = merge_panoptic(reconstruction, owned, batch, config)

        with clock.stage("track"):
            comparable = reconstruction.is_metric and looked
            panoptic = self.memory.update(panoptic, reconstruction, comparable=comparable, body=body_pixels)

        if self.namer is not None:
            with clock.stage("name"):
                panoptic = self.namer.classify(panoptic)

        finds_objects = self.engine.facts.finds_objects
        warnings += (*body.warnings, *_about_metres(reconstruction, batch), *(() if finds_objects else (BLIND,)))
        result = PerceptionResult(
            reconstruction, panoptic, batch, clock.with_total(), warnings, finds_objects and looked,
            consistency, outlines_fused, found_support, body_pixels,
        )  # fmt: skip
        return result if self.recogniser is None else self._recognised(self.recogniser, result, views, clock)

    def _batch(self, views: Sequence[CameraView]) -> tuple[ViewBatch, tuple[int, ...]]:
        """Views at network size, and the rows of covered lenses. These are left out beside others: what they do not see is not
        empty."""
        require_within(views, self.config.limits)
        batch = preprocess(views, self.engine.facts.preprocess, self.config.workspace.support_height_m)
        self._check_depth(batch)
        covered = covered_rows(views)
        seeing = [row for row in range(batch.num_views) if row not in covered]
        return (batch.select(seeing) if covered and seeing else batch), covered

    def _recognised(
        self, recogniser: Recogniser, result: PerceptionResult, views: Sequence[CameraView], clock: StageClock
    ) -> PerceptionResult:
        """The result with the names of taught objects."""
        with clock.stage("recognise"):
            found = recogniser.recognise(result, views, self.config.objects)
        return replace(found, timings_ms=clock.with_total())

    def _own(
        self, instances: InstanceSet, reconstruction: Reconstruction, batch: ViewBatch, body_pixels: Tensor | None
    ) -> tuple[OwnedPixels, Reconstruction]:
        """Who owns which pixel, none of them the robot's, and the geometry with instances moved to where other views see them."""
        config = self.config
        if not self._depth_is_predicted(batch) or not config.placement.enabled:
            owned = own_pixels(instances, batch.hw, config.merge.mask_threshold)
            return without_body(owned, body_pixels, config.body.min_rest), reconstruction
        masks = own_masks(instances, batch.hw, config.merge.mask_threshold)
        masks = without_body(masks, body_pixels, config.body.min_rest)
        return masks, refine_placement(reconstruction, masks, batch, config.placement)

    def _find_support(
        self, batch: ViewBatch, views: Sequence[CameraView], consistency: PoseConsistency
    ) -> tuple[SupportHeight | None, tuple[str, ...]]:
        """The support as it is seen, or as it was found before and is to be kept, where poses are known and its height is not;
        and a warning."""
        workspace = self.config.workspace
        unknown = batch.support_height_m is None and workspace.find_support
        if not unknown or batch.intrinsics is None or batch.cam_from_world is None or consistency.contradiction:
            return None, ()
        if workspace.freeze_support and (kept := self._support) is not None:
            return kept, (f"the support's height is not given; {kept.height_m:.3f} m, found before, is kept",)
        seen = consistency.support
        if seen is None and not self.config.consistency.enabled:
            seen = estimate_support_height([view for view in views if view.camera in batch.cameras], self.config.consistency)
        if seen is None or not seen.wide:  # no guess is made that would put everything elsewhere, and say so in metres
            words = "the support's height is not given, and too little of a surface is seen to find it"
            return None, (f"{words}: set workspace.support_height_m",)
        self._support = seen
        how = "depth shows" if seen.by_depth else "pictures show"
        return seen, (f"the support's height is not given; {how} it at {seen.height_m:.3f} m (+- {seen.sigma_m:.3f} m)",)

    def _fuses_outlines(self, batch: ViewBatch, consistency: PoseConsistency) -> bool:
        facts = self.engine.facts
        usable = facts.finds_objects and not facts.needs_depth and not consistency.contradiction
        return usable and can_fuse(batch, self.config.outlines)

    def _depth_is_predicted(self, batch: ViewBatch) -> bool:
        return not self.engine.facts.needs_depth and (batch.depth is None or self.config.align.depth_source == "model")

    def _check_depth(self, batch: ViewBatch) -> None:
        if self.engine.facts.needs_depth and (batch.depth is None or not bool((batch.depth > 0).any())):
            got = "none" if batch.depth is None else "images that measure nothing"
            raise ValueError(
                f"CameraView.depth: expected measured depth in at least one view, which this engine needs, got {got}"
            )


def require_within(views: Sequence[CameraView], limits: ImageLimits) -> None:
    """Refuse views before any work: the memory that resizing a picture takes grows with its aspect ratio.

    Args:
        views: That belong together.
        limits: Of their sizes and number.

    Raises:
        ValueError: Names the camera, what was expected and what came.
    """
    if len(views) > limits.max_views:
        raise ValueError(f"views: expected at most limits.max_views = {limits.max_views}, got {len(views)}")
    for view in views:
        require_image_size(f"CameraView.image of {view.camera}", *view.hw, limits)


def _detailed(views: Sequence[CameraView], batch: ViewBatch, config: PreprocessConfig, rows: int) -> ViewBatch:
    """The views of a batch at a multiple of its size with so many rows; the batch itself where that is 1 or does not fit."""
    factor = -(-rows // batch.hw[0])
    if factor == 1:
        return batch
    larger = replace(config, height=factor * config.height, width=factor * config.width, multiple=factor * config.multiple)
    chosen = [view for view in views if view.camera in batch.cameras]
    detailed = preprocess(chosen, larger, batch.support_height_m)
    return detailed if detailed.hw == tuple(factor * side for side in batch.hw) else batch


def _left_out(given: ViewBatch, used: ViewBatch) -> tuple[str, ...]:
    """A warning when the engine had too little memory for all views."""
    count = given.num_views - used.num_views
    if count == 0:
        return ()
    return (f"out of memory: {count} of {given.num_views} views were left out, used were {', '.join(used.cameras)}",)


def _cut(batch: ViewBatch) -> tuple[str, ...]:
    """A warning when a part of the pictures worth telling never reaches the network."""
    shares = {camera: share for camera, share in zip(batch.cameras, seen_shares(batch)) if share < 1 - CUT_TOLD}
    if not shares:
        return ()
    of = ", ".join(f"{share:.0%} of {camera}" for camera, share in shares.items())
    return (f"the network's frame cuts the pictures, objects outside are not found: it sees the middle {of}",)


def _about_views(views: Sequence[CameraView], used: ViewBatch, covered: Sequence[int]) -> tuple[str, ...]:
    """Warnings of what views lack, of those that are used."""
    return _partly_posed(used) + _cut(used) + about_covered(views, covered) + _measuring_nothing(views, used)


def _measuring_nothing(views: Sequence[CameraView], batch: ViewBatch) -> tuple[str, ...]:
    """A warning when depth was given that holds no measurement: a sensor that is covered, off, or of another unit."""
    if batch.depth is None:
        return ()
    measured = {view.camera for view in views if view.depth is not None}
    blind = [name for name, depth in zip(batch.cameras, batch.depth) if name in measured and not bool((depth > 0).any())]
    return (f"the depth of {', '.join(blind)} holds no measurement (0, NaN or less everywhere)",) if blind else ()


def _partly_posed(batch: ViewBatch) -> tuple[str, ...]:
    """A warning when some views have a pose and some lack it."""
    lacking = [batch.cameras[index] for index, pose in enumerate(batch.known_poses) if pose is None]
    if not lacking:
        return ()
    used = "places the result, and these views add no points" if len(batch.posed) > 1 else "is not used"
    return (f"no pose for {', '.join(lacking)}: what is known of the others {used}",)


def _about_metres(reconstruction: Reconstruction, batch: ViewBatch) -> tuple[str, ...]:
    """A warning when a result is not metric, or stands on a focal length that nobody gave."""
    if not reconstruction.is_metric:
        return (f"not metric, {reconstruction.alignment}",)
    if batch.intrinsics is not None:
        return ()
    return ("no intrinsics in every view: metres rest on the network's guess of the focal length, and lengths are off as it is",)
