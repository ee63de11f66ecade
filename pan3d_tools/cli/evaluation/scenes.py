"""`pan3d eval`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path

from pan3d_core.config import PipelineConfig
from pan3d_core.geometry.camera_checks import used_of
from pan3d_core.runtime.ending.result_folder import ResultFolder
from pan3d_core.runtime.lazy import load
from pan3d_eval.datasets import DEFAULT_VIEWS, ViewSelection
from pan3d_eval.execution import Processes
from pan3d_eval.figures import figure_table
from pan3d_eval.folder import FolderEvaluation, evaluate_folder
from pan3d_eval.runner import EvaluationProtocol
from pan3d_sim.cameras.depth_sensors import depth_sensor
from pan3d_sim.cameras.measured_views import MeasuredViews
from pan3d_sim.objects.vocabulary import PARAPHRASES
from pan3d_tools.cli.bags.files import add_bag_options, find_bags
from pan3d_tools.cli.evaluation.published import add_published_options, run_published
from pan3d_tools.cli.evaluation.worlds import add_rig_error_options, add_world_options, rig_error_of, scenes_of
from pan3d_tools.cli.options import add_model_options, add_sensor_option, picture_size, pipeline_config, report_folder
from pan3d_tools.cli.output import machine_facts, place_of_json, print_table, show_progress, write_json
from pan3d_tools.reports.scenes import Shown, badness, write_scene_report

# Imported for bags only: scenes are evaluated where rosbags is not installed.
BAGS = "pan3d_tools.cli.evaluation.bags:run_eval_bags"


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_eval)
    parser.add_argument("scenes", nargs="*", type=Path, help="scene folders, shard folders, bags, or folders of them")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="folder for report and figures (default: out/eval/ENGINE)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="figures as JSON (default: figures.json in that folder)")
    parser.add_argument("--limit", type=int, default=0, help="most scenes (default: all)")
    parser.add_argument("--views", type=int, help="images of a public data set's recording (default: 8, 0: all)")
    parser.add_argument("--stride", type=int, help="take every N-th of them before choosing (default: 1)")
    parser.add_argument("--worst", type=int, default=6, metavar="N", help="scenes with pictures in the report (default: 6)")
    parser.add_argument("--no-poses", action="store_true", help="withhold the cameras' poses")
    parser.add_argument("--size", metavar="WxH", help="pixels at which engines without a network work and are measured")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes of one thread each (default: this one)")
    parser.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster: auto, local or host:port (extra: ray)")
    add_published_options(parser)
    add_world_options(parser)
    add_rig_error_options(parser)
    add_model_options(parser)
    add_sensor_option(parser, "exact")
    add_bag_options(parser)


def run_eval(options: argparse.Namespace) -> int:
    """Figures of an engine over scenes: a table, a JSON file and a report. 1 when a scene could not be evaluated, or not in the
    pictures of all its cameras."""
    if options.protocol is not None:
        return run_published(options)
    options.scenes = scenes_of(options)
    if bags := find_bags(options.scenes):
        code: int = load(BAGS)(options, bags)
        return code
    config, protocol = pipeline_config(options), _protocol(options)
    found = evaluate_folder(
        options.scenes,
        config,
        protocol,
        views=_views(options),
        limit=options.limit,
        size=picture_size(options.size) if options.size else None,
        processes=Processes(options.workers, options.ray),
        progress=show_progress,
    )
    print(file=sys.stderr)
    evaluation = found.evaluation
    figures = figure_table(evaluation)
    print_table([(item.name, item.value) for item in figures])
    for failure in evaluation.failures:
        print(f"failed: {failure.name}: {failure.message}", file=sys.stderr)
    incomplete = [scene for scene in evaluation.scenes if scene.left_out]
    for scene in incomplete:
        given = len(scene.view_overlaps) + len(scene.left_out)
        print(f"{scene.name}: {used_of(len(scene.view_overlaps), given, scene.left_out)}", file=sys.stderr)
    out = report_folder(options, config.model.name)
    facts = run_facts(options, config, protocol)
    content = {
        "machine": machine_facts(),
        "run": facts,
        "figures": {item.name: item.value for item in figures},
        "protocols": {item.name: item.protocol for item in figures},
        "scenes": evaluation.scene_list(),
        "failures": [asdict(item) for item in evaluation.failures],
    }
    title = f"{config.model.name} on {len(found.references)} scenes"
    shown = _worst(found, options.worst)
    with ResultFolder(out, "eval").replaced() as part:
        write_json(place_of_json(options.json, out, part, "figures.json"), content, told=False)
        write_scene_report(part / "report.html", title, facts, evaluation, shown)
    print(f"written to {options.json or out / 'figures.json'}\nwritten to {out / 'report.html'}")
    return 1 if evaluation.failures or incomplete else 0


def _views(options: argparse.Namespace) -> ViewSelection:
    asked = {"count": options.views, "stride": options.stride}
    return replace(DEFAULT_VIEWS, **{name: value for name, value in asked.items() if value is not None})


def _protocol(options: argparse.Namespace) -> EvaluationProtocol:
    sensor = depth_sensor(options.depth_sensor)
    if sensor is not None and not options.depth:
        raise ValueError("--depth-sensor: expected together with --depth, since no depth is given without it")
    camera = None if sensor is None else MeasuredViews(sensor)
    return EvaluationProtocol(options.depth, not options.no_poses, PARAPHRASES, camera, rig_error_of(options))


def run_facts(options: argparse.Namespace, config: PipelineConfig, protocol: EvaluationProtocol) -> list[str]:
    """Sentences about a run."""
    given = ["colour images", "intrinsics"]
    given += ["poses"] if protocol.use_poses else []
    given += [f"depth images ({options.depth_sensor})"] if protocol.use_depth else []
    machine = machine_facts()
    weights = f", weights {config.model.weights}" if config.model.weights else ""
    return [
        f"Engine {config.model.name}{weights}; it is given {', '.join(given)} and the height of the support.",
        f"{machine['date']}, {machine['processor']}, load {machine['load']}, Python {machine['python']}.",
        options.command_line,
    ]


def _worst(found: FolderEvaluation, count: int) -> list[Shown]:
    """The worst scenes, processed once more for their pictures."""
    chosen = sorted(found.measured(), key=lambda pair: badness(pair[1]))[: max(count, 0)]
    if not chosen:
        return []
    evaluator = found.make_evaluator()
    scenes = [(evaluator.usable(reference), item) for reference, item in chosen]
    return [Shown(scene, evaluator.process(scene), item) for scene, item in scenes]
