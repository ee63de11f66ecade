"""`pan3d teach label`, `train` and `deploy`: from recordings to weights of one's own in the node."""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml
from torch.nn.functional import interpolate

from pan3d_core.engines.mini import engine_of, read_checkpoint
from pan3d_core.labelling import LabelledScene, LabelSettings, label_scene
from pan3d_core.labelling.review import JOURNAL_FILE
from pan3d_core.labelling.teachers import write_card
from pan3d_core.pictures.overlays import enlarge, montage, overlay, save, to_picture
from pan3d_core.pictures.palette import Picture, instance_palette
from pan3d_core.runtime.files import written_whole
from pan3d_core.runtime.lazy import load
from pan3d_core.structures import unit_range
from pan3d_core.teaching import read_library
from pan3d_core.views.scene_folder import Scene
from pan3d_tools.cli import export
from pan3d_tools.cli.options import add_model_options, build_pipeline
from pan3d_tools.cli.scenes.scene_output import write_new_scene
from pan3d_tools.cli.teaching.recordings import posed_sources
from pan3d_tools.cli.teaching.teachers import add_teacher_options, open_teacher

# Imported when it is needed: training renders scenes with MuJoCo.
TEACH, REQUEST, PLAN = (f"training.teaching:{name}" for name in ("teach", "TeachRequest", "DataPlan"))
EXPORTS = ("onnx", "openvino")
PICTURE, PICTURED, PICTURE_WIDTH = "labels.jpg", 6, 480  # file in a labelled scene; views on it, and their width in pixels
VOID_COLOR = 128


def add_label(parser: argparse.ArgumentParser) -> None:
    """Put the options of `label` on its parser."""
    parser.set_defaults(command=run_label)
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="SOURCE", help="bags, scene folders, or folders of pictures with cameras.json"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DATASET", help="new folder for the labelled scenes")
    defaults = LabelSettings()
    for name, value, words in (
        ("views", defaults.views, "views of each recording, at most"),
        ("steps", defaults.steps, "of the refinement, which labels without depth need"),
        ("longest", defaults.longest_px, "longer side of the pictures in pixels, at most"),
        ("seed", defaults.seed, "of everything that is drawn"),
    ):
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=f"{words} (default: %(default)s)")
    parser.add_argument("--support-height", type=float, metavar="METRES", help="world z of the surface that objects stand on")
    parser.add_argument(
        "--params",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="parameter files of the node, for bags (default: the bag's)",
    )
    add_model_options(parser)
    add_teacher_options(parser)


def run_label(options: argparse.Namespace) -> int:
    """Label every recording; 1 when some of several could not be used."""
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise ValueError(f"--out: expected a new or empty folder, got {options.out}, which holds something")
    sources = list(posed_sources(options))
    teacher = open_teacher(options, whole_objects=True)
    pipeline = build_pipeline(options, options.support_height)
    if options.objects.exists():
        pipeline.use_library(read_library(options.objects))
    settings = LabelSettings(
        views=options.views, steps=options.steps, longest_px=options.longest, seed=options.seed, device=options.device or "auto"
    )
    problems: list[str] = []
    for told, read in sources:
        try:
            scene = read()
            if scene.left_out:
                print(f"warning: {told}: {scene.used()}")
            found = label_scene(scene if options.depth else scene.without_depth(), pipeline, settings, teacher)
        except (FileNotFoundError, ValueError) as error:
            if len(sources) == 1:
                raise
            problems.append(f"{told}: {error}")
            continue
        folder = write_new_scene(options.out, found.scene)
        if teacher is not None:
            write_card(folder, teacher.card)
        save(folder / PICTURE, labels_picture(found.scene))
        _say(found, folder)
    for problem in problems:
        print(f"left out: {problem}")
    print(f"{len(sources) - len(problems)} of {len(sources)} recordings are labelled: {options.out}")
    return 1 if problems else 0


def labels_picture(scene: Scene) -> Picture:
    """Draw the labels of a few views, spread over a scene: objects with their names, void grey.

    Args:
        scene: With truth.

    Returns:
        Rows of views.
    """
    truth, views = scene.known_truth(), scene.views
    palette = instance_palette(max((item.instance_id for item in truth.objects), default=1))
    palette[list(truth.void_ids)] = VOID_COLOR
    names = {item.instance_id: item.name for item in truth.objects if not item.is_void}
    shown = sorted({round(place * (len(views) - 1) / (PICTURED - 1)) for place in range(PICTURED)})
    tiles = []
    for row in shown:
        image = enlarge(to_picture(unit_range(views[row].image)), PICTURE_WIDTH)
        ids = truth.instance_ids[row][None, None].double()
        large = interpolate(ids, image.shape[:2], mode="nearest")[0, 0].long()
        tiles.append(overlay(image, large.numpy(), names, palette=palette))
    return montage(tiles, 3, [views[row].camera for row in shown])


