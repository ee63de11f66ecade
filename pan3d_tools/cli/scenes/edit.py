"""`pan3d edit`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pan3d_core.gaussians import editing
from pan3d_core.gaussians.files import read_scene_file, write_scene_file
from pan3d_core.gaussians.recoloring import color_of_text
from pan3d_core.gaussians.scene import GaussianScene

EXPLANATION = """Edits happen in the order in which they are given. Lengths are those of the scene: metres along its world axes
when it is metric. `pan3d render --show instances` shows the ids. Where an object was is a hole: nobody saw what is there."""


class _Step(argparse.Action):
    """Puts (option, values) behind the steps before it, so that the order of different options is kept."""

    def __call__(
        self, parser: argparse.ArgumentParser, options: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        options.steps = [*options.steps, (str(option), list(values))]


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.epilog = EXPLANATION
    parser.set_defaults(command=run_edit, steps=[])
    parser.add_argument("scene", type=Path, metavar="SCENE", help="gaussians.safetensors of `pan3d reconstruct`")
    parser.add_argument("-o", "--out", type=Path, required=True, help="file to write: .safetensors, or .ply for other programs")
    place = ("ID", "DX", "DY", "DZ")
    for option, count, names, about in (
        ("--remove", "+", "ID", "take objects away"),
        ("--recolour", 2, ("ID", "COLOUR"), "another hue, a word or #rrggbb; light and shade stay"),
        ("--move", 4, place, "move an object"),
        ("--duplicate", 4, place, "a copy of an object, moved from where it is"),
        ("--turn", 1, "DEG", "turn the object of the --move or --duplicate before it about its upright axis"),
    ):
        parser.add_argument(option, action=_Step, nargs=count, metavar=names, help=about)
    parser.add_argument("--into", type=Path, metavar="OTHER", help="put objects into this scene and write that")
    parser.add_argument("--take", nargs="+", metavar="ID", help="with --into: which objects (default: all)")
    parser.add_argument("--at", nargs=3, type=float, metavar=("X", "Y", "Z"), help="with --into: where their foot comes to stand")
    parser.add_argument("--scale", type=float, metavar="FACTOR", help="with --into: how many times larger they become")


def run_edit(options: argparse.Namespace) -> int:
    """A scene, edited, to a file."""
    if options.into is None and (options.take, options.at, options.scale) != (None, None, None):
        raise ValueError("--take, --at, --scale: expected --into with them, got none")
    if not options.steps and options.into is None and options.out.suffix == options.scene.suffix:
        raise ValueError("expected something to do, such as --remove ID, or a file of the other kind to write, got neither")
    scene = read_scene_file(options.scene)
    for (option, values), turn_deg in _with_turns(options.steps):
        scene = STEPS[option](scene, values, turn_deg)
    if options.into is not None:
        ids = scene.ids() if options.take is None else [_whole("--take", value) for value in options.take]
        at = None if options.at is None else tuple(options.at)
        target = read_scene_file(options.into)
        scene, new_ids = editing.with_instances_of(target, scene, ids, editing.Insertion(at, options.scale))
        for old, new in new_ids.items():
            print(f"instance {old} ({scene.names[new]}) is {new} there")
    write_scene_file(options.out, scene)
    print(f"{len(scene.gaussians)} Gaussians, {len(scene.ids())} objects")
    print(f"  {options.out}")
    return 0


def _with_turns(steps: Sequence[tuple[str, list[str]]]) -> list[tuple[tuple[str, list[str]], float]]:
    """Steps with the turn that belongs to each, 0 where there is none."""
    joined: list[tuple[tuple[str, list[str]], float]] = []
    for before, step in zip([("nothing", []), *steps], steps):
        if step[0] != "--turn":
            joined.append((step, 0.0))
        elif before[0] in ("--move", "--duplicate"):
            joined[-1] = (before, _number("--turn", step[1][0]))
        else:
            raise ValueError(f"--turn: expected right after --move or --duplicate, got it after {before[0]}")
    return joined


def _whole(option: str, text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{option}: expected the id of an instance, a whole number, got {text!r}")
    return int(text)


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{option}: expected a number, got {text!r}") from None


def _motion(option: str, lengths: Sequence[str], turn_deg: float) -> editing.Motion:
    x, y, z = (_number(option, text) for text in lengths)
    return editing.Motion((x, y, z), turn_deg)


def _remove(scene: GaussianScene, values: list[str], _: float) -> GaussianScene:
    return editing.without_instances(scene, [_whole("--remove", value) for value in values])


def _recolor(scene: GaussianScene, values: list[str], _: float) -> GaussianScene:
    return editing.with_color(scene, _whole("--recolour", values[0]), color_of_text(values[1]))


def _move(scene: GaussianScene, values: list[str], turn_deg: float) -> GaussianScene:
    return editing.with_motion(scene, _whole("--move", values[0]), _motion("--move", values[1:], turn_deg))


def _duplicate(scene: GaussianScene, values: list[str], turn_deg: float) -> GaussianScene:
    motion = _motion("--duplicate", values[1:], turn_deg)
    changed, new_id = editing.with_copy(scene, _whole("--duplicate", values[0]), motion)
    print(f"the copy of instance {values[0]} ({changed.names[new_id]}) is {new_id}")
    return changed


STEPS: dict[str, Callable[[GaussianScene, list[str], float], GaussianScene]] = {
    "--remove": _remove,
    "--recolour": _recolor,
    "--move": _move,
    "--duplicate": _duplicate,
}
