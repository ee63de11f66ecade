"""`pan3d refine`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from pan3d_core.config import PreprocessConfig
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.refine.first_map.initialise import gaussians_from_reconstruction
from pan3d_core.refine.labels.files import labels_from_files
from pan3d_core.refine.labels.sources import SceneLabels, labels_from_engine
from pan3d_core.refine.optimise import CHECKPOINT_FILE, StepReport
from pan3d_core.refine.refined_files import FILES_OF_OLDER, PICTURES, picture_name, write_picture
from pan3d_core.refine.refined_files import write_scene as write_refined_scene
from pan3d_core.refine.rendering import RenderChoices
from pan3d_core.refine.run import FirstSurfaces, RefineProgress, SceneSettings, published_settings, refine_scene
from pan3d_core.refine.schedule import EarlyStop
from pan3d_core.runtime.ending.result_folder import ResultFolder
from pan3d_core.runtime.lazy import load
from pan3d_core.structures import CameraView, PerceptionResult
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.scene_folder import Scene, read_scene
from pan3d_eval.datasets import ViewSelection, dataset_of, read_dataset_scene
from pan3d_eval.published.maps import views_of_batch
from pan3d_tools.cli.bags.files import find_bags
from pan3d_tools.cli.options import add_model_options, build_pipeline, picture_size
from pan3d_tools.cli.output import machine_facts, write_json
from pan3d_tools.cli.scenes.scene_output import write_keyframes

# Imported for bags only: scenes are refined where rosbags is not installed.
KEYFRAMES = "pan3d_tools.cli.bags.keyframes:scene_of_bag"
ENGINE = "pan3d-mini"  # its labels and surfaces make the best maps of the scoreboard


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_refine)
    parser.add_argument(
        "scene", type=Path, metavar="SCENE",
        help="scene folder whose views have intrinsics and poses, a scene of a public data set, or a rosbag2",
    )  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, default=Path("out/refine"), help="output folder (default: %(default)s)")
    parser.add_argument(
        "--labels", type=Path, metavar="PATH",
        help="2D labels: a folder with labels.json, or a COCO panoptic file (default: the engine's)",
    )  # fmt: skip
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, metavar="N", help="one view each (default: 600, published 30000)")
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
        "--preset", choices=("ours", "published"), default="ours",
        help="published: the paper's settings where ours differ (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--density", help="gsplat: Gaussians are added and dropped; none; auto: on a GPU (default: auto, published gsplat)"
    )
    parser.add_argument(
        "--stop-below", type=float, default=0.0, metavar="SHARE",
        help="end early when the losses fall by less than this within 60 steps; 0.01 is a hundredth (default: never)",
    )  # fmt: skip
    parser.add_argument("--attention", default="local", help="local or global (default: %(default)s)")
    parser.add_argument("--blending", default="labels", help="labels or features (default: %(default)s)")
    parser.add_argument("--pictures-every", type=int, default=100, metavar="N", help="steps, 0 = none (default: %(default)s)")
    rooms = parser.add_argument_group("scenes of ScanNet, ScanNet++, Replica and Aria Synthetic Environments")
    rooms.add_argument("--stride", type=int, default=1, metavar="N", help="take every N-th image before choosing --views of them")
    rooms.add_argument("--size", metavar="WxH", help="bring the views to this size, which --labels then have, too")
    bags = parser.add_argument_group("bags (rosbag2)")
    bags.add_argument(
        "--views", type=int, default=24, metavar="N",
        help="keyframes at most, or images of a data set's recording (default: %(default)s, 0: all)",
    )  # fmt: skip
    bags.add_argument(
        "--params", nargs="+", type=Path, default=[], metavar="FILE", help="parameter files of the node (default: from the bag)"
    )
    add_model_options(parser)
    parser.set_defaults(model=ENGINE)


def run_refine(options: argparse.Namespace) -> int:
    """A scene folder or a bag to a refined scene of Gaussians with objects."""
    settings = _settings(options)
    scene = _scene(options)
    knowledge, results = _Knowledge(options, scene), ResultFolder(options.out, "refine", FILES_OF_OLDER)
    result = refine_scene(
        (scene if options.depth else scene.without_depth()).views,
        knowledge.labels,
        settings,
        first=lambda: knowledge.first(settings),
        checkpoint=options.out / CHECKPOINT_FILE,
        resume=options.resume,
        progress=_Progress(options, results).told,
    )
    refined = result.scene
    facts = {"command": options.command_line, "machine": machine_facts(), "labels": str(options.labels or options.model)}
    with results.replaced(keep=lambda name: name.startswith(f"{PICTURES}/")) as part:
        paths = write_refined_scene(part, refined)
        if options.pictures_every:
            paths.append(write_picture(part / PICTURES / picture_name(result.refinement), result.refinement))
        paths.append(write_json(part / "report.json", {**facts, **result.report()}, told=False))
    print(f"{len(refined.gaussians)} Gaussians, {len(refined.ids())} objects: {', '.join(refined.names.values()) or 'none'}")
    for path in paths:
        print(f"  {options.out / path.relative_to(part)}")
    return 0


def _settings(options: argparse.Namespace) -> SceneSettings:
    device = options.device or "auto"
    settings = published_settings(device=device) if options.preset == "published" else SceneSettings(device=device)
    density = settings.run.density
    run = replace(
        settings.run,
        steps=settings.run.steps if options.steps is None else options.steps,
        minutes=options.minutes,
        choices=RenderChoices(options.attention, options.blending),
        density=density if options.density is None else replace(density, strategy=options.density),
        stop=EarlyStop(options.stop_below),
        seed=options.seed,
    )
    return replace(settings, run=run, surface=replace(settings.surface, voxel_m=options.voxel))


def _scene(options: argparse.Namespace) -> Scene:
    """The scene folder, views of a data set's recording, or the keyframes of the bag, which are then a scene folder in the
    output: labels can be made of it."""
    if dataset_of(options.scene) is not None:
        scene = read_dataset_scene(options.scene, ViewSelection(options.views, options.stride))
        return scene if options.size is None else _resized(scene, *picture_size(options.size))
    if options.size is not None:
        raise ValueError("--size: expected a scene of a public data set, whose views it brings to a size, got another")
    if options.scene not in find_bags([options.scene]):
        return read_scene(options.scene)
    scene = load(KEYFRAMES)(options)
    folder = options.out / "scene"
    write_keyframes(folder, scene)
    return read_scene(folder)


def _resized(scene: Scene, width: int, height: int) -> Scene:
    """The views at this size, cut to its shape."""
    batch = preprocess(scene.views, PreprocessConfig(height=height, width=width, mode="cover"))
    return Scene(scene.name, tuple(views_of_batch(batch, scene.views)), support_height_m=scene.support_height_m)


class _Knowledge:
    """What is known of a scene before it is refined; the engine is built and asked only when something needs it."""

    def __init__(self, options: argparse.Namespace, scene: Scene) -> None:
        self._options, self._colour = options, scene.without_depth()

    @cached_property
    def _pipeline(self) -> PerceptionPipeline:
        return build_pipeline(self._options, self._colour.support_height_m)

    def labels(self, views: Sequence[CameraView]) -> SceneLabels:
        """Of the files that are named, else of the engine, which sees colour alone."""
        if self._options.labels is not None:
            return labels_from_files(self._options.labels, views)
        return labels_from_engine(self._pipeline.engine, self._colour.views, self._colour.support_height_m)

    def first(self, settings: SceneSettings) -> FirstSurfaces:
        """The engine's surfaces where the views' depth is not asked for, and its objects where queries begin there."""
        from_objects = self._options.queries == "objects"
        if self._options.depth and not from_objects:
            return FirstSurfaces()
        result = self._understood()
        gaussians = None
        if not self._options.depth:
            gaussians = gaussians_from_reconstruction(result.reconstruction, result.views.images, settings.surface)
        boxes = tuple(segment.box for segment in result.panoptic.segments) if from_objects else ()
        if from_objects and not boxes:
            finder = f"--queries objects: expected that {self._options.model} finds objects, got none"
            raise ValueError(f"{finder}; begin with masks instead")
        return FirstSurfaces(gaussians, boxes)

    def _understood(self) -> PerceptionResult:
        """What the engine makes of all views together."""
        result = self._pipeline.process(self._colour.views)
        for warning in result.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if not result.is_metric:
            raise ValueError(f"--engine: expected a result in the frame of the cameras, got {result.reconstruction.alignment}")
        return result


class _Progress:
    """A line of progress every few steps, and a picture now and then."""

    def __init__(self, options: argparse.Namespace, results: ResultFolder) -> None:
        self._options, self._results = options, results
        self._reports: list[StepReport] = []

    def told(self, now: RefineProgress) -> None:
        """Say it on the screen."""
        if now.stage == "begun":
            model = now.refinement.model
            if not self._options.resume:
                self._results.clear()  # pictures along the way must not lie beside those of an older map
            print(f"{len(now.refinement.views)} views, {len(model.means)} Gaussians, {model.num_queries} queries", flush=True)
        elif now.stage == "step":
            self._step(now)
        elif now.refinement.settled:
            print(f"the losses have stopped falling after {now.report.step} steps")

    def _step(self, now: RefineProgress) -> None:
        report, every = now.report, self._options.pictures_every
        self._reports = [*self._reports[-19:], report]
        if report.step % 20 == 0 or report.share_done >= 1:
            recent = self._reports
            names = dict.fromkeys(name for item in recent for name in item.losses)
            terms = ", ".join(f"{name} {sum(item.losses.get(name, 0.0) for item in recent) / len(recent):.3f}" for name in names)
            progress = f"step {report.step}, {report.share_done:.0%}, {report.elapsed_s:.0f} s, {report.queries} queries"
            print(f"{progress}: {terms}", flush=True)
        if every and report.step % every == 0 and report.share_done < 1:
            write_picture(self._results.place(f"{PICTURES}/{picture_name(now.refinement)}"), now.refinement)
