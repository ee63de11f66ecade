"""`pan3d bench da3`: our Depth Anything 3 beside the official code, same weights and images, one machine, one run.

Asked for are depth, its confidence and cameras, by the camera decoder, which is what the official network gives by default. It
computes its ray branch all the same and drops the result; ours computes it when asked, here with `--rays`. Weights are random
but depend on parameter names only, so both sides have the same; a few outputs of both are compared. The official side gets its
images normalised, which is inside our network. Without `--reference` only our side runs. See `bench/official/sides.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_tools.bench.official import sides

WORKER = "pan3d_tools.bench.official.da3_worker"
VARIANTS = ("small", "base", "large")
TARGETS = {"cpu_s": 0.8, "live_mib": 0.7}  # ratio to the official code, at most


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench da3", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--reference",
        type=Path,
        help="work tree of ByteDance-Seed/Depth-Anything-3 (addict, einops and omegaconf importable)",
    )
    parser.add_argument("--variant", choices=VARIANTS, default="base", help="member of the family (default: %(default)s)")
    parser.add_argument("--rays", action="store_true", help="our side computes the ray map, too")
    sides.add_arguments(parser, memory_views=16, image_hw=(378, 504))
    return sides.parse(parser, argv, "src/depth_anything_3/model/da3.py")


def run(argv: list[str]) -> dict:
    """Measure; see `sides.compare`."""
    arguments = parse(argv)
    extra = ("--variant", arguments.variant, *(("--rays",) if arguments.rays else ()))
    return {
        "model": f"Depth Anything 3 {arguments.variant.upper()}, random weights, float32, CPU",
        "our_rays": arguments.rays,
        **sides.compare(WORKER, arguments, extra),
        "targets_at_most": TARGETS,
    }
