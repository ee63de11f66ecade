"""One scene refined, from calibrated views with 2D labels to Gaussians with objects: all stages in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.density import DensitySettings
from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_depth
from pan3d_core.refine.first_map.queries import QuerySettings
from pan3d_core.refine.first_map.start import first_map
from pan3d_core.refine.labels.sources import SceneLabels
from pan3d_core.refine.optimise import Refinement, StepReport
from pan3d_core.refine.readout import refined_scene
from pan3d_core.refine.refined_files import refinement_report
from pan3d_core.refine.schedule import PUBLISHED_STEPS, LearningRates, RefineSettings
from pan3d_core.refine.views import RefineView
from pan3d_core.runtime.device import select_device
from pan3d_core.structures import CameraView, Gaussians, to_device

LabelsOfViews = Callable[[Sequence[CameraView]], SceneLabels]  # such as `labels_from_engine` with its engine bound
Ending = Literal["used_up", "settled", "ended"]  # the budget; losses that stopped falling before; `EndRefining` before
Stage = Literal["begun", "step"] | Ending


class EndRefining(Exception):
    """Raised by a progress callback to end the run where it is; the map is kept and read out."""


@dataclass(frozen=True)
class SceneSettings:
    """All settings of one refinement."""

    run: RefineSettings = field(default_factory=RefineSettings)
    surface: SurfaceSettings = field(default_factory=SurfaceSettings)  # of first Gaussians from depth
    queries: QuerySettings = field(default_factory=QuerySettings)
    device: str = "auto"  # auto, cpu, cuda or cuda:N
    map_seed: int | None = None  # of the first values of the map's networks; None = `run.seed`


def published_settings(steps: int = PUBLISHED_STEPS, device: str = "auto") -> SceneSettings:
    """Settings as the paper has them, and 3D Gaussian splatting where it says that it follows that; what neither says is ours.

    Args:
        steps: Of the run, over which the shares of the schedule are stretched.
        device: As of `SceneSettings`.

    Returns:
        With adaptive density, which needs gsplat.
    """
    run = RefineSettings(
        steps=steps,
        rates=LearningRates(means=1.6e-4),
        density=DensitySettings("gsplat", reset_every=3000),
        harmonics=3,
    )
    return SceneSettings(run, SurfaceSettings(opacity=0.1, size=1.0), device=device)


@dataclass(frozen=True)
class FirstSurfaces:
    """What a map begins with beside the views and their labels."""

    gaussians: Gaussians | None = None  # None: one per voxel of the views' depth
    boxes: tuple[OrientedBox, ...] = ()  # of objects that are known, one query each; empty: queries begin at the labels' masks


@dataclass(frozen=True)
class RefineProgress:
    """Where a refinement is, as its callback is told."""

    stage: Stage  # "begun" once before the first step, "step" after each, then once how it ended, before objects are read out
    report: StepReport  # of the step; before the first and after the last one without losses
    refinement: Refinement  # the map and its views, to look at

    @property
    def losses(self) -> dict[str, float]:
        """Unweighted terms of the step and their weighted `total`; empty before the first and after the last one."""
        return self.report.losses


@dataclass(frozen=True)
class RefinedResult:
    """What refining a scene gives."""

    scene: GaussianScene  # on the CPU, objects with ids from 1 and the names of their classes
    labels: SceneLabels  # of the views, that it was learnt from
    refinement: Refinement  # the map (`model`), its `views` and `progress`, on the device that was used
    reports: tuple[StepReport, ...]  # of the steps of this call; earlier ones of a resumed run are not among them
    ending: Ending

    def report(self) -> dict[str, Any]:
        """Figures of the run as plain values, see `refinement_report`."""
        return refinement_report(self.refinement, self.scene, self.reports)


def refine_scene(
    views: Sequence[CameraView],
    labels: SceneLabels | LabelsOfViews,
    settings: SceneSettings | None = None,
    *,
    first: FirstSurfaces | Callable[[], FirstSurfaces] | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Callable[[RefineProgress], None] | None = None,
) -> RefinedResult:
    """Optimise Gaussians and objects of one scene from all its views together (PanopticSplatting, arXiv 2503.18073).

    Args:
        views: calibrated images of one size, poses in metres in one world; their depth is used wherever they have it.
        labels: 2D labels of the views in their order, or what makes them of the views, called once.
        settings: budget, schedule, first Gaussians and queries, device.
        first: surfaces and objects that are known already, or what makes them, called unless the run is resumed. Without
            them the views' depth gives the first Gaussians, and the labels' masks the first queries.
        checkpoint: file that is written every `settings.run.checkpoint_every` steps and at the end; appears whole or not at all.
        resume: go on from `checkpoint`; its settings but the budget, its views and its classes must be these.
        progress: called before the first step, after every step and after the last one. `EndRefining` raised there ends the
            run early with its result; any other exception cancels it and leaves the last checkpoint.

    Returns:
        The scene in the world of the views, with the refinement that made it.

    Raises:
        ValueError: a view without intrinsics or pose, labels that do not fit or are all empty, no depth where it is needed.
        CheckpointProblem: a checkpoint that is damaged or of another scene, other settings or other classes (a `ValueError`).
        FileNotFoundError: no checkpoint to resume from.
        RefinementDiverged: a loss or a gradient that is not finite (a `ValueError`).
    """
    settings = settings or SceneSettings()
    _require_cameras(views)
    device = select_device(settings.device)
    found = labels(views) if callable(labels) else labels
    if len(found.views) != len(views):
        raise ValueError(f"labels: expected those of {len(views)} views, got {len(found.views)}")
    labelled = [RefineView.of(view, own).to(device) for view, own in zip(views, found.views, strict=True)]
    if resume:
        if checkpoint is None:
            raise ValueError("checkpoint: expected a file to resume from, got None")
        refinement = Refinement.resumed(checkpoint, labelled, settings.run, found.labels)
    else:
        known = first() if callable(first) else first or FirstSurfaces()
        refinement = _begun(labelled, found.labels, known, settings, checkpoint)
    reports: list[StepReport] = []
    ending = _run(refinement, reports, progress or _unheard)
    scene = refined_scene(refinement.model, labelled, world_frame_id=views[0].world_frame_id)
    return RefinedResult(scene, found, refinement, tuple(reports), ending)


def _require_cameras(views: Sequence[CameraView]) -> None:
    if not views:
        raise ValueError("views: expected at least one, got none")
    for view in views:
        missing = [name for name in ("intrinsics", "cam_from_world") if getattr(view, name) is None]
        if missing:
            raise ValueError(f"views: {view.camera}: expected {' and '.join(missing)}, got none: refining needs cameras")


def _begun(
    views: Sequence[RefineView], labels: LabelSpace, known: FirstSurfaces, settings: SceneSettings, checkpoint: Path | None
) -> Refinement:
    """A refinement at its first step."""
    gaussians = known.gaussians if known.gaussians is not None else gaussians_from_depth(views, settings.surface)
    gaussians = to_device(gaussians, views[0].labels.image.device)
    seed = settings.run.seed if settings.map_seed is None else settings.map_seed
    degree = settings.run.harmonics
    model = first_map(views, labels, gaussians, settings.queries, boxes=known.boxes, seed=seed, harmonics=degree)
    return Refinement(model, views, settings.run, checkpoint)


def _run(refinement: Refinement, reports: list[StepReport], progress: Callable[[RefineProgress], None]) -> Ending:
    """Use up the budget as far as nothing ends it before; the reports of the steps are added to `reports`."""

    def stepped(report: StepReport) -> None:
        reports.append(report)
        progress(RefineProgress("step", report, refinement))

    try:
        progress(RefineProgress("begun", refinement.report(), refinement))
        refinement.run(stepped)
        report = refinement.report()
        ending: Ending = "settled" if refinement.settled and report.share_done < 1 else "used_up"
    except EndRefining:
        refinement.conclude()
        report, ending = refinement.report(), "ended"
    progress(RefineProgress(ending, report, refinement))
    return ending


def _unheard(_: RefineProgress) -> None:
    """Progress that nobody asked for."""
