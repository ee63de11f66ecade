"""One side of the VGGT comparison, in a process of its own: builds the network, runs it, prints a line of JSON.

Started by `bench/vggt.py`, so that the peak memory of one side says nothing about the other.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import zlib
from pathlib import Path

import torch
from torch import Tensor, nn

from pan3d_core.bench.live_memory import LiveMemory


def fill_by_name(model: nn.Module) -> None:
    """Random parameters that depend on their names only: both sides get the same network.

    Sizes keep activations finite: matrices by fan-in, LayerScale 0.25, the rest small.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            last = name.rsplit(".", 1)[-1]
            if last == "gamma":
                parameter.fill_(0.25)
            elif last == "weight" and parameter.ndim > 1:
                bound = (3.0 / parameter[0].numel()) ** 0.5
                parameter.uniform_(-bound, bound, generator=generator)
            elif last == "weight":
                parameter.fill_(1.0)
            else:
                parameter.uniform_(-0.1, 0.1, generator=generator)


def build_ours() -> nn.Module:
    from pan3d_core.models.vggt import vggt_1b

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


def memory_kib(field: str) -> int:
    """`VmRSS` (now) or `VmHWM` (highest since the last reset) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise ValueError(f"field: expected VmRSS or VmHWM, got {field!r}")


def reset_peak() -> None:
    """Linux: forget the highest memory use so far, so that loading does not count."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(
    side: str, checkout: Path | None, shape: tuple[int, ...], repeats: int, memory_shape: tuple[int, ...]
) -> dict[str, object]:
    """Seconds (wall and processor, best of `repeats`), memory in MiB and a few outputs of one side.

    Measured on images of `shape`; `live_mib` counts the living tensors of a pass over `memory_shape`.
    """
    model = build_ours() if side == "ours" else build_official(checkout)
    fill_by_name(model)
    model.eval()
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    run = run_ours if side == "ours" else run_official
    before = memory_kib("VmRSS")
    reset_peak()
    walls, processors = [], []
    with torch.inference_mode():
        for _ in range(repeats):
            wall, usage = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
            outputs = run(model, images)
            after = resource.getrusage(resource.RUSAGE_SELF)
            walls.append(time.perf_counter() - wall)
            processors.append(after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime)
    peak = memory_kib("VmHWM")
    with torch.no_grad(), LiveMemory() as live:
        run(model, torch.rand(memory_shape))
    return {
        "side": side,
        "wall_s": min(walls),
        "cpu_s": min(processors),
        "weights_mib": sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20,
        "before_mib": before / 1024,
        "peak_mib": peak / 1024,
        "live_mib": live.peak_bytes / 2**20,
        "outputs": {name: value.flatten()[:: max(1, value.numel() // 512)].double().tolist() for name, value in outputs.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", choices=("ours", "official"), required=True)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--shape", type=int, nargs=5, required=True)
    parser.add_argument("--memory-shape", type=int, nargs=5, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    shapes = tuple(arguments.shape), tuple(arguments.memory_shape)
    print(json.dumps(measure(arguments.side, arguments.reference, shapes[0], arguments.repeats, shapes[1])))


if __name__ == "__main__":
    main()
