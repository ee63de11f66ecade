"""Options of `pan3d eval` for worlds that are rendered by seed, and for calibration that is a little wrong."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pan3d_core.runtime.lazy import load
from pan3d_eval.rig_errors import RigError

# Imported for worlds only: scenes are evaluated where MuJoCo is not installed.
RENDER_WORLD = "pan3d_tools.cli.evaluation.world_scenes:render_world"


def add_world_options(parser: argparse.ArgumentParser) -> None:
    """Put the options of rendered worlds on a parser."""
    worlds = parser.add_argument_group("worlds: scenes of the simulated cell, rendered by held-out seeds and kept")
    worlds.add_argument(
        "--world",
        metavar="NAME",
        help="cell, unseen-kinds, surfaces, tinted, lights, cameras, low, far, surroundings, effects, wild, heaps, "
        "printed, nameless, modelled, modelled-surfaces, modelled-wild, modelled-heaps",
    )
    worlds.add_argument("--world-scenes", type=int, default=20, metavar="N", help="scenes (default: %(default)s)")
    worlds.add_argument("--world-seed", type=int, default=1_000_000, metavar="SEED", help="the first one (default: %(default)s)")
    worlds.add_argument("--world-cameras", type=int, default=4, metavar="N", help="views of each (default: %(default)s)")
    worlds.add_argument("--world-size", default="320x240", metavar="WxH", help="their pixels (default: %(default)s)")
    worlds.add_argument(
        "--world-folder", type=Path, default=Path("data/worlds"), metavar="DIR", help="keeps them (default: %(default)s)"
    )
    worlds.add_argument("--object-folder", default="", metavar="DIR", help="modelled objects (`pan3d sim objects fetch`)")
    worlds.add_argument("--photographs", default="", metavar="DIR", help="photographed surfaces (default: procedural ones only)")


def scenes_of(options: argparse.Namespace) -> list[Path]:
    """Find the scenes that a command shall judge, and render those of a world where they are not there yet.

    Args:
        options: With those of `add_world_options` and `scenes`.

    Returns:
        Paths of scenes.

    Raises:
        ValueError: Neither or both of paths and a world are given, or the world cannot be rendered.
    """
    scenes: list[Path] = options.scenes
    if bool(scenes) == bool(options.world):
        got = "both" if scenes else "neither"
        raise ValueError(f"scenes, --world: expected either paths of scenes or the name of a world, got {got}")
    if not options.world:
        return scenes
    folder: Path = load(RENDER_WORLD)(options)
    print(f"\n{folder}", file=sys.stderr)
    return [folder]


def add_rig_error_options(parser: argparse.ArgumentParser) -> None:
    """Put the options of wrong calibration on a parser."""
    errors = parser.add_argument_group("calibration that is a little wrong: what the engine is told is off by so much")
    errors.add_argument("--position-error", type=float, default=0.0, metavar="M", help="each camera's place, metres")
    errors.add_argument("--rotation-error", type=float, default=0.0, metavar="DEG", help="each camera's direction, degrees")
    errors.add_argument("--support-error", type=float, default=0.0, metavar="M", help="the support's height, metres")


def rig_error_of(options: argparse.Namespace) -> RigError:
    """Read the options of `add_rig_error_options`; raises `ValueError` for one out of its range."""
    return RigError(options.position_error, options.rotation_error, options.support_error)
