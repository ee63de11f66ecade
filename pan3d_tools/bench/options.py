"""Options that several benchmarks share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from pan3d_core.config import ModelConfig, PipelineConfig, WorkspaceConfig


def add_engine_options(parser: argparse.ArgumentParser, engines: Iterable[str] = ()) -> None:
    """Options that choose an engine and its checkpoint: `engine`, `weights`.

    Args:
        parser: Gets them.
        engines: Names to choose from, for the help.
    """
    told = f"one of {', '.join(engines)}" if engines else "engine"
    parser.add_argument("--engine", "--model", default="pan3d-mini", metavar="NAME", help=f"{told} (default: %(default)s)")
    parser.add_argument("--weights", default="", metavar="FILE", help="its checkpoint (default: the one that comes with it)")


def pipeline_on_ground(options: argparse.Namespace) -> PipelineConfig:
    """Settings for an engine of `add_engine_options` and `add_device_option`, for what stands at the height 0."""
    return PipelineConfig(
        model=ModelConfig(name=options.engine, weights=options.weights, device=options.device),
        workspace=WorkspaceConfig(support_height_m=0.0),
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """The option that says where networks run: `device`."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")


def add_rig_options(parser: argparse.ArgumentParser) -> None:
    """Options of the simulated rig: `cameras`, `depth`."""
    parser.add_argument("--cameras", type=int, default=4, help="cameras of the simulated cell (default: %(default)s)")
    parser.add_argument("--depth", action="store_true", help="depth cameras")
