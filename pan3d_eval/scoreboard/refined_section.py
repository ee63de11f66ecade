"""The scoreboard's section on refined scenes: 2D labels, what PanopticSplatting makes of them, and what that costs.

True labels show what refining adds where nothing is wrong but the ids, noisy ones how much it forgives, and those of the
embedded engines what to expect of this library alone: colour images in, no depth camera.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pan3d_core.config import ModelConfig
from pan3d_core.engines.mini import EPS3D, FAST3DIS, MINI, SHIPPED
from pan3d_core.refine.labels.noise import LabelNoise
from pan3d_core.refine.labels.sources import EngineLabelSettings
from pan3d_eval.execution import Failure, Progress, run_items
from pan3d_eval.rendered.refined import mean_figures
from pan3d_eval.scoreboard.refined_scenes import (
    PARTS,
    LabelSource,
    RefinedProtocol,
    RefinedSceneReference,
    RefinedScores,
    refined_worker,
)
from pan3d_eval.scoreboard.rows import MeasuredRow, kept_row

MEASURE_VERSION = 4  # to be raised whenever a figure or the refinement changes its meaning: kept rows are then measured again
QUALITY = (
    ("PQ", "pq"),
    ("SQ", "sq"),
    ("RQ", "rq"),
    ("per-view PQ", "per_view_pq"),
    ("loose PQ", "loose_pq"),
    ("mIoU", "miou"),
    ("mCov", "mean_coverage"),
    ("labelled", "labelled"),
    ("switches", "identity_switches"),
    ("of matches", "identity_matches"),
)
COST = (("min", "processor_minutes"), ("MB", "peak_memory_mb"), ("Gaussians", "num_gaussians"))
LINES = tuple((source, part) for part in PARTS for source in ("labels", "map"))
PART_NAMES = {"given": "given", "held_out": "held-out"}


@dataclass(frozen=True)
class RefinedRow:
    """One row of the section: four lines, of labels and map on given and on held-out views."""

    key: str
    title: str
    source: LabelSource


REFINED_ROWS = (
    RefinedRow("refined_perfect", "true labels, depth images", LabelSource()),
    RefinedRow("refined_noisy", "noisy labels, depth images", LabelSource(noise=LabelNoise())),
    *(
        RefinedRow(f"refined_{name.replace('-', '_')}", f"labels and first Gaussians of **{name}**", LabelSource(name))
        for name in (MINI, FAST3DIS, EPS3D)
    ),
)


def measure_refined_row(
    row: RefinedRow,
    references: Sequence[RefinedSceneReference],
    folder: Path,
    protocol: RefinedProtocol,
    *,
    machine: Mapping[str, str],
    progress: Progress | None = None,
) -> MeasuredRow:
    """The row's figures, from `folder` if it was measured there before with the same settings, checkpoint and scenes."""

    def measure() -> MeasuredRow:
        outcomes = run_items(partial(refined_worker, row.source, protocol), references, workers=1, progress=progress)
        failures = [f"{item.name}: {item.message}" for item in outcomes if isinstance(item, Failure)]
        measured = [item for item in outcomes if not isinstance(item, Failure)]
        return MeasuredRow(named_figures(measured), {}, failures, dict(machine))

    return kept_row(folder / f"{row.key}-{refined_row_hash(row, references, protocol)}.json", measure)


def named_figures(scenes: Sequence[RefinedScores]) -> dict[str, float]:
    """Means over scenes by name, as "map held_out pq"; switches and matches are added up, memory is the largest."""
    if not scenes:
        return {"scenes": 0}
    figures = {
        f"{source} {part} {name}": value
        for source, part in LINES
        for name, value in asdict(mean_figures([getattr(scene, source)[part] for scene in scenes])).items()
    }
    means = {name: float(np.mean([getattr(scene, name) for scene in scenes])) for name in ("processor_minutes", "num_gaussians")}
    return {"scenes": len(scenes), **figures, **means, "peak_memory_mb": max(scene.peak_memory_mb for scene in scenes)}


