"""`pan3d view`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core.gaussians.files import read_scene_file
from pan3d_core.pictures.cloud_files import read_ply
from pan3d_tools.cli.live.serving import add_page_options, given_page_options, serve_until_interrupted
from pan3d_tools.viewer.cloud_window import show
from pan3d_tools.viewer.page import GaussianViewer, PageSettings

GAUSSIANS, PLY = ".safetensors", ".ply"
HEADER_BYTES = 4096


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_view)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="gaussians.safetensors, gaussians.ply or cloud.ply of `pan3d reconstruct`"
    )
    parser.add_argument("--instances", action="store_true", help="begin with one colour per instance")
    page = parser.add_argument_group("the page in the browser")
    add_page_options(page)
    page.add_argument("--encoder-weights", metavar="PATH", help="of the scene's text encoder, where it needs some")


def run_view(options: argparse.Namespace) -> int:
    """A page with a scene of Gaussians until Ctrl-C, or a window with a cloud."""
    suffix = options.file.suffix.lower()
    if suffix not in (GAUSSIANS, PLY):
        raise ValueError(f"file: expected {GAUSSIANS} (3D Gaussians) or {PLY} (Gaussians or a cloud), got {options.file.name}")
    if suffix == GAUSSIANS or _ply_of_gaussians(options.file):
        return _serve_page(options)
    show(read_ply(options.file), by_instance=options.instances)
    return 0


def _ply_of_gaussians(path: Path) -> bool:
    with path.open("rb") as file:
        return b"property float f_dc_0" in file.read(HEADER_BYTES)


def _serve_page(options: argparse.Namespace) -> int:
    settings = PageSettings(**given_page_options(options, "encoder_weights"))
    viewer = GaussianViewer(read_scene_file(options.file), settings)

    def begin() -> None:
        if options.instances:
            viewer.attempt(lambda: viewer.set_mode("instances"))

    return serve_until_interrupted(viewer, options.file.name, begin)
