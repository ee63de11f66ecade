"""`pan3d convert`: bags and labelled scenes in the formats of others, and labels of others as scenes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from pan3d_core.labelling.layouts import read_coco_onto, write_bop, write_coco
from pan3d_core.runtime.files import written_whole
from pan3d_core.runtime.lazy import load
from pan3d_core.views.scene_folder import SCENE_FILE, Scene
from pan3d_eval.datasets import ViewSelection, read_dataset_scene
from pan3d_eval.datasets.bop import is_bop
from pan3d_tools.cli.options import add_model_options
from pan3d_tools.cli.scenes.scene_output import write_new_scene

LEROBOT, COCO, BOP, SCENES = FORMATS = ("lerobot", "coco-panoptic", "bop", "scenes")
# Imported for bags only: they need rosbags and pyarrow.
TO_LEROBOT = "pan3d_tools.cli.bags.convert:to_lerobot"


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_convert)
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="SOURCE",
        help="lerobot: rosbag2 folders, .mcap or .db3 files; coco-panoptic, bop: scene folders, or folders of them; scenes: "
        "folders in BOP's layout, or the JSON file of COCO's panoptic format",
    )  # fmt: skip
    parser.add_argument("--to", choices=FORMATS, default=LEROBOT, help="format that is written (default: LeRobot v3.0)")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder, which must not be there yet")
    parser.add_argument("--views", type=Path, metavar="DATASET", help="scenes of COCO: scene folders that the labels are of")
    bags = parser.add_argument_group("bags")
    bags.add_argument("--task", metavar="WORDS", help="what the robot does: 'put the mug on the shelf'")
    bags.add_argument("--fps", type=int, metavar="N", help="frames per second (default: the nearest to the first bag's)")
    bags.add_argument("--max-objects", type=int, default=16, metavar="N", help="of a frame (default: %(default)s)")
    bags.add_argument(
        "--params", nargs="+", type=Path, default=[], metavar="FILE", help="parameter files of the node (default: from the bag)"
    )
    add_model_options(parser)


def run_convert(options: argparse.Namespace) -> int:
    """Write the format that is asked for."""
    if options.to == LEROBOT:
        load(TO_LEROBOT)(options)
        return 0
    if options.out.exists():
        raise ValueError(f"--out: expected a folder that is not there yet, got {options.out}")
    if options.to == SCENES:
        with written_whole(options.out) as part:
            part.mkdir()
            folders = [write_new_scene(part, scene).name for scene in _scenes(options)]
        print(f"{len(folders)} scenes: {options.out}")
        return 0
    found = scene_folders(options.sources)
    with written_whole(options.out) as part:
        written = (write_coco if options.to == COCO else write_bop)(found, part)
        place = options.out / written.relative_to(part)
    print(f"{len(found)} scenes: {place}")
    return 0


def scene_folders(sources: Iterable[Path]) -> list[Path]:
    """Scene folders that are given, or lie in folders that are.

    Raises:
        FileNotFoundError: Something given is neither.
        ValueError: Two have one name.
    """
    found: list[Path] = []
    for source in sources:
        here = [source] if (source / SCENE_FILE).exists() else [path.parent for path in sorted(source.glob(f"*/{SCENE_FILE}"))]
        if not here:
            raise FileNotFoundError(f"SOURCE: expected a scene folder or a folder of them, got {source} without {SCENE_FILE}")
        found += here
    names = [path.resolve().name for path in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"SOURCE: expected scene folders of different names, got {twice[0]} twice")
    return [path.resolve() for path in found]


def _scenes(options: argparse.Namespace) -> Iterable[Scene]:
    """The scenes that are read, one after the other."""
    for source in options.sources:
        if source.suffix.lower() == ".json":
            if options.views is None:
                raise ValueError(
                    "--views: expected the scene folders that the labels are of, since COCO has no cameras, got none"
                )
            yield from (read_coco_onto(source, folder) for folder in scene_folders([options.views]))
            continue
        places = [source, *sorted(source.glob("*")), *sorted(source.glob("*/*"))]
        found = [path for path in places if is_bop(path)]
        if not found:
            raise FileNotFoundError(f"SOURCE: expected BOP's layout or a JSON file of COCO's, got {source}")
        yield from (read_dataset_scene(path, ViewSelection(0)) for path in found)
