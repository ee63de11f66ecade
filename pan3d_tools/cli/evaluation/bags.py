"""`pan3d eval BAG`: the part of `pan3d eval` that is about recorded topics."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pan3d_core.runtime.ending.result_folder import ResultFolder
from pan3d_eval.execution import Failure, Processes, run_items
from pan3d_ros.bags.judging.evaluation import BagEvaluation, BagRequest, bag_worker
from pan3d_tools.cli.options import pipeline_config, report_folder
from pan3d_tools.cli.output import machine_facts, place_of_json, print_table, write_json
from pan3d_tools.reports.bags import write_bag_report


def run_eval_bags(options: argparse.Namespace, bags: Sequence[Path]) -> int:
    """Figures of every bag as a table, and all in a JSON file and a report. 1 when a bag could not be evaluated,
    or none of its view sets gave a result."""
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
    found, failures, without_result = {}, [], False
    for bag, outcome in zip(bags, outcomes):
        print(bag)
        if isinstance(outcome, Failure):
            failures.append(outcome)
            print(f"could not be evaluated: {outcome.message}", file=sys.stderr)
            continue
        found[str(bag)] = (outcome.rows(), outcome.to_dict())
        print_table(outcome.rows())
        if text := why_no_result(outcome):
            without_result = True
            print(text, file=sys.stderr)
    out, contents = report_folder(options, config.model.name), [content for _, content in found.values()]
    machine = machine_facts()
    facts = [
        f"Engine {config.model.name}. {', '.join(f'{key} {value}' for key, value in machine.items())}.",
        options.command_line,
    ]
    with ResultFolder(out, "eval of bags").replaced() as part:
        if contents:
            content = {"machine": machine, "command": options.command_line}
            content |= contents[0] if len(bags) == 1 else {"bags": contents}
            write_json(place_of_json(options.json, out, part, "bags.json"), content, told=False)
        write_bag_report(part / "bags.html", facts, found, failures)
    if contents:
        print(f"written to {options.json or out / 'bags.json'}")
    print(f"written to {out / 'bags.html'}")
    return 1 if failures or without_result else 0


def why_no_result(evaluation: BagEvaluation) -> str:
    """Say which reasons took how many view sets where none of them gave a result; "" where one did."""
    if evaluation.stages_s:  # of sets with a result
        return ""
    reasons = Counter(reason for outcome in evaluation.outcomes for reason in outcome.reasons)
    taken = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common()) or "; ".join(evaluation.notes)
    return f"{evaluation.bag}: none of {len(evaluation.outcomes)} view sets gave a result ({taken})"


def _show(done: int, total: int, what: str = "% of the bag") -> None:
    """One line on stderr that is written over."""
    print(f"\r{done} of {total} {what}", end="", file=sys.stderr, flush=True)
