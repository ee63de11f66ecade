"""`pan3d reconstruct`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core.views.scene_folder import SCENE_FILE, read_photographs, read_scene
from pan3d_tools.cli.options import add_model_options, build_pipeline
from pan3d_tools.reports.reconstruction import write_files


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_reconstruct)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="views of one scene, or one scene folder")
    parser.add_argument("-o", "--out", type=Path, default=Path("out/reconstruct"), help="output folder (default: %(default)s)")
    parser.add_argument("--cameras", type=Path, metavar="FILE", help="calibration: a scene.json, of which `views` suffices")
    parser.add_argument("--support-height", type=float, metavar="METRES", help="world z of the surface that objects stand on")
    parser.add_argument("--classes", metavar="NAME,NAME", help="name objects with these words instead of the checkpoint's")
    add_model_options(parser)


def run_reconstruct(options: argparse.Namespace) -> int:
    """Images to cloud, instances, depth, pictures and report."""
    folder = options.images[0] if len(options.images) == 1 and options.images[0].is_dir() else None
    if folder is not None and not (folder / SCENE_FILE).exists():
        raise ValueError(f"images: expected image files or a folder with a {SCENE_FILE}, got the folder {folder}")
    scene = read_photographs(options.images, options.cameras) if folder is None else read_scene(folder)
    scene = scene if options.depth else scene.without_depth()
    support = options.support_height if options.support_height is not None else scene.support_height_m
    pipeline = build_pipeline(options, support, options.classes)
    result = pipeline.process(scene.views)
    paths = write_files(options.out, scene, result, pipeline.config.model.name, pipeline.engine.facts.text_space)
    for warning in result.warnings:
        print(f"warning: {warning}")
    print(f"{len(result.panoptic.segments)} objects, {len(result.panoptic.points)} points, {result.timings_ms['total']:.0f} ms")
    for path in [path for path in paths if path.parent == options.out]:
        print(f"  {path}")
    return 0
