"""Options that several commands share, and what they ask for."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core.config import PipelineConfig
from pan3d_core.engines import ENGINES, build_engine
from pan3d_core.pipeline import PerceptionPipeline


def picture_size(text: str) -> tuple[int, int]:
    """Width and height of `--size`."""
    try:
        width, height = (int(side) for side in text.split("x"))
    except ValueError:
        raise ValueError(f"--size: expected WIDTHxHEIGHT such as 640x480, got {text!r}") from None
    if min(width, height) < 16:
        raise ValueError(f"--size: expected at least 16x16 pixels, got {text}")
    return width, height


def add_fetch(parser: argparse.ArgumentParser, folder: Path, summary: str) -> argparse.ArgumentParser:
    """Give a command that fetches material its action `fetch`, with `--out`.

    Args:
        parser: Of the command.
        folder: Where it comes to lie by default.
        summary: What `fetch` does.

    Returns:
        The parser of `fetch`, for what is its own.
    """
    actions = parser.add_subparsers(dest=argparse.SUPPRESS, metavar="ACTION", required=True)
    fetch = actions.add_parser("fetch", help=summary)
    fetch.add_argument("-o", "--out", type=Path, default=folder, metavar="DIR", help="folder for it (default: %(default)s)")
    return fetch


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Options that choose and set up an engine."""
    parser.add_argument("--config", type=Path, help="YAML file with pipeline settings")
    parser.add_argument(
        "--engine", "--model", dest="model", metavar="NAME", help=f"one of {', '.join(ENGINES)} (default: pan3d-mini)"
    )
    add_weights_options(parser)
    parser.add_argument("--threads", type=int, help="CPU threads of the network (default: the engine's choice)")
    parser.add_argument("--runtime", help="what runs the network: auto (default), torch, onnxruntime, openvino or tensorrt")
    parser.add_argument("--depth", action="store_true", help="use the depth images of the cameras file or scene folder")


def add_weights_options(parser: argparse.ArgumentParser) -> None:
    """Options that say which weights run where; None where nothing is said."""
    parser.add_argument("--weights", help="checkpoint file (default: the one that comes with the engine)")
    parser.add_argument("--device", help="auto (default), cpu, cuda or cuda:N")


def add_sensor_option(parser: argparse.ArgumentParser, default: str) -> None:
    """The option that chooses whose errors simulated depth has."""
    names = "exact, structured_light, active_stereo or time_of_flight"
    parser.add_argument(
        "--depth-sensor", default=default, metavar="NAME", help=f"errors of depth: {names} (default: %(default)s)"
    )


def pipeline_config(options: argparse.Namespace, support_height_m: float | None = None) -> PipelineConfig:
    """The configuration file, and the options that were given, which win."""
    if options.config is not None and not options.config.exists():
        raise FileNotFoundError(f"--config: expected a file, got {options.config}, which does not exist")
    values = {} if options.config is None else PipelineConfig.from_yaml(options.config).to_dict()
    given = {
        "name": options.model,
        "weights": options.weights,
        "device": options.device,
        "threads": options.threads,
        "runtime": options.runtime,
    }
    values["model"] = {**values.get("model", {}), **{key: value for key, value in given.items() if value is not None}}
    if support_height_m is not None:
        values["workspace"] = {**values.get("workspace", {}), "support_height_m": support_height_m}
    return PipelineConfig.from_dict(values)


def report_folder(options: argparse.Namespace, engine: str) -> Path:
    """Where an evaluation is written: `--out`, else beside the file of `--json`, else out/eval/ENGINE."""
    if options.out is None and options.json is not None:
        return options.json.parent
    return options.out or Path("out/eval", engine)


def class_names(text: str | None) -> list[str]:
    """The words of a comma-separated list; `ValueError` for a list without words."""
    if text and not text.replace(",", " ").strip():
        raise ValueError(f"--classes: expected names separated by commas, got {text!r}")
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def build_pipeline(options: argparse.Namespace, support_height_m: float | None) -> PerceptionPipeline:
    """The pipeline of `pipeline_config`."""
    config = pipeline_config(options, support_height_m)
    return PerceptionPipeline(build_engine(config.model), config)
