"""`pan3d refine`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.refine.density import DensitySettings
from pan3d_core.refine.initialise import SurfaceSettings, gaussians_from_depth, gaussians_from_reconstruction
from pan3d_core.refine.labels.files import labels_from_files
from pan3d_core.refine.labels.sources import SceneLabels, labels_from_engine
from pan3d_core.refine.optimise import CHECKPOINT_FILE, Refinement, StepReport
from pan3d_core.refine.readout import refined_scene
from pan3d_core.refine.refined_files import refinement_report, write_picture
from pan3d_core.refine.refined_files import write_scene as write_refined_scene
from pan3d_core.refine.rendering import RenderChoices
from pan3d_core.refine.schedule import EarlyStop, RefineSettings
from pan3d_core.refine.start import first_map
from pan3d_core.refine.views import RefineView
from pan3d_core.structures import PerceptionResult, to_device
from pan3d_core.views.scene_folder import Scene, read_scene, write_scene
from pan3d_ros.bags.keyframes import KeyframeRequest, keyframe_scene
from pan3d_tools.cli.evaluation.bags import find_bags
from pan3d_tools.cli.options import add_model_options, build_pipeline, pipeline_config
from pan3d_tools.cli.output import machine_facts, write_json

ENGINE = "pan3d-mini"  # its labels and surfaces make the best maps of the scoreboard


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_refine)
    parser.add_argument(
        "scene", type=Path, metavar="SCENE", help="scene folder whose views have intrinsics and poses, or a rosbag2"
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("out/refine"), help="output folder (default: %(default)s)")
    parser.add_argument(
        "--labels", type=Path, metavar="PATH",
        help="2D labels: a folder with labels.json, or a COCO panoptic file (default: the engine's)",
    )  # fmt: skip
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, default=600, metavar="N", help="one view each (default: %(default)s)")
    budget.add_argument("--minutes", type=float, metavar="M", help="stop after this long instead")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: %(default)s)")
    parser.add_argument(
        "--voxel", type=float, default=0.004, metavar="METRES", help="of Gaussians from depth (default: %(default)s)"
    )
    parser.add_argument(
        "--queries", choices=("masks", "objects"), default="masks",
        help="where they begin: at the labels' masks, or at the engine's objects of all views together (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--density", default="auto", help="gsplat: Gaussians are added and dropped; none; auto: on a GPU (default: %(default)s)"
    )
    parser.add_argument(
        "--stop-below", type=float, default=0.0, metavar="SHARE",
        help="end early when the losses fall by less than this within 60 steps; 0.01 is a hundredth (default: never)",
    )  # fmt: skip
    parser.add_argument("--attention", default="local", help="local or global (default: %(default)s)")
    parser.add_argument("--blending", default="labels", help="labels or features (default: %(default)s)")
    parser.add_argument("--pictures-every", type=int, default=100, metavar="N", help="steps, 0 = none (default: %(default)s)")
    bags = parser.add_argument_group("bags (rosbag2)")
    bags.add_argument("--views", type=int, default=24, metavar="N", help="keyframes at most (default: %(default)s)")
    bags.add_argument(
        "--params", nargs="+", type=Path, default=[], metavar="FILE", help="parameter files of the node (default: from the bag)"
    )
    add_model_options(parser)
    parser.set_defaults(model=ENGINE)


def run_refine(options: argparse.Namespace) -> int:
    """A scene folder or a bag to a refined scene of Gaussians with objects."""
    settings = _settings(options)
    scene = _scene(options)
    _require_calibration(scene)
    pipeline = build_pipeline(options, scene.support_height_m, None) if _needs_engine(options) else None
    labels = _labels(options, scene, pipeline)
    views = _views(options, scene, labels)
    checkpoint = options.out / CHECKPOINT_FILE
    if options.resume:
        refinement = Refinement.resumed(checkpoint, views, settings, labels.labels)
    else:
        refinement = _begun(options, scene, (labels, views), pipeline, settings, checkpoint)
    print(f"{len(views)} views, {len(refinement.model.means)} Gaussians, {refinement.model.num_queries} queries", flush=True)
    reports: list[StepReport] = []
    refinement.run(lambda report: _follow(report, reports, refinement, options))
    if refinement.settled:
        print(f"the losses have stopped falling after {refinement.progress.step} steps")
    refined = refined_scene(refinement.model, views, world_frame_id=scene.views[0].world_frame_id)
    paths = write_refined_scene(options.out, refined)
    if options.pictures_every:
        paths.append(write_picture(options.out / "pictures", refinement))
    facts = {"command": options.command_line, "machine": machine_facts(), "labels": str(options.labels or options.model)}
    write_json(options.out / "report.json", {**facts, **refinement_report(refinement, refined, reports)})
    print(f"{len(refined.gaussians)} Gaussians, {len(refined.ids())} objects: {', '.join(refined.names.values()) or 'none'}")
    for path in paths:
        print(f"  {path}")
    return 0


def _settings(options: argparse.Namespace) -> RefineSettings:
    return RefineSettings(
        steps=options.steps,
        minutes=options.minutes,
        choices=RenderChoices(options.attention, options.blending),
        density=DensitySettings(options.density),
        stop=EarlyStop(options.stop_below),
        seed=options.seed,
    )


def _needs_engine(options: argparse.Namespace) -> bool:
    if options.resume:
        return options.labels is None
    return options.labels is None or not options.depth or options.queries == "objects"


def _scene(options: argparse.Namespace) -> Scene:
    """The scene folder, or the keyframes of the bag, which are then a scene folder in the output: labels can be made of it."""
    if options.scene not in find_bags([options.scene]):
        return read_scene(options.scene)
    request = KeyframeRequest(options.views, tuple(options.params), options.depth, pipeline_config(options))
    scene = keyframe_scene(options.scene, request)
    path = write_scene(options.out / "scene", scene)
    print(f"{len(scene.views)} keyframes of the bag: {path.parent}", flush=True)
    return read_scene(path.parent)


def _require_calibration(scene: Scene) -> None:
    for view in scene.views:
        missing = [name for name in ("intrinsics", "cam_from_world") if getattr(view, name) is None]
        if missing:
            raise ValueError(f"SCENE: views: {view.camera}: expected {' and '.join(missing)}, got none: refining needs cameras")


def _labels(options: argparse.Namespace, scene: Scene, pipeline: PerceptionPipeline | None) -> SceneLabels:
    if options.labels is not None:
        return labels_from_files(options.labels, scene.views)
    return labels_from_engine(pipeline.engine, scene.without_depth().views, scene.support_height_m)


def _views(options: argparse.Namespace, scene: Scene, labels: SceneLabels) -> tuple[RefineView, ...]:
    """The views with their labels, on the device; their depth only where it is asked for."""
    device = options.device or "auto"
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    views = scene.views if options.depth else scene.without_depth().views
    return tuple(RefineView.of(view, found).to(device) for view, found in zip(views, labels.views, strict=True))


def _begun(
    options: argparse.Namespace,
    scene: Scene,
    labelled: tuple[SceneLabels, tuple[RefineView, ...]],
    pipeline: PerceptionPipeline | None,
    settings: RefineSettings,
    checkpoint: Path,
) -> Refinement:
    """A refinement at its first step."""
    labels, views = labelled
    surface = SurfaceSettings(voxel_m=options.voxel)
    from_objects = options.queries == "objects"
    result = _understood(scene, pipeline) if from_objects or not options.depth else None
    if options.depth:
        made = gaussians_from_depth(views, surface)
    else:
        made = gaussians_from_reconstruction(result.reconstruction, result.views.images, surface)
    boxes = [segment.box for segment in result.panoptic.segments] if from_objects else []
    if from_objects and not boxes:
        raise ValueError(f"--queries objects: expected that {options.model} finds objects, got none; begin with masks instead")
    model = first_map(views, labels.labels, to_device(made, views[0].labels.image.device), boxes=boxes, seed=options.seed)
    return Refinement(model, views, settings, checkpoint)


def _understood(scene: Scene, pipeline: PerceptionPipeline) -> PerceptionResult:
    """What the engine makes of all views together."""
    result = pipeline.process(scene.without_depth().views)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not result.is_metric:
        raise ValueError(f"--engine: expected a result in the frame of the cameras, got {result.reconstruction.alignment}")
    return result


def _follow(report: StepReport, reports: list[StepReport], refinement: Refinement, options: argparse.Namespace) -> None:
    """A line of progress every few steps, and a picture now and then."""
    reports.append(report)
    if report.step % 20 == 0 or report.share_done >= 1:
        recent = reports[-20:]
        names = dict.fromkeys(name for item in recent for name in item.losses)
        terms = ", ".join(f"{name} {sum(item.losses.get(name, 0.0) for item in recent) / len(recent):.3f}" for name in names)
        print(
            f"step {report.step}, {report.share_done:.0%}, {report.elapsed_s:.0f} s, {report.queries} queries: {terms}",
            flush=True,
        )
    if options.pictures_every and report.step % options.pictures_every == 0 and report.share_done < 1:
        write_picture(options.out / "pictures", refinement)