def refined_row_hash(row: RefinedRow, references: Sequence[RefinedSceneReference], protocol: RefinedProtocol) -> str:
    """Of everything that decides the row's figures: source of labels, checkpoint, files of the scenes, refinement, version."""
    settings = {"version": MEASURE_VERSION, "source": asdict(row.source), "protocol": asdict(protocol)}
    settings |= {"refine": asdict(protocol.settings()), "surface": asdict(protocol.surface())}
    if row.source.engine:
        settings |= {"config": asdict(ModelConfig(name=row.source.engine, threads=1)), "labels": asdict(EngineLabelSettings())}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    if row.source.engine:
        digest.update(SHIPPED[row.source.engine].read_bytes())
    for reference in references:
        for path in sorted(item for item in reference.path.rglob("*") if item.is_file()):
            digest.update(path.relative_to(reference.path).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def refined_section(rows: Sequence[RefinedRow], measured: Mapping[str, MeasuredRow], protocol: RefinedProtocol) -> str:
    """The section as Markdown; `measured` by the rows' keys, rows that are not in it are left out. Empty where none is."""
    shown = [row for row in rows if row.key in measured]
    if not shown:
        return ""
    fullest = max((measured[row.key] for row in shown), key=lambda item: item.value("scenes"))
    count = int(fullest.value("scenes"))
    failed = sum(len(measured[row.key].failures) for row in shown)
    heads = ["", "", *(head for head, _ in (*QUALITY, *COST))]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    lines += [line for row in shown for line in _lines(row, measured[row.key])]
    views = [int(fullest.figures.get(f"map {part} views", 0)) // max(count, 1) for part in PARTS]
    times = sorted({measured[row.key].machine["date"] for row in shown})
    when = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
    all_measured = "Every scene was measured." if failed == 0 else f"{failed} scenes failed and are left out."
    return "\n\n".join(
        [
            "## Refined scenes",
            f"{count} held-out scenes, each seen by a camera around the table: {views[0]} views are given and {views[1]} are "
            "held out. The 2D labels of the given views are refined into one map of Gaussians with objects (PanopticSplatting, "
            f"{protocol.steps} steps; rows measured {when}). {all_measured}",
            "\n".join(lines),
            "`true labels`: right masks and classes, but their ids mean nothing across views, as those of any 2D model; "
            "`noisy labels`: the same with masks missed, merged, split and ragged, and wrong classes. The first Gaussians of "
            "these are measured surfaces; rows of engines see colour images and cameras alone. `PQ`, `SQ`, `RQ`: all views of a "
            "scene as one picture, so that an object needs one id in all of them, at IoU 0.5; labels of single views cannot have "
            "that. `per-view PQ`: every view for itself. `loose PQ`: as the evaluator of PanopticRecon++ computes it, IoU 0.1 at "
            "a quarter of the resolution, which published figures of PanopticSplatting are to be compared with and the other "
            "columns are not. `mCov`: IoU of every true object, in all views, with the one id that covers most of it. "
            "`labelled`: share of the pixels that have a class; strict PQ forgives what is void. `switches`: matches of an "
            "object to another id than at its last match, of all scenes. `min`: mean processor time of a scene from labels to "
            "map, one thread; `MB`: high-water mark of the process, libraries and evaluation included. What "
            "blending, warping and local attention are worth, and memory by number of Gaussians, is in [refine.md](refine.md).",
        ]
    )


def _lines(row: RefinedRow, measured: MeasuredRow) -> list[str]:
    """Labels and map on given views, then on held-out ones; title and cost stand once."""
    lines = []
    for index, (source, part) in enumerate(LINES):
        cells = [_cell(name, measured.value(f"{source} {part} {name}")) for _, name in QUALITY]
        is_map = (source, part) == ("map", "given")
        cells += [_cell(name, measured.value(name)) if is_map else "" for _, name in COST]
        title = row.title if index == 0 else ""
        lines.append(f"| {title} | {source}, {PART_NAMES[part]} views | " + " | ".join(cells) + " |")
    return lines


def _cell(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    if name in ("peak_memory_mb", "num_gaussians", "identity_switches", "identity_matches"):
        return f"{value:.0f}"
    return f"{value:.2f}" if name == "processor_minutes" else f"{value:.3f}"
