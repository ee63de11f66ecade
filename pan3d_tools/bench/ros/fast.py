"""`pan3d bench ros fast`: what images cost that nobody looks at, and whether results come as fast as the engine allows."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node

from pan3d_ros.outputs.publishers import profile
from pan3d_tools.bench.ros.nodes import cell_and_perception
from pan3d_tools.bench.ros.refine import START_TIMEOUT_S, WARM_UP, Phase, Watcher


def measure_fast_cameras(node: Node, arguments: argparse.Namespace, environment: Mapping[str, str]) -> dict:
    """Cameras at the rate of the results, of which every image is used, and much faster ones, in turns, both with the same
    limit of results; then fast ones without a limit.

    The processor time that the fast ones take more, for each second, is what dropped images cost.

    Raises:
        RuntimeError: A process fails or falls silent.
    """
    limit_hz, fast_hz = arguments.results_per_second, arguments.fast_sets_per_second
    used: list[Phase] = []
    dropped: list[Phase] = []
    reached_hz: list[float] = []  # by the fast cameras: a busy machine may not make it
    for _ in range(arguments.rounds):
        used.append(_phase(node, arguments, environment, limit_hz, limit_hz)[0])
        phase, hz = _phase(node, arguments, environment, fast_hz, limit_hz)
        dropped.append(phase)
        reached_hz.append(hz)
    free, _ = _phase(node, arguments, environment, fast_hz, 0.0)
    return comparison(used, dropped, free) | {
        "engine": arguments.engine,
        "cameras": arguments.cameras,
        "limit_hz": limit_hz,
        "fast_hz": reached_hz,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
    }


def comparison(used: list[Phase], dropped: list[Phase], free: Phase) -> dict:
    """Make figures of the phases.

    Args:
        used: Cameras as slow as the limit of results.
        dropped: The same limit, and fast cameras; one for each of `used`.
        free: Fast cameras, no limit.

    Returns:
        Shares of a core, what dropped images take of one, results a second, and the share of time in which the pipeline worked
        where nothing limits it.
    """
    cores = [[phase.cpu_s / phase.seconds for phase in phases] for phases in (used, dropped)]
    return {
        "cores_used": cores[0],
        "cores_dropped": cores[1],
        "cores_for_dropped_images": float(np.median(np.subtract(cores[1], cores[0]))),
        "results_per_s_limited": float(np.median([len(phase.process_s) / phase.seconds for phase in dropped])),
        "results_per_s_free": len(free.process_s) / free.seconds,
        "busy_share_free": sum(free.process_s) / free.seconds,
    }


def _phase(
    node: Node, arguments: argparse.Namespace, environment: Mapping[str, str], cameras_hz: float, limit_hz: float
) -> tuple[Phase, float]:
    """Some results of new processes, and how many view sets a second the cameras sent meanwhile."""
    with cell_and_perception(arguments, environment, cameras_hz, {"input.max_rate_hz": limit_hz}) as children:
        watcher = Watcher(node, children)
        poses: list[PoseStamped] = []  # one for each view set, and small
        subscription = node.create_subscription(PoseStamped, "camera_0/pose", poses.append, profile(100))
        try:
            watcher.results(WARM_UP, START_TIMEOUT_S)
            begin, begin_s = len(poses), time.monotonic()
            phase = watcher.results(arguments.sets)
            return phase, (len(poses) - begin) / (time.monotonic() - begin_s)
        finally:
            watcher.close()
            node.destroy_subscription(subscription)
