"""`pan3d render`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pan3d_core.gaussians.camera_paths import CameraPath, PathSettings, camera_path
from pan3d_core.gaussians.files import read_scene_file
from pan3d_core.gaussians.pictures import (
    ClassTexts,
    class_names,
    color_pictures,
    depth_pictures,
    instance_pictures,
    semantic_pictures,
    side_by_side,
)
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.language.encoders import build_text_encoder
from pan3d_core.pictures.files import is_moving, write_folder, write_moving
from pan3d_core.runtime.ending.result_folder import ResultFolder
from pan3d_core.runtime.minilm_files import TextEncoderUnavailable
from pan3d_tools.cli.options import picture_size

KINDS = ("colour", "instances", "semantics", "depth")


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_render)
    parser.add_argument("scene", type=Path, metavar="SCENE", help="gaussians.safetensors of `pan3d reconstruct`, or a 3DGS .ply")
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("out/render"),
        help="folder of PNGs, or one .gif, .apng, .webp or .mp4 (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--show", nargs="+", choices=KINDS, default=["colour"], metavar="KIND",
        help=f"{', '.join(KINDS)}; in one file side by side (default: colour)",
    )  # fmt: skip
    parser.add_argument(
        "--path",
        default=None,
        metavar="PATH",
        help="views, orbit, between or a .json file of cameras (default: views, else orbit)",
    )
    parser.add_argument("--size", metavar="WxH", help="size of a picture (default: that of the scene's views)")
    parser.add_argument("--frames", type=int, metavar="N", help="pictures of orbit and between (default: 60)")
    parser.add_argument("--arc", type=float, metavar="DEG", help="how far orbit goes, swinging around the views (default: 360)")
    parser.add_argument("--fps", type=float, default=20.0, help="pictures a second of one file (default: %(default)g)")
    parser.add_argument("--classes", metavar="NAME,NAME", help="what semantics tell apart (default: the names of the objects)")
    parser.add_argument("--encoder-weights", default="", metavar="PATH", help="of a text encoder that pan3d does not bring")


def run_render(options: argparse.Namespace) -> int:
    """A scene to pictures."""
    moving = is_moving(options.out)
    given = {"frames": options.frames, "arc_deg": options.arc}
    if options.size is not None:
        width, height = picture_size(options.size)
        given["image_hw"] = (height, width)
    settings = PathSettings(**{name: value for name, value in given.items() if value is not None})
    scene = read_scene_file(options.scene)
    path = camera_path(scene, options.path or ("views" if len(scene.cam_from_world) else "orbit"), settings)
    kinds = {kind: _pictures(kind, scene, path, options) for kind in dict.fromkeys(options.show)}
    if moving:
        write_moving(options.out, side_by_side(list(kinds.values())), options.fps)
    else:
        older = [f"{kind}_[0-9][0-9][0-9].png" for kind in KINDS]
        with ResultFolder(options.out, "render", older).replaced() as part:
            for kind, pictures in kinds.items():
                write_folder(part, kind, pictures)
    print(f"{len(scene.gaussians)} Gaussians, {len(scene.ids())} objects, {len(path)} pictures of {', '.join(kinds)}")
    print(f"  {options.out}")
    return 0


def _pictures(kind: str, scene: GaussianScene, path: CameraPath, options: argparse.Namespace) -> Iterator[np.ndarray]:
    if kind == "semantics":
        return semantic_pictures(scene, path, _class_texts(scene, options))
    make = {"colour": color_pictures, "instances": instance_pictures, "depth": depth_pictures}
    return make[kind](scene, path)


def _class_texts(scene: GaussianScene, options: argparse.Namespace) -> ClassTexts:
    """The classes asked for, in the words of the scene's own encoder."""
    if scene.text_space is None:
        raise ValueError(f"--show semantics: expected a scene with semantics and a text space, got {options.scene} without")
    names = class_names(scene)
    if options.classes is not None:
        names = tuple(name.strip() for name in options.classes.split(",") if name.strip())
    if not names:
        raise ValueError("--classes: expected at least one name, got none, and the scene has no objects with names")
    try:
        encoder = build_text_encoder(scene.text_space.encoder, options.encoder_weights)
    except TextEncoderUnavailable as error:
        raise ValueError(f"--show semantics: {error}") from error
    return ClassTexts(names, encoder.encode(names))
