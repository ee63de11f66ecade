"""One side of the Depth Anything 3 comparison; started by `bench/official/sides.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from pan3d_core.models.da3.network import build_da3
from pan3d_core.models.vggt.network import imagenet_normalized
from pan3d_tools.bench.official.side_worker import Side, report, worker_arguments


def build_ours(variant: str) -> nn.Module:
    with torch.device("meta"):
        model = build_da3(f"da3-{variant}")
    return model.to_empty(device="cpu")


def build_official(checkout: Path, variant: str) -> nn.Module:
    """The network of the checkout's own configuration, without the class around it that reads images and exports results."""
    sys.path.insert(0, str(checkout / "src"))
    from depth_anything_3.cfg import create_object, load_config

    return create_object(load_config(str(checkout / "src" / "depth_anything_3" / "configs" / f"da3-{variant}.yaml")))


def run_ours(model: nn.Module, images: Tensor, *, rays: bool = False) -> dict[str, Tensor]:
    output = model(images, rays=rays)
    return {
        "depth": output.depth,
        "depth_conf": output.depth_conf,
        "extrinsics": output.cam_from_world[..., :3, :],
        "intrinsics": output.intrinsics,
    }


def run_official(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    output = model(images)
    return {name: output[name] for name in ("depth", "depth_conf", "extrinsics", "intrinsics")}


def main() -> None:
    parser = worker_arguments()
    parser.add_argument("--variant", required=True)
    parser.add_argument("--rays", action="store_true")
    arguments = parser.parse_args()
    if arguments.side == "ours":
        side = Side(lambda: build_ours(arguments.variant), lambda model, x: run_ours(model, x, rays=arguments.rays))
    else:
        side = Side(lambda: build_official(arguments.reference, arguments.variant), run_official, imagenet_normalized)
    report(arguments, side)


if __name__ == "__main__":
    main()
