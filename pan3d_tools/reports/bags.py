"""A page about replayed bags: what was measured, what was lost and why, and every view set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pan3d_eval.execution import Failure
from pan3d_eval.figures import AP_RULES
from pan3d_tools.reports.html import Report
from pan3d_tools.reports.scenes import add_failures

MAX_SETS = 300  # more rows than a person reads
Rows = Sequence[tuple[str, object]]


def write_bag_report(
    path: Path, facts: Sequence[str], bags: Mapping[str, tuple[Rows, dict[str, Any]]], failures: Sequence[Failure]
) -> Path:
    """Write the page about evaluated bags.

    Args:
        path: Of the HTML file.
        facts: Sentences about the run.
        bags: Name -> rows of its table and its plain values, both as `BagEvaluation` gives them.
        failures: Bags that could not be evaluated.

    Returns:
        The path.
    """
    title = next(iter(bags)) if len(bags) == 1 else f"{len(bags)} bags"
    report = Report(title)
    for sentence in facts:
        report.text(sentence, note=True)
    add_failures(report, failures)
    for name, (rows, content) in bags.items():
        report.section(name)
        report.table(("figure", "value"), rows)
        _add_sets(report, content["results"]["sets"])
    report.section("How the figures are taken")
    report.text(f"{AP_RULES} A scene here is a view set: the images of all cameras that belong together.", note=True)
    report.text(
        "Ages run from the stamp of a set's newest image to its result, at the recorded rate and with the times that were "
        "measured here. Keys in the JSON file that have a name in ros2_benchmark carry it.",
        note=True,
    )
    return report.write(path)


def _add_sets(report: Report, sets: Sequence[dict[str, Any]]) -> None:
    if not sets:
        return
    begin_ns = min(min(item["stamps_ns"]) for item in sets)
    rows = [
        (
            f"{(max(item['stamps_ns']) - begin_ns) / 1e9:.2f}",
            ", ".join(item["cameras"]),
            item["answer"],
            "; ".join(item["reasons"]),
            ", ".join(f"{seen['name'] or 'object'} {seen['id']}" for seen in item["objects"]),
        )
        for item in sets[:MAX_SETS]
    ]
    report.text(f"View sets{f' (the first {MAX_SETS} of {len(sets)})' if len(sets) > MAX_SETS else ''}:")
    report.table(("second", "cameras", "answer", "reasons", "objects"), rows)
