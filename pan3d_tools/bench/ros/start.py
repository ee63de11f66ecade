"""`pan3d bench ros start`: from the start of the node's process to its first result, and how much of that is importing."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np
from pan3d_interfaces.msg import PipelineStats
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from pan3d_ros.outputs.publishers import profile
from pan3d_tools.bench.ros.nodes import cell_and_perception
from pan3d_tools.bench.ros.refine import START_TIMEOUT_S, processor_seconds

# Processor seconds of a process before anything, with torch, and with all that the node imports.
IMPORTS = "import time; t = [time.process_time()]; import torch; t.append(time.process_time())\n"
IMPORTS += "import pan3d_ros.perception_node; t.append(time.process_time()); print(*t)"


def measure_start(node: Node, arguments: argparse.Namespace, environment: Mapping[str, str]) -> dict:
    """Start the node some times beside cameras that are there.

    Raises:
        RuntimeError: A process fails or falls silent.
    """
    imports = [import_seconds(environment) for _ in range(arguments.rounds)]
    starts = [_first_result(node, arguments, environment) for _ in range(arguments.rounds)]
    return shares(imports, starts) | {"engine": arguments.engine, "cameras": arguments.cameras, "cores": os.cpu_count()}


def import_seconds(environment: Mapping[str, str]) -> tuple[float, float]:
    """Processor time of importing torch, and of all that the node imports, in a process of its own."""
    run = subprocess.run([sys.executable, "-c", IMPORTS], env=dict(environment), capture_output=True, text=True, check=True)
    begin, torch, everything = (float(word) for word in run.stdout.split())
    return torch - begin, everything - begin


def shares(imports: Sequence[tuple[float, float]], starts: Sequence[tuple[float, float]]) -> dict:
    """Make figures of the times.

    Args:
        imports: Processor seconds of torch, and of everything.
        starts: Seconds, and processor seconds, until the first result.

    Returns:
        The least of each, which other work on the machine adds to, and shares of the processor time until the first result.
    """
    (torch_s, import_s), (wall_s, cpu_s) = np.min(imports, axis=0).tolist(), np.min(starts, axis=0).tolist()
    return {
        "first_result_s": wall_s,
        "first_result_cpu_s": cpu_s,
        "import_cpu_s": import_s,
        "share_of_imports": import_s / cpu_s,
        "share_of_torch": torch_s / cpu_s,
    }


def _first_result(node: Node, arguments: argparse.Namespace, environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds, and processor seconds of the node, until it publishes."""
    stats: list[PipelineStats] = []
    subscription = node.create_subscription(PipelineStats, "/pan3d/stats", stats.append, profile(10))
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        with cell_and_perception(arguments, environment, arguments.busy_sets_per_second) as children:
            begin_s = time.monotonic()
            while not stats:
                executor.spin_once(timeout_sec=0.5)
                for child in children:
                    child.check()
                if time.monotonic() - begin_s > START_TIMEOUT_S:
                    raise RuntimeError(f"no result in {START_TIMEOUT_S:.0f} s:\n{children[1].log_tail()}")
            return time.monotonic() - begin_s, processor_seconds(children[1].pid)
    finally:
        executor.remove_node(node)
        node.destroy_subscription(subscription)
