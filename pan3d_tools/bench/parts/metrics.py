"""`pan3d bench metrics`: seconds that measuring takes on one core, at the size of a ScanNet scene.

A made-up scan of compact instances along a line, with predictions that miss some of their vertices, is measured class-aware
from masks to AP. Loading is not in it. The best of some repetitions counts: other work on the machine only adds. `cpu_s` is
processor time.
"""

from __future__ import annotations

import argparse
import time

import torch

from pan3d_eval.metrics.average_precision import InstanceAp, instance_ap
from pan3d_eval.protocols.scannet import LABEL_STEP, benchmark_labels, measure_encoded

TARGET_S = 1.0  # at most


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench metrics", description=__doc__.splitlines()[0])
    parser.add_argument("--vertices", type=int, default=150_000, help="of the scan (default: %(default)s)")
    parser.add_argument("--predictions", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--instances", type=int, default=40, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, help="the best counts (default: %(default)s)")
    return parser.parse_args(argv)


def made_up_scan(
    vertices: int, predictions: int, instances: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Masks (P, N), scores (P,), labels (P,) and encoded ids (N,); prediction k aims at instance k modulo their number."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor(tuple(benchmark_labels("scannet")))
    owner = torch.arange(vertices) * (2 * instances) // vertices  # every other stretch is unannotated
    instance_labels = labels[torch.arange(instances) % len(labels)]
    encoded = torch.where(owner % 2 == 0, instance_labels[owner // 2] * LABEL_STEP + owner // 2 + 1, 0)
    aims = torch.arange(predictions) % instances
    quality = torch.rand(predictions, generator=generator)
    masks = (owner == 2 * aims[:, None]) & (torch.rand(predictions, vertices, generator=generator) < quality[:, None])
    return masks, torch.rand(predictions, generator=generator), instance_labels[aims], encoded


def run(argv: list[str]) -> dict:
    """Measure; times in seconds on one thread."""
    arguments = parse(argv)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    scan = made_up_scan(arguments.vertices, arguments.predictions, arguments.instances)
    overlap_times, ap_times, cpu_times = [], [], []
    for _ in range(arguments.repeats):
        cpu_start = time.process_time()
        overlap_s, ap_s, result = _timed(*scan)
        cpu_times.append(time.process_time() - cpu_start)
        overlap_times.append(overlap_s)
        ap_times.append(ap_s)
    torch.set_num_threads(threads)
    return {
        "vertices": arguments.vertices,
        "predictions": arguments.predictions,
        "instances": arguments.instances,
        "ap": result.ap,
        "overlaps_s": min(overlap_times),
        "ap_s": min(ap_times),
        "total_s": min(first + second for first, second in zip(overlap_times, ap_times)),
        "cpu_s": min(cpu_times),
        "target_s_at_most": TARGET_S,
    }


def _timed(
    masks: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor, encoded: torch.Tensor
) -> tuple[float, float, InstanceAp]:
    start = time.perf_counter()
    overlaps = measure_encoded(masks, scores, encoded, benchmark_labels("scannet"), predicted_labels=labels)
    middle = time.perf_counter()
    result = instance_ap([overlaps], class_aware=True)
    return middle - start, time.perf_counter() - middle, result
