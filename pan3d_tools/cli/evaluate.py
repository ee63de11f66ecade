"""`pan3d eval`."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pan3d_tools.cli import evaluate_gaussians
from pan3d_tools.cli.evaluate_bags import add_bag_options, find_bags, run_eval_bags
from pan3d_tools.cli.options import add_command, add_model_options, picture_size, pipeline_config, report_folder
from pan3d_tools.cli.output import machine_facts, print_table, show_progress, write_json

if TYPE_CHECKING:
    from pan3d_core.config import PipelineConfig
    from pan3d_eval.datasets.scenes import SceneReference
    from pan3d_eval.runner import EvaluationProtocol, SceneEvaluator


def add(commands: argparse._SubParsersAction) -> None:
    """Put the commands and their options on the parser."""
    evaluate_gaussians.add(commands)
    parser = add_command(commands, "eval", run_eval, "measure an engine on scenes with truth, and show where it was worst")
    parser.add_argument("scenes", nargs="+", type=Path, help="scene folders, shard folders, bags, or folders of them")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="folder for report and figures (default: out/eval/ENGINE)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="figures as JSON (default: figures.json in that folder)")
    parser.add_argument("--limit", type=int, default=0, help="most scenes (default: all)")
    parser.add_argument("--views", type=int, default=8, help="images of a public data set's recording (default: 8, 0: all)")
    parser.add_argument("--stride", type=int, default=1, help="take every N-th of them before choosing (default: 1)")
    parser.add_argument("--worst", type=int, default=6, metavar="N", help="scenes with pictures in the report (default: 6)")
    parser.add_argument("--no-poses", action="store_true", help="withhold the cameras' poses")
    parser.add_argument("--size", metavar="WxH", help="pixels at which engines without a network work and are measured")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes of one thread each (default: this one)")
    parser.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster: auto, local or host:port (extra: ray)")
    add_model_options(parser)
    add_bag_options(parser)


def run_eval(options: argparse.Namespace) -> int:
    """Figures of an engine over scenes: a table, a JSON file and a report. 1 when a scene could not be evaluated."""
    if bags := find_bags(options.scenes):
        return run_eval_bags(options, bags)
    from pan3d_eval.datasets import ViewSelection
    from pan3d_eval.datasets.scenes import list_scenes
    from pan3d_eval.execution import Failure, run_items
    from pan3d_eval.figures import figure_table
    from pan3d_eval.runner import Evaluation, EvaluationProtocol
    from pan3d_tools.reports.scenes import write_scene_report

    references = list_scenes(options.scenes, options.limit, ViewSelection(options.views, options.stride))
    protocol = EvaluationProtocol(options.depth, not options.no_poses, paraphrases(references))
    config = pipeline_config(options)
    make = _maker(options, config, protocol)
    outcomes = run_items(make, references, workers=options.workers, ray_address=options.ray, progress=show_progress)
    print(file=sys.stderr)
    evaluation = Evaluation.of(outcomes)
    figures = figure_table(evaluation)
    print_table([(item.name, item.value) for item in figures])
    for failure in evaluation.failures:
        print(f"failed: {failure.name}: {failure.message}", file=sys.stderr)
    out = report_folder(options, config.model.name)
    facts = run_facts(options, config, protocol)
    content = {"machine": machine_facts(), "run": facts, "figures": {item.name: item.value for item in figures}}
    content |= {"protocols": {item.name: item.protocol for item in figures}, "scenes": evaluation.scene_list()}
    content["failures"] = [asdict(item) for item in evaluation.failures]
    write_json(options.json or out / "figures.json", content)
    measured = [(reference, item) for reference, item in zip(references, outcomes) if not isinstance(item, Failure)]
    shown = _worst(make(), measured, options.worst) if measured and options.worst > 0 else []
    title = f"{config.model.name} on {len(references)} scenes"
    print(f"written to {write_scene_report(out / 'report.html', title, facts, evaluation, shown)}")
    return 1 if evaluation.failures else 0


def paraphrases(references: list[SceneReference]) -> dict[str, tuple[str, ...]]:
    """Descriptions that are asked for: those written beside the shards, otherwise those of the robot cell, if it is installed."""
    import json

    files = {reference.path / "vocabulary.json" for reference in references if reference.index is not None}
    contents = [json.loads(path.read_text(encoding="utf-8")).get("paraphrases", {}) for path in sorted(files)]
    if not any(contents) and importlib.util.find_spec("pan3d_sim") is not None:
        contents = [importlib.import_module("pan3d_sim.objects.vocabulary").PARAPHRASES]
    return {kind: tuple(texts) for content in contents for kind, texts in content.items()}


def run_facts(options: argparse.Namespace, config: PipelineConfig, protocol: EvaluationProtocol) -> list[str]:
    """Sentences about a run."""
    given = ["colour images", "intrinsics"]
    given += ["poses"] if protocol.use_poses else []
    given += ["depth images"] if protocol.use_depth else []
    machine = machine_facts()
    weights = f", weights {config.model.weights}" if config.model.weights else ""
    return [
        f"Engine {config.model.name}{weights}; it is given {', '.join(given)} and the height of the support.",
        f"{machine['date']}, {machine['processor']}, load {machine['load']}, Python {machine['python']}.",
        options.command_line,
    ]


def _maker(options: argparse.Namespace, config: PipelineConfig, protocol: EvaluationProtocol) -> partial[SceneEvaluator]:
    """What builds the worker of a process."""
    from pan3d_eval.workers import scene_worker

    if options.workers > 0 or options.ray is not None:
        config = replace(config, model=replace(config.model, threads=1))
    return partial(scene_worker, config, protocol, picture_size(options.size) if options.size else None)


def _worst(evaluator: SceneEvaluator, measured: list[tuple], count: int) -> list:
    """The worst scenes, processed once more for their pictures."""
    from pan3d_tools.reports.scenes import Shown, badness

    measured.sort(key=lambda pair: badness(pair[1]))
    shown = []
    for reference, item in measured[:count]:
        scene = reference.read()
        shown.append(Shown(scene, evaluator.process(scene), item))
    return shown
