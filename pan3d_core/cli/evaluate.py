"""`pan3d eval`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pan3d_core.cli.options import add_command, add_model_options, build_pipeline
from pan3d_core.cli.output import machine_facts, print_table, show_progress, write_json


def add(commands: argparse._SubParsersAction) -> None:
    """Put the command and its options on the parser."""
    parser = add_command(commands, "eval", run_eval, "measure an engine on scene folders or on held-out shards")
    parser.add_argument("scenes", nargs="+", type=Path, help="scene folders, folders of them, or shard folders")
    parser.add_argument("--limit", type=int, default=0, help="most scenes (default: all)")
    parser.add_argument("--no-poses", action="store_true", help="withhold the cameras' poses")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    add_model_options(parser)


def run_eval(options: argparse.Namespace) -> int:
    """Figures of an engine over scenes, as a table."""
    from pan3d_core.evaluation.runner import evaluate
    from pan3d_core.evaluation.scenes import find_scenes

    scenes = list(find_scenes(options.scenes, options.limit))
    pipeline = build_pipeline(options, None, None)
    evaluation = evaluate(pipeline, scenes, use_depth=options.depth, use_poses=not options.no_poses, progress=show_progress)
    print(file=sys.stderr)
    print_table(evaluation.rows())
    if options.json is not None:
        write_json(
            options.json, {"machine": machine_facts(), "scenes": [str(path) for path in options.scenes], **evaluation.to_dict()}
        )
    return 0
