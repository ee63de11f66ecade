"""The processes that `pan3d bench ros` measures, and what it makes of their times."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pan3d_tools.demo.processes import ChildNode, parameter_arguments


@contextmanager
def cell_and_perception(
    arguments: argparse.Namespace, environment: Mapping[str, str], rate_hz: float, more: Mapping[str, object] | None = None
) -> Iterator[tuple[ChildNode, ChildNode]]:
    """Simulated cameras that publish so many sets a second, and the node with `more` parameters; both end with the block."""
    cell = {"num_cameras": arguments.cameras, "publish_depth": arguments.depth, "rate_hz": rate_hz}
    perception = {
        "cameras": [f"camera_{index}" for index in range(arguments.cameras)],
        "model.name": arguments.engine,
        "model.weights": arguments.weights,
        "input.use_depth": arguments.depth,
        "input.max_image_age_s": 0.0,
        "sync.min_cameras": arguments.cameras,
        "workspace.support_height_m": 0.0,
        "autostart": True,
        **(more or {}),
    }
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder)
        with (
            ChildNode("cell", "pan3d_ros.sim_node", parameter_arguments(cell), logs / "cell.log", environment) as first,
            ChildNode(
                "perception", "pan3d_ros.perception_node", parameter_arguments(perception), logs / "node.log", environment
            ) as second,
        ):
            yield first, second


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and the largest; empty for no values."""
    if not values:
        return {}
    found = {f"p{percent}": float(np.percentile(values, percent)) for percent in (50, 90, 99)}
    return found | {"max": float(max(values))}
