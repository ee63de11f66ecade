"""`pan3d bench rasterize`: time and memory of rendering Gaussians on the CPU, forward and backward.

Made-up clouds in front of one camera, an opaque scene with random opacities, for every combination of the numbers of Gaussians,
channels (3 of them colour) and image sizes. With `--reference` the PyTorch functions of gsplat render the same scenes in the same
process (see `bench/official/rasterize_reference.py`). Processor time is the fairer figure on a machine that does other work
beside; the best of the repetitions counts. Memory is the growth of the process at its peak, outputs and gradients included; that
of the backward pass counts what the forward pass before it keeps. `kept_bytes_per_gaussian` is what one more Gaussian adds to
that.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from pan3d_core.rendering.rasterizer import rasterize
from pan3d_core.structures import Gaussians
from pan3d_tools.bench.official import rasterize_reference
from pan3d_tools.bench.official.side_worker import memory_kib, processor_s, reset_peak

TARGET_S = 4.0  # at most, forward: 100,000 Gaussians with 67 channels at 240x320
LEAVES = ("means", "scales", "quats_wxyz", "opacities", "colors")
T = TypeVar("T")
Scene = tuple[Gaussians, Tensor, Tensor, tuple[int, int], Tensor]  # arguments of `rasterize`


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench rasterize", description=__doc__.splitlines()[0])
    parser.add_argument("--gaussians", type=int, nargs="+", default=[10_000, 100_000], help="default: %(default)s")
    parser.add_argument("--channels", type=int, nargs="+", default=[3, 67], help="3 or more (default: %(default)s)")
    parser.add_argument("--sizes", nargs="+", default=["240x320", "480x640"], help="height x width (default: %(default)s)")
    parser.add_argument("--sigma", type=float, default=1.5, help="typical radius of a Gaussian in pixels (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all)")
    parser.add_argument("--repeats", type=int, default=3, help="the best counts (default: %(default)s)")
    parser.add_argument("--reference", type=Path, help=f"folder with {rasterize_reference.FILE}, as gsplat's wheel has it")
    parser.add_argument("--quick", action="store_true", help="one small scene, once")
    arguments = parser.parse_args(argv)
    if arguments.quick:
        arguments.gaussians, arguments.channels, arguments.sizes, arguments.repeats = [500], [5], ["24x32"], 1
    try:
        arguments.sizes = [(int(height), int(width)) for height, width in (size.split("x") for size in arguments.sizes)]
    except ValueError:
        parser.error(f"--sizes: expected HEIGHTxWIDTH, got {' '.join(arguments.sizes)}")
    if min(arguments.channels) < 3 or min(arguments.gaussians) < 2 or arguments.repeats < 1 or arguments.sigma <= 0:
        parser.error("--gaussians, --channels, --repeats, --sigma: expected at least 2, 3, 1 and more than 0")
    if arguments.reference is not None and not (arguments.reference / rasterize_reference.FILE).is_file():
        parser.error(f"--reference: expected a folder with {rasterize_reference.FILE}, got {arguments.reference}")
    return arguments


def made_up_scene(count: int, channels: int, image_hw: tuple[int, int], sigma_px: float) -> Scene:
    """Gaussians spread over the image at 1 to 4 m, of any orientation, axes of `sigma_px` give or take a factor of 1.6."""
    generator = torch.Generator().manual_seed(0)
    height, width = image_hw
    focal, center = 0.8 * width, torch.tensor([width - 1, height - 1]) / 2
    depth = 1 + 3 * torch.rand(count, generator=generator)
    pixels = torch.rand(count, 2, generator=generator) * torch.tensor([width, height]) - 0.5
    means = torch.cat([(pixels - center) / focal, torch.ones(count, 1)], dim=-1) * depth[:, None]
    scales = (sigma_px * depth / focal)[:, None] * torch.exp(0.5 * torch.randn(count, 3, generator=generator))
    opacities = 0.05 + 0.9 * torch.rand(count, generator=generator)
    quats_wxyz, colors = torch.randn(count, 4, generator=generator), torch.rand(count, 3, generator=generator)
    intrinsics = torch.tensor([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1]])
    features = torch.randn(count, channels - 3, generator=generator)
    return Gaussians(means, scales, quats_wxyz, opacities, colors), torch.eye(4)[None], intrinsics[None], image_hw, features


def differentiable(scene: Scene) -> tuple[Scene, list[Tensor]]:
    """The scene with fresh leaves, and these."""
    leaves = [getattr(scene[0], name).clone().requires_grad_() for name in LEAVES]
    features = scene[4].clone().requires_grad_()
    return (Gaussians(*leaves), *scene[1:4], features), [*leaves, features]


def timed(work: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """Result of `work`, its wall and processor seconds, and the growth of the process at its peak in MiB."""
    reset_peak()
    before, wall, processor = memory_kib("VmRSS"), time.perf_counter(), processor_s()
    result = work()
    return result, {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": processor_s() - processor,
        "peak_mib": (memory_kib("VmHWM") - before) / 1024,
    }


def kept_bytes(scene: Scene) -> int:
    """Bytes of tensors that a forward pass keeps for the backward pass, leaves and outputs included."""
    storages = {}

    def count(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        _rendering = rasterize(*differentiable(scene)[0])  # alive until counted, so that no storage is used twice
    return sum(storages.values())


def measure(scene: Scene) -> tuple[Tensor, dict[str, dict[str, float]]]:
    """The (3 + F + 1, H, W) image with accumulated depth, and figures of the forward and of the backward pass alone."""

    def forward() -> Tensor:
        rendering = rasterize(*scene)
        return torch.cat([rendering.colors, rendering.features, (rendering.depth * rendering.opacity)[:, None]], dim=1)[0]

    with torch.no_grad():
        image, forward_figures = timed(forward)
    leaves = differentiable(scene)[0]
    shown, with_graph = timed(lambda: rasterize(*leaves))
    _, backward_figures = timed(lambda: _summed(shown.colors, shown.features, shown.depth).backward())
    backward_figures["peak_mib"] += with_graph["peak_mib"]
    return image, {"forward": forward_figures, "backward": backward_figures}


def _summed(*maps: Tensor) -> Tensor:
    return torch.stack([values.sum() for values in maps]).sum()


def best(rounds: list[dict]) -> dict[str, dict[str, float]]:
    """Least figure of each kind over the repetitions."""
    return {part: {name: min(r[part][name] for r in rounds) for name in figures} for part, figures in rounds[0].items()}


def run(argv: list[str]) -> dict:
    """Measure and return the figures of every case by name."""
    arguments = parse(argv)
    threads = torch.get_num_threads()
    torch.set_num_threads(arguments.threads)
    result: dict = {"threads": arguments.threads, "sigma_px": arguments.sigma, "load": [os.getloadavg()[0]]}
    try:
        rasterize(*made_up_scene(100, 4, (16, 16), 1.0))  # the first call of a process also pays for library start-up
        for image_hw, count, channels in product(arguments.sizes, arguments.gaussians, arguments.channels):
            scene = made_up_scene(count, channels, image_hw, arguments.sigma)
            rounds = [measure(scene) for _ in range(arguments.repeats)]
            figures: dict = best([own for _, own in rounds])
            half = made_up_scene(count // 2, channels, image_hw, arguments.sigma)
            figures["kept_bytes_per_gaussian"] = (kept_bytes(scene) - kept_bytes(half)) / (count - count // 2)
            if (image_hw, count, channels) == ((240, 320), 100_000, 67):
                figures["target_s_at_most"] = TARGET_S
            if arguments.reference is not None:
                figures |= _beside_reference(arguments, scene, rounds[0][0], figures)
            result[f"{count} Gaussians, {channels} channels, {image_hw[0]}x{image_hw[1]}"] = figures
    finally:
        torch.set_num_threads(threads)
    result["load"].append(os.getloadavg()[0])
    return result


def _beside_reference(arguments: argparse.Namespace, scene: Scene, image: Tensor, ours: dict) -> dict:
    """Figures of gsplat's functions, `ratio` (theirs over ours) and the largest difference of the images."""
    reference = rasterize_reference.load(arguments.reference)
    rounds = [rasterize_reference.measure(reference, scene, timed) for _ in range(arguments.repeats)]
    theirs = best([figures for _, figures in rounds])
    forward = sum(theirs[part]["cpu_s"] for part in ("projection", "tiles", "compositing"))
    without_tiles = forward - theirs["tiles"]["cpu_s"]
    differences = (rounds[0][0] - image).abs()
    return {
        "reference": theirs,
        "ratio": {
            "forward_cpu": forward / ours["forward"]["cpu_s"],
            # Its loops over Gaussians in Python left out, though ours has its tiles in it.
            "forward_cpu_without_tiles": without_tiles / ours["forward"]["cpu_s"],
            "backward_cpu": theirs["backward"]["cpu_s"] / ours["backward"]["cpu_s"],
            "backward_peak": theirs["backward"]["peak_mib"] / ours["backward"]["peak_mib"],
        },
        "largest_difference": float(differences.max()),
        "share_of_values_off_by_1e-4": float((differences > 1e-4).float().mean()),  # where alpha is next to its threshold
    }
