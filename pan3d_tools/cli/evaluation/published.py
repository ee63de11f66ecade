"""`pan3d eval --protocol`: the tables of papers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pan3d_core.config import ModelConfig
from pan3d_core.runtime.ending.result_folder import ResultFolder
from pan3d_core.settings import did_you_mean
from pan3d_eval.execution import Processes
from pan3d_eval.published import PROTOCOLS, PublishedChoices, PublishedProtocol, evaluate_published, table_page, table_values
from pan3d_tools.cli.options import picture_size, pipeline_config
from pan3d_tools.cli.output import machine_facts, place_of_json, show_progress, write_json


def add_published_options(parser: argparse.ArgumentParser) -> None:
    """Put the options of published protocols on a parser."""
    published = parser.add_argument_group("published protocols: the tables of papers, on scenes of public data sets")
    published.add_argument("--protocol", metavar="NAME", help=f"{', '.join(PROTOCOLS)}: measured as this paper does")
    published.add_argument("--table", default="", metavar="KEY", help="of the paper's tables, where it has several for the data")
    published.add_argument("--split", type=Path, metavar="FILE", help="names of scenes, one a line (default: all that are there)")
    published.add_argument("--classes", type=Path, metavar="FILE", help="instance classes that count, one a line")
    published.add_argument(
        "--labels", default="", metavar="DIR", help="panopticsplatting: 2D labels of each scene, or truth (default: the engine's)"
    )
    published.add_argument("--steps", type=int, metavar="N", help="panopticsplatting: of the refinement (default: as published)")
    published.add_argument("--encoder-weights", default="", metavar="FILE", help="eps3d: of the engine's text encoder")


def run_published(options: argparse.Namespace) -> int:
    """The paper's table with ours in it, as text, Markdown and JSON. 1 when a scene could not be measured."""
    if options.protocol not in PROTOCOLS:
        hint = did_you_mean(options.protocol, PROTOCOLS)
        raise ValueError(f"--protocol: expected one of {', '.join(PROTOCOLS)}, got {options.protocol!r}{hint}")
    protocol = PROTOCOLS[options.protocol]
    model = _model(options, protocol)
    out = options.out or Path("out/eval", f"{protocol.key}_{model.name}")
    outcome = evaluate_published(
        options.scenes,
        protocol,
        model,
        _choices(options),
        out,
        processes=Processes(options.workers, options.ray),
        progress=show_progress,
    )
    print(file=sys.stderr)
    page = table_page(outcome)
    print(page)
    content = {"machine": machine_facts(), "command": options.command_line, **table_values(outcome)}
    with ResultFolder(out, "eval").replaced() as part:
        write_json(place_of_json(options.json, out, part, "figures.json"), content, told=False)
        (part / "table.md").write_text(page, encoding="utf-8")
    print(f"written to {options.json or out / 'figures.json'}")
    for failure in outcome.failures:
        print(f"failed: {failure.name}: {failure.message}", file=sys.stderr)
    return 1 if outcome.failures else 0


def _model(options: argparse.Namespace, protocol: PublishedProtocol) -> ModelConfig:
    """The engine that is asked for, else the paper's."""
    if options.model is None and options.config is None:
        options.model = protocol.engine
    return pipeline_config(options).model


def _choices(options: argparse.Namespace) -> PublishedChoices:
    """What the options say otherwise than the table."""
    refused = {"--no-poses": options.no_poses, "--depth": options.depth, "--world": options.world, "--params": options.params}
    if given := [name for name, value in refused.items() if value]:
        raise ValueError(f"{given[0]}: expected without --protocol, which says what the engine is given")
    return PublishedChoices(
        table=options.table,
        split=options.split,
        classes=() if options.classes is None else _names(options.classes),
        count=options.views,
        stride=options.stride,
        labels=options.labels,
        steps=options.steps,
        size=picture_size(options.size) if options.size else None,
        encoder_weights=options.encoder_weights,
        limit=options.limit,
    )


def _names(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise FileNotFoundError(f"--classes: expected a file with one class a line, got {path}, which does not exist")
    names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    if not names:
        raise ValueError(f"--classes: {path}: expected one class a line, got none")
    return names
