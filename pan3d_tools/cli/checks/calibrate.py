"""`pan3d calibrate check`: which camera is not where it is said to be, by how much, and what mends it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pan3d_core.calibration import CalibrationCheck, check_calibration, corrected, lines_of, pose_numbers
from pan3d_core.runtime.files import written_whole
from pan3d_core.runtime.lazy import load
from pan3d_core.structures import CameraView
from pan3d_core.views.camera_files import CameraFile, read_camera_file, write_camera_file
from pan3d_core.views.scene_folder import SCENE_FILE
from pan3d_tools.cli.checks.pose_checks import names_cameras, scene_of_cameras

# Imported for recordings only, which need ROS.
KEYFRAMES = "pan3d_tools.cli.bags.keyframes:views_of_bag"
# Needs ROS as well.
ASK_NODE = "pan3d_tools.live.trigger:ask_trigger"
FIXED_M = 1e-4  # views of a camera that are nearer to each other than this are of a fixed one


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's actions on its parser."""
    actions = parser.add_subparsers(dest=argparse.SUPPRESS, metavar="ACTION", required=True)
    check = actions.add_parser("check", help="compare poses with what the pictures share, and give a correction for each camera")
    check.set_defaults(command=run_check)
    check.add_argument(
        "recordings", nargs="*", type=Path, metavar="PATH",
        help="bags, scene folders or cameras files of the same cameras, each of one still scene; several tell more than one",
    )  # fmt: skip
    check.add_argument(
        "--node", metavar="NAME", help="instead of recordings: ask a running node, such as /pan3d, of what it sees now"
    )
    check.add_argument("--trust", default="", metavar="CAMERA", help="a camera that is right (default: whichever agree)")
    check.add_argument("--views", type=int, default=24, metavar="N", help="of each bag at most (default: %(default)s)")
    check.add_argument(
        "-o", "--out", type=Path, metavar="FILE",
        help="write the corrected poses: .json, in its own folder, for one cameras file or scene folder; .yaml as "
        "transforms.static_file of fixed cameras takes it",
    )  # fmt: skip


def run_check(options: argparse.Namespace) -> int:
    """A line for each camera; 1 when one is off, or nothing can be told of any."""
    if options.node is not None:
        return _check_live(options)
    if not options.recordings:
        raise ValueError("PATH: expected a recording, or --node with the name of a running one, got neither")
    out: Path | None = options.out
    if out is not None and out.suffix not in (".json", ".yaml"):
        raise ValueError(f"--out: expected a .json or .yaml file, got {out}")
    if out is not None and out.suffix == ".json":
        _require_beside(out, options.recordings)
    sets = [
        _views_of(path, whole=out is not None) if names_cameras(path) else load(KEYFRAMES)(path, options.views)
        for path in options.recordings
    ]
    check = check_calibration(sets, trusted=options.trust)
    for line in lines_of(check):
        print(line)
    if out is not None:
        if out.suffix == ".json":
            write_camera_file(out, _with_poses(options.recordings[0], corrected(sets[0], check)))
        else:
            content = yaml.safe_dump(_static_poses(sets, check), sort_keys=False)
            with written_whole(out) as part:
                part.write_text(content, encoding="utf-8")
        print(f"written to {out}")
    return 0 if check.is_right else 1


def _check_live(options: argparse.Namespace) -> int:
    """What a running node says of its own cameras, and whether they are right."""
    others = {"PATH": options.recordings, "--trust": options.trust, "--out": options.out}
    if given := [name for name, value in others.items() if value]:
        raise ValueError(f"{given[0]}: expected none beside --node; record a bag, which is checked with all options")
    answer: tuple[bool, str] = load(ASK_NODE)(options.node, "check_calibration")
    print(answer[1])
    return 0 if answer[0] else 1


def _views_of(path: Path, *, whole: bool) -> Sequence[CameraView]:
    """Views of a scene folder or cameras file; what is written again must be `whole`."""
    scene = scene_of_cameras(path, ())
    if scene.left_out:
        if whole:
            raise ValueError(f"{path}: expected cameras that can all be used with --out, got others: {scene.used()}")
        print(f"{path}: {scene.used()}")
    return scene.views


def _require_beside(out: Path, recordings: Sequence[Path]) -> None:
    """A cameras file is of one source, and names its pictures from the folder that it lies in."""
    source = recordings[0]
    if len(recordings) > 1 or not names_cameras(source):
        raise ValueError("--out: expected a .yaml file, since .json is for one cameras file or scene folder")
    folder = source if source.is_dir() else source.parent
    if out.parent.resolve() != folder.resolve():
        raise ValueError(f"--out: expected a .json file in {folder}, where the names of its pictures begin, got {out}")


def _with_poses(source: Path, views: Sequence[CameraView]) -> CameraFile:
    """A cameras file with the poses of these views, which are those of its pictures in their order."""
    content = read_camera_file(source / SCENE_FILE if source.is_dir() else source)
    poses = iter(view.cam_from_world for view in views)
    entries = (entry if entry.image is None else replace(entry, cam_from_world=next(poses)) for entry in content.views)
    return replace(content, views=tuple(entries))


def _static_poses(sets: Sequence[Sequence[CameraView]], check: CalibrationCheck) -> dict[str, Any]:
    """What a file of fixed cameras says (`transforms.static_file`)."""
    cameras, frames = {}, set()
    for item in check.cameras:
        views = [view for views in sets for view in views if view.camera == item.camera and view.cam_from_world is not None]
        poses = [view.calibration()[1].double().numpy() for view in corrected(views, check)]
        if any(np.abs(pose - poses[0]).max() > FIXED_M for pose in poses):
            raise ValueError(
                f"--out: expected fixed cameras for a .yaml file, got {item.camera}, which moves; mend its mounting by hand"
            )
        frames.add(views[0].world_frame_id)
        xyz, xyzw = pose_numbers(np.linalg.inv(poses[0]))
        cameras[item.camera] = {"translation_m": xyz, "rotation_xyzw": xyzw}
    if len(frames) > 1:
        raise ValueError(f"--out: expected recordings with one reference frame, got {', '.join(sorted(frames))}")
    return {"reference_frame": frames.pop(), "cameras": cameras}
