"""`pan3d bench fast3dis`: two passes that share blocks beside two whole ones, the price of more anchors, growth with the views.

* `dual`: the geometry and the feature pass of `Fast3dis.dual_pass` with one depth head, beside two complete passes of Depth
  Anything 3 (blocks, depth and camera heads, no rays), one without and one with low-rank corrections. `trunk` is the blocks
  alone. `counted_ratio` is the ratio of the operations.
* `anchors`: 300 anchors beside the paper's 80. `growth` is what the decoder takes longer, as a share of the whole forward pass.
* `decoder`: `bench/parts/anchor_scaling.py`.
* `cuda`: whole forward passes with a CUDA device; `x_floor` is the time over the least that `bench/cost/da3.py` counts for
  half precision, also where the pass is in float32.

Weights are random. On a CPU `cpu_s` is the fair time on a machine that does other work beside.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pan3d_core.models.da3.backbone import BackboneSettings
from pan3d_core.models.da3.head import HeadSettings
from pan3d_core.models.da3.network import DA3_VARIANTS, Da3Settings
from pan3d_core.models.fast3dis.anchor_decoder import AnchorSettings
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disSettings
from pan3d_core.models.layers.transformer import lora_rows
from pan3d_tools.bench.cost.da3 import cross_view_cost, fast3dis_cost, floor_s, heads_cost, shared_cost
from pan3d_tools.bench.official.side_worker import fill_by_name
from pan3d_tools.bench.official.turns import Clock, take_turns
from pan3d_tools.bench.parts.anchor_scaling import Sweep, decoder_of, run_decoder, scaling, scene_of

PARTS = ("dual", "anchors", "decoder", "cuda")
ANCHORS = (80, 300)  # the paper's number and ours
TARGETS = {"dual.ratio.whole.cpu_s": 0.85, "anchors.growth": 0.05}  # at most
DTYPES = {"bf16": torch.bfloat16, "fp32": None}


@dataclass(frozen=True)
class Setup:
    """Networks and sizes of one run."""

    variants: dict[str, Da3Settings]  # the first one is measured on the CPU, all on a GPU
    decoder: AnchorSettings
    image_hw: tuple[int, int]
    sweep: Sweep
    cuda_views: tuple[int, ...]


QUICK = Setup(
    {"tiny": Da3Settings(BackboneSettings(48, 8, 3, (2, 4, 6, 7), 3), HeadSettings(16, (8, 12, 16, 24)), "none")},
    AnchorSettings(dim=32, heads=4, feed_forward=48, layers=3, bands=8),
    (42, 56),
    Sweep((2, 4, 8), (20, 40, 80), ((84, 112), (168, 224)), (4, 40, (84, 112))),
    (2,),
)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench fast3dis", description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    parser.add_argument("--variant", choices=("small", "base", "large"), default="large", help="base (default: %(default)s)")
    parser.add_argument("--views", type=int, default=4, help="number of views (default: %(default)s)")
    parser.add_argument("--height", type=int, default=378, help="image height, a multiple of 14 (default: %(default)s)")
    parser.add_argument("--width", type=int, default=504, help="image width, a multiple of 14 (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all)")
    parser.add_argument(
        "--rounds", type=int, default=2, help="turns after one to warm up; the best counts (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny networks and images: whether it runs, not how fast it is")
    arguments = parser.parse_args(argv)
    for name in ("height", "width"):
        if getattr(arguments, name) % 14 or getattr(arguments, name) <= 0:
            parser.error(f"--{name}: expected a positive multiple of 14, got {getattr(arguments, name)}")
    for name in ("views", "rounds", "threads"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name}: expected at least 1, got {getattr(arguments, name)}")
    return arguments


def setup_of(arguments: argparse.Namespace) -> Setup:
    if arguments.quick:
        return QUICK
    names = dict.fromkeys((f"da3-{arguments.variant}", "da3-large", "da3-giant"))
    variants = {name: DA3_VARIANTS[name] for name in names}
    return Setup(variants, AnchorSettings(), (arguments.height, arguments.width), Sweep(), (4, 10, 30, 50, 100))


def random_network(base: Da3Settings, decoder: AnchorSettings) -> Fast3dis:
    model = Fast3dis(Fast3disSettings(base, decoder)).eval()
    fill_by_name(model)
    return model


def shared_passes(model: Fast3dis, images: Tensor, clock: Clock) -> None:
    plain, _ = model.dual_pass(images, None)
    clock.mark("trunk")
    model.da3.predict(plain, (images.shape[-2], images.shape[-1]))
    clock.mark("heads")


def separate_passes(model: Fast3dis, images: Tensor, clock: Clock) -> None:
    for rows in ("none", "all"):
        with lora_rows(model.da3, rows):
            tokens = model.da3.tokens(images)
        clock.mark("trunk")
        model.da3.predict(tokens, (images.shape[-2], images.shape[-1]))
        clock.mark("heads")


def dual(model: Fast3dis, images: Tensor, rounds: int) -> dict:
    """Both ways, their `ratio` by part and kind of time, and the ratio that the operations have."""
    works = {"shared": partial(shared_passes, model, images), "separate": partial(separate_passes, model, images)}
    times = take_turns(works, rounds)
    base, rank, views = model.settings.base, model.settings.lora_rank, images.shape[1]
    image_hw = (images.shape[-2], images.shape[-1])
    before = shared_cost(base.backbone, views, image_hw).operations
    after = sum(cross_view_cost(base.backbone, views, image_hw, r).operations for r in (0, rank))
    heads = heads_cost(base, views, image_hw).operations
    return {
        **times,
        "ratio": {
            part: {kind: times["shared"][part][kind] / seconds for kind, seconds in times["separate"][part].items()}
            for part in ("trunk", "whole")
        },
        "counted_ratio": {
            "trunk": (before + after) / (2 * before + after),
            "whole": (before + after + heads) / (2 * before + after + 2 * heads),
        },
    }


def more_anchors(model: Fast3dis, images: Tensor, rounds: int) -> dict:
    """Seconds of the forward pass, with the first number of `ANCHORS`, and of the decoder alone with both."""
    scene = scene_of(model.settings.decoder.dim, images.shape[1], (images.shape[-2], images.shape[-1]))
    decoders = {
        f"decoder_{count}": partial(run_decoder, decoder_of(replace(model.settings.decoder, queries=count)), scene)
        for count in ANCHORS
    }
    times = take_turns(decoders, 5 * rounds)

    def forward(clock: Clock) -> None:
        model(images)
        clock.mark("forward")

    times |= take_turns({"forward": forward}, 1)
    few, many = (times[name]["whole"]["cpu_s"] for name in decoders)
    whole = times["forward"]["whole"]["cpu_s"]
    return {
        **{name: parts["whole"] for name, parts in times.items()},
        "share": {"80": few / whole, "300": many / (whole + many - few)},
        "growth": (many - few) / whole,
    }


def seconds_on(device: torch.device, work: Callable[[], object], repeats: int) -> dict[str, float]:
    """Best wall seconds of some repetitions after one, and the most memory on a CUDA device."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)

    def timed(clock: Clock) -> None:
        work()
        clock.mark("forward")

    found = {"wall_s": take_turns({"forward": timed}, max(2, repeats))["forward"]["whole"]["wall_s"]}
    if device.type == "cuda":
        found["peak_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
    return found


def on_device(setup: Setup, device: torch.device, name: str, repeats: int) -> dict:
    """Whole forward passes of every variant, precision and number of views; `name` of the device chooses its floor."""
    rows: dict[str, dict] = {}
    for variant, base in setup.variants.items():
        model = random_network(base, setup.decoder).to(device)
        for precision, dtype in DTYPES.items():
            for views in setup.cuda_views:
                images = torch.rand(1, views, 3, *setup.image_hw, device=device)
                row = rows.setdefault(f"{variant} {precision} {views} views", {})
                try:
                    row |= seconds_on(device, partial(model, images, backbone_dtype=dtype), repeats)
                except torch.OutOfMemoryError:
                    row["not_measured"] = "out of memory"
                    continue
                least = floor_s(fast3dis_cost(model.settings, views, setup.image_hw), name)
                row["x_floor"] = row["wall_s"] / least if least else f"no floor known for {name}"
    return rows


@torch.inference_mode()
def run(argv: list[str]) -> dict:
    """Measure the parts asked for; see the head of this module."""
    arguments = parse(argv)
    setup, before = setup_of(arguments), torch.get_num_threads()
    torch.set_num_threads(arguments.threads)
    (variant, base), *_ = setup.variants.items()
    load = [round(os.getloadavg()[0], 1)]
    result: dict = {
        "model": f"FAST3DIS on {variant}, random weights, float32, CPU",
        "shape": [arguments.views, 3, *setup.image_hw],
        "threads": arguments.threads,
    }
    images = torch.rand(1, arguments.views, 3, *setup.image_hw, generator=torch.Generator().manual_seed(0))
    if {"dual", "anchors"} & set(arguments.parts):
        model = random_network(base, replace(setup.decoder, queries=ANCHORS[0]))
        if "dual" in arguments.parts:
            result["dual"] = dual(model, images, arguments.rounds)
        if "anchors" in arguments.parts:
            result["anchors"] = more_anchors(model, images, arguments.rounds)
        del model
    if "decoder" in arguments.parts:
        result["decoder"] = scaling(setup.decoder, setup.sweep, arguments.rounds)
    if "cuda" in arguments.parts:
        if torch.cuda.is_available():
            result["cuda"] = on_device(setup, torch.device("cuda"), torch.cuda.get_device_name(), arguments.rounds)
        else:
            result["cuda"] = "not measured: no CUDA device"
    torch.set_num_threads(before)
    return {**result, "load": [*load, round(os.getloadavg()[0], 1)], "targets_at_most": TARGETS}
