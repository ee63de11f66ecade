"""Grasps tried in physics, and a scorer that learns from them.

python -m training.grasps trials -o TRIALS --trials 100000 --workers 2 --object-folder OBJECTS
python -m training.grasps learn TRIALS -o pan3d-grasps.safetensors
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from pan3d_core.runtime.ending import told, unwound
from training.grasps.card import learn_scorer
from training.grasps.learning import LearnRequest
from training.grasps.scene import INPUTS
from training.grasps.shards import TrialsRequest, make_trials
from training.run.refusing import refusing

PROGRAM = "python -m training.grasps"


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    trials = actions.add_parser("trials", help="try grasps in physics; goes on where it was stopped")
    add = trials.add_argument
    add("-o", "--out", type=Path, required=True, help="folder of one file for each scene")
    add("--trials", type=int, default=100_000, help="at least so many (default: %(default)s)")
    add("--seed", type=int, default=3_000_000, help="of the first scene (default: %(default)s)")
    add("--workers", type=int, default=2, help="processes (default: %(default)s)")
    add("--object-folder", type=Path, metavar="DIR", help="modelled objects, of which the training split is used")
    add("--input", choices=INPUTS, default=list(INPUTS), nargs="+", help="what planners are given (default: all)")
    learnt = actions.add_parser("learn", help="train, calibrate and judge the scorer; writes it and its card")
    add = learnt.add_argument
    add("trials", type=Path, help="folder of trials")
    add("-o", "--out", type=Path, required=True, metavar="FILE", help="the weight file, .safetensors")
    add("--most", type=int, metavar="N", help="trials that are read (default: all)")
    add("--epochs", type=int, default=LearnRequest().epochs, help="(default: %(default)s)")
    add("--seed", type=int, default=LearnRequest().seed, help="of what is drawn (default: %(default)s)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    options = parse(argv)
    logging.basicConfig(level=logging.WARNING)
    try:
        with refusing(PROGRAM), unwound():  # asked to end, it takes its workers along
            return _tried(options) if options.action == "trials" else _learnt(options, sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt as asked:
        return told(PROGRAM, asked, "; the same command goes on where there are files")


def _tried(options: argparse.Namespace) -> int:
    request = TrialsRequest(
        options.out, options.trials, options.seed, options.workers, options.object_folder, tuple(options.input)
    )
    print(f"\n{options.out}: {make_trials(request, _show)} trials")
    return 0


def _learnt(options: argparse.Namespace, argv: list[str]) -> int:
    torch.set_num_threads(1)  # batches are small: more threads wait for each other
    request = LearnRequest(epochs=options.epochs, seed=options.seed)
    command = shlex.join([*PROGRAM.split(), *argv])
    found = learn_scorer(options.trials, options.out, request, options.most, command)
    for epoch, learnt, held_out in found.curve:
        print(f"epoch {epoch + 1}: {learnt:.3f} nats a trial, held out {held_out:.3f}")
    print("\n".join(f"{name}: {value:.4g}" for name, value in asdict(found.judgement).items()))
    return 0


def _show(done: int) -> None:
    print(f"\r{done} trials", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
