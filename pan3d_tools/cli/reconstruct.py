"""`pan3d reconstruct`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core.engines import build_engine
from pan3d_core.reconstruction import read_pictures, reconstruct
from pan3d_tools.cli.options import add_model_options, class_names, pipeline_config
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
    scene = read_pictures(options.images, options.cameras)
    scene = scene if options.depth else scene.without_depth()
    support = options.support_height if options.support_height is not None else scene.support_height_m
    config = pipeline_config(options, support)
    engine = build_engine(config.model)
    result = reconstruct(scene, config, engine=engine, classes=class_names(options.classes))
    paths = write_files(options.out, scene, result, config.model.name, engine.facts.text_space)
    for warning in result.warnings:
        print(f"warning: {warning}")
    print(f"{len(result.panoptic.segments)} objects, {len(result.panoptic.points)} points, {result.timings_ms['total']:.0f} ms")
    for path in [path for path in paths if path.parent == options.out]:
        print(f"  {path}")
    return 0