def _say(found: LabelledScene, folder: Path) -> None:
    for warning in found.warnings:
        print(f"warning: {warning}")
    names = ", ".join(item.name for item in found.objects)
    print(f"{folder}: {len(found.scene.views)} views, {len(found.objects)} objects ({names}) by {' and '.join(found.proposers)}")
    print(f"  look at {folder / PICTURE}")
    print(f"  void: {found.void_share:.1%} of the pixels, {len(found.doubted)} doubtful objects")
    for why in found.doubted:
        print(f"  {why}")


def add_train(parser: argparse.ArgumentParser) -> None:
    """Put the options of `train` on its parser."""
    parser.set_defaults(command=run_train)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of `pan3d teach label`")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the weights, .safetensors")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes", type=float, default=30.0, metavar="M", help="of training, resumed parts together (default: 30)"
    )
    length.add_argument("--steps", type=int, default=0, metavar="N", help="end by steps instead")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:N")
    parser.add_argument(
        "--start-from", type=Path, metavar="FILE", help="weights of pan3d-mini to begin with (default: the shipped)"
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="folder of the run (default: FILE without its ending)")
    parser.add_argument("--generated", type=int, default=200, metavar="N", help="generated scenes (default: %(default)s)")
    parser.add_argument(
        "--kept", type=int, default=40, metavar="N", help="generated scenes to be judged by (default: %(default)s)"
    )
    parser.add_argument(
        "--own-share", type=float, default=0.5, metavar="SHARE", help="of samples from the data set (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: %(default)s)")


def run_train(options: argparse.Namespace) -> int:
    """Train, export and compare; 1 when the run was stopped before its end."""
    plan = load(PLAN)(generated=options.generated, kept=options.kept, own_share=options.own_share, seed=options.seed)
    start = {} if options.start_from is None else {"start_from": options.start_from}
    request = load(REQUEST)(
        options.dataset, options.out, options.run or options.out.with_suffix(""), options.minutes, options.steps, options.device,
        plan=plan, **start,
    )  # fmt: skip
    if (options.dataset / JOURNAL_FILE).exists():
        print(f"note: decisions of a review are not in these scenes yet: pan3d teach review {options.dataset} --finish")
    result = load(TEACH)(request)
    print(f"held-out views of {len(result.data.scenes)} recordings: {result.own.verdict}")
    print(f"generated scenes: {result.kept.verdict}")
    print(f"{result.out}, with its card {result.out.with_suffix('.md').name}")
    if not result.finished:
        print("stopped before its end; the same command goes on")
    return 0 if result.finished else 1


def add_deploy(parser: argparse.ArgumentParser) -> None:
    """Put the options of `deploy` on its parser."""
    parser.set_defaults(command=run_deploy)
    parser.add_argument("weights", type=Path, metavar="FILE", help="weights of `pan3d teach train`")
    parser.add_argument("--params", type=Path, metavar="FILE", help="write parameters of the node (default: FILE with .yaml)")
    parser.add_argument("--export", choices=EXPORTS, help="also write the network for this runtime, beside the weights")


def run_deploy(options: argparse.Namespace) -> int:
    """Write a parameter file, and the network for another runtime where one is asked for."""
    weights = options.weights.resolve()
    name = engine_of(weights)
    names = dict.fromkeys(read_checkpoint(weights, name).known_names.class_names)
    parameters = {"model": {"name": name, "weights": str(weights)}}
    if options.objects.exists():
        parameters["objects"] = {"folder": str(options.objects.resolve())}
    target = options.params or options.weights.with_suffix(".yaml")
    with written_whole(target) as part:
        part.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}, sort_keys=False), encoding="utf-8")
    print(f"{name} that knows {', '.join(names)}")
    print(f"{target}: ros2 launch pan3d_ros perception.launch.py params_file:={target}")
    if options.export is None:
        return 0
    parser = argparse.ArgumentParser()
    export.add(parser)
    out = weights.with_suffix(".onnx" if options.export == "onnx" else ".xml")
    code: int = export.run_export(parser.parse_args([name, "--to", options.export, "--weights", str(weights), "-o", str(out)]))
    return code
