"""One side of a comparison, in a process of its own: builds the network, runs it, prints a line of JSON.

Started by `bench/official/sides.py`, so that the peak memory of one side says nothing about the other.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import resource
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pan3d_tools.bench.official.live_memory import LiveMemory

# A closed field of view would make every focal length of Depth Anything 3 infinite.
FIXED = {"cam_dec.fc_fov.0.bias": 1.0}  # radians


@dataclass(frozen=True)
class Side:
    """How a network is built and asked for its outputs by name. Images (1, S, 3, H, W) are RGB 0..1."""

    build: Callable[[], nn.Module]
    run: Callable[[nn.Module, Tensor], dict[str, Tensor]]
    prepare: Callable[[Tensor], Tensor] = lambda images: images  # what is done to images before the clock starts


def fill_by_name(model: nn.Module) -> None:
    """Random parameters that depend on their names only: both sides get the same network.

    Sizes keep activations finite: matrices by fan-in, LayerScale 0.25, the rest small.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            last = name.rsplit(".", 1)[-1]
            if name in FIXED:
                parameter.fill_(FIXED[name])
            elif last == "gamma":
                parameter.fill_(0.25)
            elif last == "weight" and parameter.ndim > 1:
                bound = (3.0 / parameter[0].numel()) ** 0.5
                parameter.uniform_(-bound, bound, generator=generator)
            elif last == "weight":
                parameter.fill_(1.0)
            else:
                parameter.uniform_(-0.1, 0.1, generator=generator)


def memory_kib(field: str) -> int:
    """`VmRSS` (now) or `VmHWM` (highest since the last reset) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise ValueError(f"field: expected VmRSS or VmHWM, got {field!r}")


def reset_peak() -> None:
    """Linux: forget the highest memory use so far and give freed pages back, so that loading does not count."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def processor_s() -> float:
    """Seconds that all threads of this process have computed."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(name: str, side: Side, shape: tuple[int, ...], repeats: int, memory_shape: tuple[int, ...]) -> dict[str, object]:
    """Seconds (wall and processor, best of `repeats`), memory in MiB and a few outputs of one side.

    Measured on images of `shape`; `live_mib` counts the living tensors of a pass over `memory_shape`.
    """
    model = side.build()
    fill_by_name(model)
    model.eval()
    images = side.prepare(torch.rand(shape, generator=torch.Generator().manual_seed(0)))
    reset_peak()
    before = memory_kib("VmRSS")
    walls, processors = [], []
    with torch.inference_mode():
        for _ in range(repeats):
            wall, processor = time.perf_counter(), processor_s()
            outputs = side.run(model, images)
            walls.append(time.perf_counter() - wall)
            processors.append(processor_s() - processor)
    peak = memory_kib("VmHWM")
    with torch.no_grad(), LiveMemory() as live:
        side.run(model, side.prepare(torch.rand(memory_shape)))
    return {
        "side": name,
        "wall_s": min(walls),
        "cpu_s": min(processors),
        "weights_mib": sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20,
        "before_mib": before / 1024,
        "peak_mib": peak / 1024,
        "live_mib": live.peak_bytes / 2**20,
        "outputs": {name: value.flatten()[:: max(1, value.numel() // 512)].double().tolist() for name, value in outputs.items()},
    }


def worker_arguments() -> argparse.ArgumentParser:
    """What `sides.run_side` sends to every worker."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", choices=("ours", "official"), required=True)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--shape", type=int, nargs=5, required=True)
    parser.add_argument("--memory-shape", type=int, nargs=5, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    return parser


def report(arguments: argparse.Namespace, side: Side) -> None:
    """Measure and print the line that `sides.run_side` reads."""
    torch.set_num_threads(arguments.threads)
    shape, memory_shape = tuple(arguments.shape), tuple(arguments.memory_shape)
    print(json.dumps(measure(arguments.side, side, shape, arguments.repeats, memory_shape)))
