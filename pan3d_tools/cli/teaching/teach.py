"""`pan3d teach`: objects that are shown once and found by their names from then on."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from pan3d_core.config import PipelineConfig
from pan3d_core.engines import build_engine
from pan3d_core.labelling.chosen_views import clear_views
from pan3d_core.language import Namer, Selection, select_by_box, select_by_id, select_by_pixels, select_by_prompt
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.reconstruction import read_pictures
from pan3d_core.runtime.lazy import load
from pan3d_core.structures import PerceptionResult
from pan3d_core.teaching import (
    Seen,
    TaughtLibrary,
    chosen_object,
    export_objects,
    forget_object,
    import_objects,
    read_library,
    same_as_taught,
    show_object,
    write_object,
)
from pan3d_core.views.usable_views import usable_scene
from pan3d_tools.cli.bags.files import find_bags
from pan3d_tools.cli.options import add_model_options, pipeline_config
from pan3d_tools.cli.teaching.networks import add_deploy, add_label, add_train
from pan3d_tools.cli.teaching.review import add_review

DEFAULT_FOLDER = Path("objects")
# Imported for bags only: objects are taught from pictures where rosbags is not installed.
FROM_BAG = "pan3d_ros.bags.excerpts.showing:seen_in_bag"


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's actions on its parser."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_show(actions.add_parser("show", help="learn one object from views of it, and its name"))
    _action(actions, "list", "names, sizes and views of all objects", run_list)
    forget = _action(actions, "forget", "delete an object", run_forget)
    forget.add_argument("forgotten", metavar="NAME", help="of the object")
    export = _action(actions, "export", "write objects into one file for another robot", run_export)
    export.add_argument("names", nargs="*", metavar="NAME", help="of objects (default: all)")
    export.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the .zip file")
    imported = _action(actions, "import", "take the objects of such a file", run_import)
    imported.add_argument("archive", type=Path, metavar="FILE", help="the .zip file")
    _add_replace(imported)
    label = actions.add_parser("label", help="label recordings without anybody, for training")
    add_label(label)
    add_review(actions.add_parser("review", help="go through labelled objects in the browser (needs viser)"))
    add_train(actions.add_parser("train", help="weights that have learnt a labelled data set"))
    deploy = actions.add_parser("deploy", help="put such weights into the node's parameters, or export them")
    add_deploy(deploy)
    _add_folder(label)
    _add_folder(deploy)


def _action(actions: argparse._SubParsersAction, name: str, summary: str, command: object) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=summary)
    parser.set_defaults(command=command)
    _add_folder(parser)
    return parser


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--objects", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="folder of taught objects (default: %(default)s)"
    )


def _add_replace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--replace", action="store_true", help="objects of the same names give way")


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run_show)
    parser.add_argument("images", nargs="+", type=Path, metavar="SOURCE", help="a bag, a scene folder, or views of one scene")
    parser.add_argument("--name", dest="taught_name", required=True, metavar="WORDS", help='what it is called, as "blue valve"')
    parser.add_argument("--cameras", type=Path, metavar="FILE", help="calibration of views: a scene.json")
    parser.add_argument("--support-height", type=float, metavar="METRES", help="world z of the surface that objects stand on")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--object", type=int, metavar="ID", help="which object is shown, where there are several: its id")
    which.add_argument("--prompt", metavar="WORDS", help='which one, in words, as "the left one"')
    which.add_argument("--pixel", type=float, nargs=2, metavar=("X", "Y"), help="which one: a pixel on it in the picture")
    which.add_argument(
        "--box", type=float, nargs=4, metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"), help="which one: a box around it in the picture"
    )
    parser.add_argument("--camera", default="", metavar="NAME", help="whose picture that is (default: the first one)")
    parser.add_argument("--look-alike", action="store_true", help="teach it even if it looks like an object of another name")
    _add_replace(parser)
    _add_folder(parser)
    add_model_options(parser)


def run_show(options: argparse.Namespace) -> int:
    """Find the object, say which it is, and write it into the library."""
    library = read_library(options.objects) if options.objects.exists() else TaughtLibrary()
    _refuse_taken(options, library)
    seen, config = _seen(options, library)
    selection = _selection(options, seen.result, config)
    instance_id = chosen_object(seen.result, selection)
    item = show_object(seen, instance_id, options.taught_name, config.model.name)
    other = same_as_taught(seen, instance_id, item.name)
    if other and not options.look_alike:
        raise ValueError(
            f"name: object {instance_id} looks like {other!r}, which is taught already: one thing has one name. "
            f"`pan3d teach forget` that one first, or say --look-alike for another thing that only looks like it"
        )
    path = write_object(options.objects, item, replace=options.replace)
    for warning in seen.result.warnings:
        print(f"warning: {warning}")
    print(f"object {instance_id} ({item.description}) is {item.name!r} now, from {len(item.looks.pixels)} views: {path}")
    return 0


def _refuse_taken(options: argparse.Namespace, library: TaughtLibrary) -> None:
    """Before any work."""
    taken = library.find(options.taught_name)
    if taken is not None and not options.replace:
        raise ValueError(f"--name: expected one that is not taken, got {taken.name!r}, which was taught already (see --replace)")


def _seen(options: argparse.Namespace, library: TaughtLibrary) -> tuple[Seen, PipelineConfig]:
    """What the source shows."""
    if bags := find_bags(options.images):
        if len(bags) > 1:
            raise ValueError(f"SOURCE: expected one bag, got {len(bags)}")
        config = pipeline_config(options, options.support_height)
        found: Seen = load(FROM_BAG)(bags[0], config, library, use_depth=options.depth)
        return found, config
    scene = read_pictures(options.images, options.cameras)
    scene = scene if options.depth else scene.without_depth()
    support = options.support_height if options.support_height is not None else scene.support_height_m
    config = pipeline_config(options, support)
    engine = build_engine(config.model)
    pipeline = PerceptionPipeline(engine, config, Namer.of_facts(engine.facts, config.naming))
    pipeline.use_library(library)
    scene = usable_scene(scene, engine.facts.preprocess, config.align.max_scene_depth_m)
    views, unclear = clear_views(scene.name, scene.views) if len(scene.views) > 1 else (list(scene.views), "")
    for warning in filter(None, (scene.used(), unclear)):
        print(f"warning: {warning}")
    pipeline.process(views)
    return pipeline.shown(), config


def _selection(options: argparse.Namespace, result: PerceptionResult, config: PipelineConfig) -> Selection | None:
    if options.object is not None:
        return select_by_id(result, options.object)
    if options.prompt is not None:
        return select_by_prompt(result, options.prompt, Namer(config=config.naming))
    if options.pixel is not None:
        return select_by_pixels(result, [tuple(options.pixel)], camera=options.camera)
    if options.box is not None:
        found = select_by_box(result, tuple(options.box), options.camera)
        return replace(found, instance_ids=found.instance_ids[:1])
    return None


def run_list(options: argparse.Namespace) -> int:
    """One line for each object; exit code 1 when an entry cannot be read."""
    library = read_library(options.objects)
    for item in library.objects:
        size = item.looks.size_m
        sides = "size unknown" if size is None else " x ".join(f"{100 * side:.1f}" for side in size) + " cm"
        print(f"{item.name}: {item.description}, {sides}, {len(item.looks.pixels)} views, {item.engine or 'unknown engine'}")
    for text in library.skipped:
        print(f"warning: {text}")
    print(f"{len(library.objects)} objects in {options.objects}")
    return 1 if library.skipped else 0


def run_forget(options: argparse.Namespace) -> int:
    """Delete an object's folder."""
    print(f"{forget_object(options.objects, options.forgotten)} is deleted")
    return 0


def run_export(options: argparse.Namespace) -> int:
    """Write an archive."""
    names = export_objects(options.objects, options.out, options.names)
    print(f"{', '.join(names)}: {options.out}")
    return 0


def run_import(options: argparse.Namespace) -> int:
    """Take the objects of an archive; exit code 1 when some of it cannot be read."""
    found = import_objects(options.objects, options.archive, replace=options.replace)
    for text in found.skipped:
        print(f"warning: {text}")
    print(f"{', '.join(found.names) or 'nothing'} taken into {options.objects}")
    return 1 if found.skipped else 0
