"""One side of the VGGT comparison; started by `bench/official/sides.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from pan3d_core.models.vggt.network import vggt_1b
from pan3d_tools.bench.official.side_worker import Side, report, worker_arguments


def build_ours() -> nn.Module:
    with torch.device("meta"):
        model = vggt_1b()
    return model.to_empty(device="cpu")


def build_official(checkout: Path) -> nn.Module:
    sys.path.insert(0, str(checkout))
    from vggt.models.vggt import VGGT

    return VGGT(enable_track=False)


def run_ours(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    output = model(images)
    return {"pose": output.pose_encodings[-1], "depth": output.depth, "points": output.world_points}


def run_official(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    output = model(images)
    return {"pose": output["pose_enc"], "depth": output["depth"][..., 0], "points": output["world_points"]}


def main() -> None:
    arguments = worker_arguments().parse_args()
    official = Side(lambda: build_official(arguments.reference), run_official)
    report(arguments, Side(build_ours, run_ours) if arguments.side == "ours" else official)


if __name__ == "__main__":
    main()
