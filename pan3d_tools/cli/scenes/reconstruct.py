"""`pan3d reconstruct`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pan3d_core.engines import build_engine
from pan3d_core.language import Namer, NotUnderstood, parse_prompt, select_by_prompt
from pan3d_core.reconstruction import read_pictures, reconstruct
from pan3d_core.runtime.ending.result_folder import ResultFolder
from pan3d_core.runtime.lazy import load
from pan3d_core.structures import PerceptionResult
from pan3d_core.teaching import read_library
from pan3d_core.views.scene_folder import Scene
from pan3d_core.views.usable_views import usable_scene
from pan3d_tools.cli.bags.files import find_bags
from pan3d_tools.cli.options import add_model_options, class_names, pipeline_config
from pan3d_tools.cli.output import require_own_folder
from pan3d_tools.reports.attention import require_queries, write_attention
from pan3d_tools.reports.reconstruction import FILES_OF_OLDER, write_files

# Imported for bags only: they need rosbags.
FEW_VIEWS = "pan3d_tools.cli.bags.keyframes:few_views_of_bag"


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_reconstruct)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="views of one scene, one scene folder, or a bag")
    parser.add_argument("-o", "--out", type=Path, default=Path("out/reconstruct"), help="output folder (default: %(default)s)")
    parser.add_argument("--cameras", type=Path, metavar="FILE", help="calibration: a scene.json, of which `views` suffices")
    parser.add_argument("--support-height", type=float, metavar="METRES", help="world z of the surface that objects stand on")
    parser.add_argument("--classes", metavar="NAME,NAME", help="name objects with these words instead of the checkpoint's")
    parser.add_argument(
        "--prompt", action="append", default=[], metavar="WORDS", help='which object is meant, as "the red mug"; may be repeated'
    )
    parser.add_argument("--objects", type=Path, metavar="DIR", help="taught objects, which prompts may name (`pan3d teach`)")
    parser.add_argument(
        "--attention", action="store_true", help="engine segvggt: also write where its queries look (attention.png)"
    )
    parser.add_argument(
        "--views", type=int, default=4, metavar="N", help="of a bag, from places that differ, at most (default: %(default)s)"
    )
    add_model_options(parser)


def run_reconstruct(options: argparse.Namespace) -> int:
    """Images to cloud, instances, depth, pictures and report; exit code 1 when a prompt means none of the objects. A camera that
    cannot be used is left out and named."""
    names = () if options.objects is None else read_library(options.objects).names
    for prompt in options.prompt:
        print_reading(prompt, names)  # before the work: what is not understood is refused at once
    calibrated = [
        path for path in (options.cameras, *options.images) if path is not None and (path == options.cameras or path.is_dir())
    ]
    require_own_folder(options.out, *calibrated)
    scene = _read(options)
    scene = scene if options.depth else scene.without_depth()
    support = options.support_height if options.support_height is not None else scene.support_height_m
    config = pipeline_config(options, support)
    if options.objects is not None:
        config = replace(config, objects=replace(config.objects, folder=str(options.objects)))
    engine = build_engine(config.model)
    looking = require_queries(engine, config.model.name) if options.attention else None
    scene = usable_scene(scene, engine.facts.preprocess, config.align.max_scene_depth_m)
    result = reconstruct(scene, config, engine=engine, classes=class_names(options.classes))
    with ResultFolder(options.out, "reconstruct", FILES_OF_OLDER).replaced() as part:
        paths = write_files(part, scene, result, config.model.name, engine.facts.text_space)
        if looking is not None:
            paths.append(write_attention(part / "attention.png", looking, list(scene.views)))
    for warning in result.warnings:
        print(f"warning: {warning}")
    for words in () if result.consistency is None else result.consistency.unchecked:
        print(f"not checked: {words}")
    print(f"{len(result.panoptic.segments)} objects, {len(result.panoptic.points)} points, {result.timings_ms['total']:.0f} ms")
    for path in [path for path in paths if path.parent == part]:
        print(f"  {options.out / path.name}")
    namer = Namer.of_facts(engine.facts, config.naming)
    return max([print_answer(result, prompt, namer) for prompt in options.prompt], default=0)


def _read(options: argparse.Namespace) -> Scene:
    """Pictures, a scene folder, or keyframes of a bag."""
    bags = find_bags(options.images)
    if not bags:
        return read_pictures(options.images, options.cameras)
    if len(bags) > 1 or options.cameras is not None:
        raise ValueError(f"IMAGE: expected one bag, which has its cameras' calibration, got {len(bags)} and {options.cameras}")
    options.scene, options.params = bags[0], []
    scene: Scene = load(FEW_VIEWS)(options)
    return scene


def print_reading(prompt: str, names: Sequence[str] = ()) -> None:
    """Print what each word of a prompt does, also of one that is refused.

    Args:
        prompt: To be read.
        names: Of taught objects.

    Raises:
        ValueError: It is refused.
    """
    try:
        words = parse_prompt(prompt, names).words
    except NotUnderstood as problem:
        print(f"{prompt!r}: {_with_roles(problem.words)}")
        raise ValueError(f"--prompt: {problem}") from problem
    print(f"{prompt!r}: {_with_roles(words)}")


def _with_roles(words: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{text} ({role})" for text, role in words)


def print_answer(result: PerceptionResult, prompt: str, namer: Namer) -> int:
    """Print which objects a prompt means; 1 when it is none."""
    found = select_by_prompt(result, prompt, namer)
    chances = ", ".join(f"{i} ({p:.2f})" for i, p in zip(found.instance_ids, found.probabilities))
    print(f"{prompt!r}: {f'object {chances}; {found.explanation}' if found.instance_ids else found.message}")
    return 0 if found.instance_ids else 1
