"""`pan3d bench vggt`: our VGGT beside the official code, same weights and images, one machine, one run.

Weights are random but depend on parameter names only, so both sides have the same 1.19 billion; a few outputs of both are
compared. Without `--reference` only our side runs. See `bench/official/sides.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_tools.bench.official import sides

WORKER = "pan3d_tools.bench.official.vggt_worker"


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench vggt", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--reference", type=Path, help="work tree of facebookresearch/vggt (its requirements importable, track head not used)"
    )
    sides.add_arguments(parser, memory_views=16, image_hw=(392, 518))
    return sides.parse(parser, argv, "vggt/models/vggt.py")


def run(argv: list[str]) -> dict:
    """Measure; see `sides.compare`."""
    return {"model": "VGGT-1B without track head, random weights, float32, CPU", **sides.compare(WORKER, parse(argv))}
