"""Short runs of one family that differ in one thing each, and their held-out figures side by side.

    python -m training.compare --list training/comparisons/fast3dis_mini_parts.yaml --data DATA --out RUNS --workers 2

The list holds `base` (settings of every run), `seeds` of the unchanged run, `columns` (figures that are shown) and `groups`: a
title and the variants by name, each with its assignments as in `--set`; `about` is a line above the table. `variant_seeds` are
those of every variant (the first of `seeds`). With `start`, the settings of a run in a file beside the list, that run comes
first and all others begin with its weights, unless `--set start_from=FILE` names others. Runs that are complete are left alone,
so the same command goes on after an interruption; the table of all of them is RUNS/table.md. Of several seeds it has the mean
with the standard deviation, or with `interval: 0.95` the interval in which the mean over all seeds lies so surely (Student's t).
`--set` changes every run, before the variants do.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from scipy.stats import t as student_t

from pan3d_core.runtime.files import written_whole
from training.families import run_config
from training.run.refusing import refusing
from training.settings import merge_settings, parse_assignments, read_yaml

UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Variant:
    """One short run."""

    group: str
    name: str
    values: dict[str, Any]  # settings as `--config` takes them

    def folder(self, out: Path) -> Path:
        """Where it runs."""
        words = re.sub(r"[^a-z0-9]+", "-", f"{self.group} {self.name}".lower()).strip("-")
        return out / f"{words}-seed{self.values['seed']}"


@dataclass(frozen=True)
class Comparison:
    """What a list asks for; the unchanged runs come first, one for each seed."""

    variants: tuple[Variant, ...]
    columns: tuple[str, ...]  # figures that are shown, as the family's `evaluate` names them
    about: str
    interval: float = 0.0  # how sure the interval of a mean is; 0 = standard deviations are shown
    start: Variant | None = None  # a run that all others begin with


def read_comparison(path: Path, data: Path, out: Path, assignments_of_all: Sequence[str] = ()) -> Comparison:
    """The runs of a list. Raises `ValueError` for settings that no run could have, before anything runs."""
    content = read_yaml(path)
    for name in ("base", "seeds", "groups", "columns"):
        if name not in content:
            raise ValueError(f"list: expected base, seeds, groups and columns in {path}, got no {name}")
    base = merge_settings(content["base"], {"data": str(data)})
    base = merge_settings(base, parse_assignments(list(assignments_of_all)))
    interval = content.get("interval", 0.0)
    if not 0 <= interval < 1:
        raise ValueError(f"list: interval: expected 0 to below 1 in {path}, got {interval}")
    own_seeds = content.get("variant_seeds", content["seeds"][:1])
    start = None
    if "start" in content and not base.get("start_from"):
        values = merge_settings(read_yaml(path.parent / content["start"]), {"data": str(data), "seed": content["seeds"][0]})
        start = _placed(Variant("start", "", values), out)
        base = merge_settings(base, {"start_from": str(start.folder(out) / "last.pt")})
    variants = [Variant(UNCHANGED, "", merge_settings(base, {"seed": seed})) for seed in content["seeds"]]
    for title, members in content["groups"].items():
        for name, assignments in members.items():
            changed = merge_settings(base, parse_assignments(assignments))
            variants += [Variant(title, name, merge_settings(changed, {"seed": seed})) for seed in own_seeds]
    placed = tuple(_placed(variant, out) for variant in variants)
    for variant in (*placed, *([start] if start else [])):
        run_config(variant.values)
    return Comparison(placed, tuple(content["columns"]), content.get("about", ""), interval, start)


def _placed(variant: Variant, out: Path) -> Variant:
    """The same, told where it runs."""
    return Variant(variant.group, variant.name, merge_settings(variant.values, {"out": str(variant.folder(out))}))


def final_figures(folder: Path) -> list[dict[str, Any]] | None:
    """The last held-out figures of a complete run, one dict per case, else None."""
    path = folder / "log.jsonl"
    if not path.exists():
        return None
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    measured = [line for line in lines if line["what"] == "eval"]
    if not measured or not (folder / "done").exists():
        return None
    return [line for line in measured if line["step"] == measured[-1]["step"]]


def run_variant(variant: Variant, out: Path, threads: int) -> list[dict[str, Any]]:
    """Train one variant in a process of its own, unless that was done before. `RuntimeError` with its last words if it fails."""
    folder = variant.folder(out)
    done = final_figures(folder)
    if done is not None:
        return done
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "settings.yaml"
    with written_whole(settings) as part:
        part.write_text(yaml.safe_dump(variant.values), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "training.train", "--config", str(settings), "--set", f"execution.threads={threads}"]
    with (folder / "output.txt").open("a", encoding="utf-8") as output:
        finished = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
    if finished.returncode:
        words = (folder / "output.txt").read_text(encoding="utf-8")[-1500:]
        raise RuntimeError(f"{folder.name}: the run failed with status {finished.returncode}:\n{words}")
    (folder / "done").touch()
    return final_figures(folder) or []


def table(comparison: Comparison, figures: Sequence[list[dict[str, Any]]]) -> str:
    """Markdown: one row per variant, one column per figure and case; of several seeds the mean with its standard deviation."""
    cases = len(figures[0])
    titles = [f"{column} {_case(figures[0][case])}".strip() for case in range(cases) for column in comparison.columns]
    lines = [f"{comparison.about}.", ""] if comparison.about else []
    lines += [f"| | {' | '.join(titles)} |", "|---|" + "---:|" * len(titles)]
    rows: dict[tuple[str, str], list[list[dict[str, Any]]]] = {}
    for variant, own in zip(comparison.variants, figures, strict=True):
        rows.setdefault((variant.group, variant.name), []).append(own)
    group = UNCHANGED
    for (title, name), seeds in rows.items():
        if title != group:
            group = title
            lines.append(f"| *{group}* |" + " |" * len(titles))
        shown = name if title != UNCHANGED else f"**unchanged**, {len(seeds)} seeds"
        cells = [
            _spread([float(own[case][column]) for own in seeds], comparison.interval)
            for case in range(cases)
            for column in comparison.columns
        ]
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _case(figures: Mapping[str, Any]) -> str:
    return {True: "posed", False: "unposed", None: ""}[figures.get("posed")]


def _spread(values: Sequence[float], interval: float) -> str:
    """Mean with standard deviation or interval; a dash where a case has no such figure."""
    if not all(math.isfinite(value) for value in values):
        return "-"
    mean = statistics.mean(values)
    if len(values) == 1:
        return f"{mean:.3f}"
    if not interval:
        return f"{mean:.3f} ± {statistics.stdev(values):.3f}"
    half = float(student_t.ppf((1 + interval) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", type=Path, required=True, help="YAML file of what is compared")
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and val/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="of every run, e.g. start_from=FILE")
    options = parser.parse_args()
    comparison = read_comparison(options.list, options.data, options.out, options.set)
    if comparison.start is not None:
        run_variant(comparison.start, options.out, options.threads)
    with ThreadPoolExecutor(options.workers) as pool:
        runs = pool.map(lambda variant: run_variant(variant, options.out, options.threads), comparison.variants)
        figures = []
        for variant, own in zip(comparison.variants, runs, strict=False):
            figures.append(own)
            shown = {name: round(own[0][name], 3) for name in comparison.columns}
            print(f"{len(figures)} of {len(comparison.variants)}  {variant.group} {variant.name}  {shown}", flush=True)
    with written_whole(options.out / "table.md") as part:
        part.write_text(table(comparison, figures), encoding="utf-8")
    print(table(comparison, figures), end="")


if __name__ == "__main__":
    with refusing("compare"):
        main()
