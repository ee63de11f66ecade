"""`pan3d eval BAG`: the part of `pan3d eval` that is about recorded topics."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pan3d_eval.execution import Failure, Processes, run_items
from pan3d_ros.bags.evaluation import BagRequest, bag_worker
from pan3d_tools.cli.options import pipeline_config, report_folder
from pan3d_tools.cli.output import machine_facts, print_table, write_json
from pan3d_tools.reports.bags import write_bag_report


def add_bag_options(parser: argparse.ArgumentParser) -> None:
    """Options that only bags have."""
    bags = parser.add_argument_group("bags (rosbag2)")
    bags.add_argument(
        "--params", nargs="+", type=Path, default=[], metavar="FILE", help="parameter files of the node (default: from the bag)"
    )
    bags.add_argument("--truth", default="/ground_truth", metavar="NAME", help="namespace of truth topics (default: %(default)s)")
    bags.add_argument("--start", type=float, default=0.0, metavar="S", help="begin so long after the bag's start")
    bags.add_argument("--duration", type=float, metavar="S", help="so much of the bag's time (default: to its end)")


def find_bags(paths: Sequence[Path]) -> list[Path]:
    """The bags among the paths and directly below them; empty when there are none."""
    looks_like_one = [path for path in paths if path.suffix in (".mcap", ".db3", ".bag") or (path / "metadata.yaml").exists()]
    below = [item for path in paths if path.is_dir() for item in sorted(path.iterdir())]
    looks_like_one += [item for item in below if item.is_dir() and (item / "metadata.yaml").exists()]
    looks_like_one += [path for path in paths if path.is_dir() and path not in looks_like_one and _storage(path)]
    return looks_like_one


def run_eval_bags(options: argparse.Namespace, bags: Sequence[Path]) -> int:
    """Figures of every bag as a table, and all in a JSON file and a report. 1 when a bag could not be evaluated."""
    config, bags = pipeline_config(options), bags[: options.limit or None]
    request = BagRequest(
        base=config,
        params=tuple(options.params),
        use_depth=options.depth,
        use_poses=not options.no_poses,
        truth=options.truth,
        part=(options.start, options.duration),
    )
    alone = len(bags) == 1 and not options.workers and options.ray is None
    make = partial(bag_worker, request, _show if alone else None)
    outcomes = run_items(
        make,
        list(bags),
        processes=Processes(options.workers, options.ray),
        progress=None if alone else partial(_show, what="bags"),
    )
    print(file=sys.stderr)
    found, failures = {}, []
    for bag, outcome in zip(bags, outcomes):
        print(bag)
        if isinstance(outcome, Failure):
            failures.append(outcome)
            print(f"could not be evaluated: {outcome.message}", file=sys.stderr)
            continue
        found[str(bag)] = (outcome.rows(), outcome.to_dict())
        print_table(outcome.rows())
    out, contents = report_folder(options, config.model.name), [content for _, content in found.values()]
    machine = machine_facts()
    if contents:
        about = {"machine": machine, "command": options.command_line}
        write_json(options.json or out / "bags.json", about | (contents[0] if len(bags) == 1 else {"bags": contents}))
    facts = [
        f"Engine {config.model.name}. {', '.join(f'{key} {value}' for key, value in machine.items())}.",
        options.command_line,
    ]
    print(f"written to {write_bag_report(out / 'bags.html', facts, found, failures)}")
    return 1 if failures else 0


def _storage(folder: Path) -> bool:
    return any(item.suffix in (".mcap", ".db3") for item in folder.iterdir())


def _show(done: int, total: int, what: str = "% of the bag") -> None:
    """One line on stderr that is written over."""
    print(f"\r{done} of {total} {what}", end="", file=sys.stderr, flush=True)
