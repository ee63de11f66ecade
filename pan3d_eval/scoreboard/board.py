"""One row of the scoreboard, whatever it measures: what decides its figures, where they are kept, and how they are shown.

A row is measured in a process of its own with one thread, so that its time and memory are its own. Measured rows are kept
under a hash of all that they depend on, so an interrupted run goes on where it was, and a new checkpoint repeats only the
rows that use one.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pan3d_core.runtime.files import named_file, read_json_object, written_whole
from pan3d_core.settings import read_settings
from pan3d_eval.execution import Failure, MakeWorker, Processes, Progress, run_items


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    head: str
    figure: str  # its name
    digits: int = 3  # after the point


@dataclass(frozen=True)
class MeasuredRow:
    """Figures of a row, and where and when they were measured."""

    figures: dict[str, float]
    protocols: dict[str, str]  # how a figure was taken, where that is said
    failures: tuple[str, ...]  # scenes that could not be measured, and why
    machine: dict[str, str]

    def value(self, name: str) -> float:
        """A figure, NaN where it was not measured."""
        return self.figures.get(name, math.nan)

    def cells(self, columns: Iterable[Column], names: str = "{}") -> list[str]:
        """Figures as text, empty where they were not measured; `names` turns a column's figure into its full name."""
        values = [(self.value(names.format(column.figure)), column.digits) for column in columns]
        return ["" if math.isnan(value) else f"{value:.{digits}f}" for value, digits in values]


@dataclass(frozen=True)
class TitledRow:
    """What every row has, whatever it measures."""

    key: str  # of its kept figures
    title: str  # as the page shows it, Markdown


@dataclass(frozen=True)
class Measurement:
    """What a row measures, with everything that decides its figures."""

    name: str  # of the kept row, in front of its hash
    settings: Mapping[str, object]  # plain values: version of the measure, configuration, protocol, names of scenes
    files: Sequence[tuple[str, Path]]  # whose content counts, checkpoints and scenes, each with the name that counts too
    make_worker: MakeWorker[Any, Any]
    items: Sequence[Any]  # scenes
    summary: Callable[[Sequence[Any]], tuple[dict[str, float], dict[str, str]]]  # outcomes -> figures and their protocols

    def hash(self) -> str:
        """Of everything that decides the figures."""
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode())
        for name, path in self.files:
            digest.update(name.encode() + path.read_bytes())
        return digest.hexdigest()[:16]


def measured_row(
    measurement: Measurement, folder: Path, *, machine: Mapping[str, str], progress: Progress | None = None
) -> MeasuredRow:
    """The figures of a row, from `folder` if they were measured there before; otherwise they are measured and kept there.

    Args:
        measurement: What is measured.
        folder: Of the kept rows.
        machine: Facts about this machine that are kept beside the figures.
        progress: Called with the numbers of scenes done and of all after each.

    Returns:
        Figures, failures and facts of the run that measured them.
    """
    path = folder / f"{measurement.name}-{measurement.hash()}.json"
    if path.exists():
        return _read_row(path)
    outcomes = run_items(measurement.make_worker, measurement.items, processes=Processes(1), progress=progress)
    failures = tuple(f"{item.name}: {item.message}" for item in outcomes if isinstance(item, Failure))
    measured = MeasuredRow(*measurement.summary(outcomes), failures, dict(machine))
    with written_whole(path) as part:
        part.write_text(json.dumps(asdict(measured), indent=1), encoding="utf-8")
    return measured


def _read_row(path: Path) -> MeasuredRow:
    with named_file(path, "a measured row"):
        row = read_settings(MeasuredRow, read_json_object(path, "a measured row"))
        for name, value in row.figures.items():
            if not isinstance(value, (int, float)):
                raise ValueError(f"figures.{name}: expected a number, got {value!r}")
    return row


def table(columns: Iterable[Column], lines: Iterable[Sequence[str]], corner: str = "| |") -> str:
    """A Markdown table. `lines`: the cells of each; `corner`: the head of the columns of text before the figures."""
    heads = [column.head for column in columns]
    texts = corner.count("|") - 1
    head = [f"{corner} {' | '.join(heads)} |", "|---" * texts + "|" + "---:|" * len(heads)]
    return "\n".join([*head, *("| " + " | ".join(line) + " |" for line in lines)])


def failures_sentence(rows: Iterable[MeasuredRow]) -> str:
    """How many scenes of all rows could not be measured."""
    failed = sum(len(row.failures) for row in rows)
    return "Every scene was measured." if failed == 0 else f"{failed} scenes failed and are left out."


def dates(rows: Iterable[MeasuredRow]) -> str:
    """When the rows were measured: a date, or the first and the last."""
    times = sorted({row.machine["date"] for row in rows})
    return times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"


def filled(template: str, **values: object) -> str:
    """The text of a template of this folder, without the paragraphs that have nothing to say."""
    text = Path(__file__).with_name(template).read_text(encoding="utf-8").format(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")
