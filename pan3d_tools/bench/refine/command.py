"""`pan3d bench refine`: what refining a scene of Gaussians costs, and what it makes of poor labels (PanopticSplatting).

* `attention`: one training step with local and with global attention by number of Gaussians, of which the camera sees about a
  third: processor time and living tensors of the labels' part and of the whole step, and their ratios.
* `visible`: time of a step of one map by how much of it the camera sees.
* `quality` (minutes for each variant, and only when it is asked for): a simulated cell of 24 views with noisy feed-forward
  labels, refined within a budget: strict, per-view and loose panoptic quality of labels and map, on views given and held out;
  identity switches along a journey of 100 views; time and memory.
* `noise` (likewise): cells with true labels that are spoilt in one way each, and what blending and warping of labels repair.
* `sweep` (likewise): the same cell, every constant that is assumed changed alone.
* `cuda` (likewise, and only with a GPU): steps there by number of Gaussians, and the same cell refined for longer, with a fixed
  and a changing number of Gaussians.

`cpu_s` is the fair time on a machine that does other work beside.
"""

from __future__ import annotations

import argparse

import torch

from pan3d_tools.bench.refine.attention import StepCase, by_gaussians, by_visible
from pan3d_tools.bench.refine.cuda import on_cuda
from pan3d_tools.bench.refine.noise import KINDS, by_noise
from pan3d_tools.bench.refine.quality import VARIANTS, QualitySettings, quality
from pan3d_tools.bench.refine.sweep import SWEPT, UNCHANGED_SEEDS, sweep

PARTS = ("attention", "visible", "quality", "noise", "sweep", "cuda")


def parse(argv: list[str]) -> argparse.Namespace:
    defaults = QualitySettings()
    parser = argparse.ArgumentParser(prog="pan3d bench refine", description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["attention", "visible"], help="default: %(default)s")
    parser.add_argument("--size", default="160x120", metavar="WxH", help="of the images (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    steps = parser.add_argument_group("attention, visible")
    steps.add_argument(
        "--gaussians", type=int, nargs="+", default=[10_000, 50_000, 100_000, 200_000], help="default: %(default)s"
    )
    steps.add_argument("--queries", type=int, default=100, help="default: %(default)s")
    steps.add_argument("--share", type=float, default=1 / 3, help="of the scene that the camera sees (default: a third)")
    steps.add_argument("--visible-gaussians", type=int, default=100_000, help="of the map of `visible` (default: %(default)s)")
    steps.add_argument(
        "--shares", type=float, nargs="+", default=[0.1, 0.25, 0.4, 0.6, 0.8, 1.0], help="of `visible` (default: %(default)s)"
    )
    steps.add_argument("--rounds", type=int, default=2, help="turns after one that warms up; the best counts (%(default)s)")
    maps = parser.add_argument_group("quality, noise, sweep, cuda")
    maps.add_argument(
        "--lengths", type=int, nargs="+", default=[600, 3000], help="of the runs of `cuda`, steps (default: %(default)s)"
    )
    maps.add_argument("--constants", nargs="+", choices=tuple(SWEPT), default=list(SWEPT), metavar="NAME", help="default: all")
    maps.add_argument(
        "--unchanged", type=int, default=UNCHANGED_SEEDS, metavar="N", help="seeds of the unchanged (default: %(default)s)"
    )
    maps.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=list(KINDS), metavar="KIND", help="default: all")
    maps.add_argument("--scenes", type=int, default=3, help="cells of `noise`, from --seed on (default: %(default)s)")
    maps.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=list(VARIANTS), help="default: all")
    maps.add_argument("--seed", type=int, default=defaults.seed, help="of the cell (default: %(default)s)")
    maps.add_argument("--views", type=int, default=defaults.num_views, help="every fourth is held out (default: %(default)s)")
    maps.add_argument("--journey", type=int, default=defaults.path_views, help="views of the long journey (default: %(default)s)")
    maps.add_argument("--noise", type=float, default=defaults.noise, help="times the usual noise (default: %(default)s)")
    maps.add_argument("--steps", type=int, default=defaults.steps, help="of each refinement (default: %(default)s)")
    maps.add_argument("--minutes", type=float, help="budget of each refinement instead of steps")
    maps.add_argument("--max-gaussians", type=int, default=defaults.max_gaussians, help="of a map (default: %(default)s)")
    maps.add_argument("--device", default=defaults.device, help="cpu or cuda, of quality, noise and sweep (default: %(default)s)")
    arguments = parser.parse_args(argv)
    _check(parser, arguments)
    return arguments


def run(argv: list[str]) -> dict:
    """Figures by part."""
    arguments = parse(argv)
    threads = torch.get_num_threads()
    torch.set_num_threads(arguments.threads)
    case = StepCase(arguments.visible_gaussians, arguments.queries, arguments.share, arguments.image_hw)
    result: dict = {"threads": arguments.threads}
    try:
        if "attention" in arguments.parts:
            result["attention"] = by_gaussians(arguments.gaussians, case, arguments.rounds)
        if "visible" in arguments.parts:
            result["visible"] = by_visible(arguments.shares, case, arguments.rounds)
        if "quality" in arguments.parts:
            result["quality"] = quality(arguments.variants, _quality_settings(arguments))
        if "noise" in arguments.parts:
            result["noise"] = by_noise(arguments.kinds, arguments.scenes, _quality_settings(arguments))
        if "sweep" in arguments.parts:
            result["sweep"] = sweep(_quality_settings(arguments), arguments.constants, arguments.unchanged)
        if "cuda" in arguments.parts:
            result["cuda"] = on_cuda(_quality_settings(arguments), arguments.gaussians, case, arguments.lengths)
    finally:
        torch.set_num_threads(threads)
    return result


def _quality_settings(arguments: argparse.Namespace) -> QualitySettings:
    return QualitySettings(
        seed=arguments.seed,
        num_views=arguments.views,
        image_hw=arguments.image_hw,
        path_views=arguments.journey,
        noise=arguments.noise,
        steps=arguments.steps,
        minutes=arguments.minutes,
        max_gaussians=arguments.max_gaussians,
        device=arguments.device,
    )


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse what makes no sense; put `image_hw` on the arguments."""
    counts = ("gaussians", "queries", "visible_gaussians", "rounds", "threads", "journey", "steps", "max_gaussians", "lengths")
    for name in (*counts, "scenes"):
        value = getattr(arguments, name)
        if min(value if isinstance(value, list) else [value]) < 1:
            parser.error(f"--{name.replace('_', '-')}: expected at least 1, got {value}")
    if arguments.views < 4:
        parser.error(f"--views: expected at least 4, of which one is held out, got {arguments.views}")
    if not all(0 < share <= 1 for share in (*arguments.shares, arguments.share)):
        parser.error(f"--shares, --share: expected more than 0 and at most 1, got {arguments.shares}, {arguments.share:g}")
    if arguments.minutes is not None and not arguments.minutes > 0:
        parser.error(f"--minutes: expected more than 0, got {arguments.minutes:g}")
    try:
        width, height = (int(number) for number in arguments.size.split("x"))
    except ValueError:
        parser.error(f"--size: expected WIDTHxHEIGHT, got {arguments.size!r}")
    if min(width, height) < 16:
        parser.error(f"--size: expected at least 16x16, got {arguments.size}")
    arguments.image_hw = (height, width)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device: expected cpu on this machine, got cuda, and no GPU is there")
