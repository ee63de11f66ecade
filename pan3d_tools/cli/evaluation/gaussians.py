"""`pan3d eval-gaussians`."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from pan3d_core.pictures.overlays import save
from pan3d_core.runtime.ending.result_folder import ResultFolder
from pan3d_eval.datasets import ViewSelection
from pan3d_eval.datasets.scenes import list_scenes
from pan3d_eval.execution import Failure, Processes, run_items
from pan3d_eval.rendered.gaussian_scenes import GaussianEvaluation, GaussianProtocol, gaussian_worker
from pan3d_eval.rendered.pictures import gaussian_view_picture
from pan3d_eval.rendered.true_views import STUFF
from pan3d_tools.cli.options import add_model_options, class_names, pipeline_config
from pan3d_tools.cli.output import machine_facts, print_table, show_progress, write_json


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.add_argument(
        "scenes",
        nargs="+",
        type=Path,
        help="scenes of a table, or of ScanNet, ScanNet++ or Replica, with 4 or more views: folders, shards, or folders of them",
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="DIR", help="folder for figures and pictures (default: out/eval/ENGINE_gaussians)"
    )
    parser.add_argument("--limit", type=int, default=0, help="most scenes (default: all)")
    parser.add_argument(
        "--surfaces",
        default=",".join(STUFF),
        metavar="SUPPORT,BELOW",
        help="on tables: what the support and what is below it are called (default: %(default)s)",
    )
    parser.add_argument("--views", type=int, default=8, help="images of a public data set's recording (default: 8, 0: all)")
    parser.add_argument("--stride", type=int, default=1, help="take every N-th of them before choosing (default: 1)")
    parser.add_argument("--no-poses", action="store_true", help="withhold the cameras' poses")
    parser.add_argument(
        "--readout", default="cells", help="objects from features: cells, or pixels as published (default: cells)"
    )
    parser.add_argument("--pictures", type=int, default=3, metavar="N", help="pictures of the first N scenes (default: 3)")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes of one thread each (default: this one)")
    parser.add_argument("--encoder-weights", default="", help="of the engine's text encoder, where these do not come with pan3d")
    add_model_options(parser)
    parser.set_defaults(command=run_eval_gaussians, model="pan3d-mini-eps3d")


def run_eval_gaussians(options: argparse.Namespace) -> int:
    """A table, a JSON file and pictures. 1 when a scene could not be evaluated."""
    references = list_scenes(options.scenes, options.limit, ViewSelection(options.views, options.stride))
    config = pipeline_config(options).model
    protocol = GaussianProtocol(not options.no_poses, options.readout, _surfaces(options.surfaces))
    make = partial(gaussian_worker, config, protocol, options.encoder_weights)
    outcomes = run_items(make, references, processes=Processes(options.workers), progress=show_progress)
    print(file=sys.stderr)
    failures = {item.name: item.message for item in outcomes if isinstance(item, Failure)}
    figures = GaussianEvaluation(tuple(item for item in outcomes if not isinstance(item, Failure))).figures()
    print_table(list(figures.items()))
    for name, message in failures.items():
        print(f"failed: {name}: {message}", file=sys.stderr)
    out = options.out or Path("out/eval", f"{config.name}_gaussians")
    run = {"engine": config.name, "poses": protocol.use_poses, "readout": protocol.readout, "command": options.command_line}
    content = {"machine": machine_facts(), "run": run, "figures": figures, "failures": failures}
    shown = [reference for reference in references if reference.name not in failures][: options.pictures]
    evaluators = [make()] if shown else []
    pictures = [gaussian_view_picture(evaluator.show(item.read())) for evaluator in evaluators for item in shown]
    with ResultFolder(out, "eval-gaussians", ("scene_[0-9]*.png",)).replaced() as part:
        write_json(part / "figures.json", content, told=False)
        for number, picture in enumerate(pictures):
            save(part / f"scene_{number}.png", picture)
    print(f"written to {out / 'figures.json'}")
    return 1 if failures else 0


def _surfaces(text: str) -> tuple[str, str]:
    """The two words of `--surfaces`."""
    words = class_names(text)
    if len(words) != 2 or words[0] == words[1]:
        raise ValueError(f"--surfaces: expected two names such as table,floor, got {text!r}")
    return words[0], words[1]
