"""Write a run's averaged weights as the file that the family's engine loads, and its model card.

    python -m training.export --run RUN --data DIR --out pan3d_core/weights/pan3d-mini.safetensors

`--earlier RUN`, once for each, names the runs whose weights this one started from, first to last; the card tells of all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from training.export.eps3d import export_eps3d
from training.export.eps3d_mini import export_eps3d_mini
from training.export.fast3dis import export_fast3dis
from training.export.mini import export_mini
from training.export.request import ExportRequest, mixed_state
from training.export.segvggt import export_segvggt
from training.run.checkpoints import LAST, read_state

# Each takes the state of a trainer and writes `request.out` and the card beside it.
EXPORTERS: dict[str, Callable[[dict, ExportRequest], None]] = {
    "pan3d-mini": export_mini,
    "pan3d-mini-fast3dis": export_mini,
    "pan3d-mini-eps3d": export_eps3d_mini,
    "fast3dis": export_fast3dis,
    "segvggt": export_segvggt,
    "eps3d": export_eps3d,
}


def export_run(request: ExportRequest) -> None:
    """Export the newest checkpoint of a run, with its card.

    Args:
        request: The run, the data to measure on and the file to write.

    Raises:
        ValueError: The run's family has no file format of its own, or what is to be mixed in is of another network.
    """
    state = {"family": "pan3d-mini", **read_state(request.run / LAST)}  # checkpoints of the first version do not name it
    family = state["family"]
    if family not in EXPORTERS:
        raise ValueError(f"run: expected a run of {', '.join(EXPORTERS)}, got one of {family} in {request.run}")
    if request.mixed is not None:
        state = mixed_state(state, *request.mixed)
    request.out.parent.mkdir(parents=True, exist_ok=True)
    EXPORTERS[family](state, request)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a training run (last.pt, log.jsonl)")
    parser.add_argument("--earlier", type=Path, action="append", default=[], help="run that this one started from")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=320, help="held-out scenes for the card's figures")
    parser.add_argument(
        "--mix",
        type=Path,
        metavar="FILE",
        help="an earlier checkpoint or a weight file of the same network whose weights are mixed in",
    )
    parser.add_argument("--mix-share", type=float, default=0.3, help="share of --mix in the exported weights")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    mixed = None if arguments.mix is None else (arguments.mix, arguments.mix_share)
    export_run(ExportRequest(arguments.run, tuple(arguments.earlier), arguments.data, arguments.out, arguments.scenes, mixed))
