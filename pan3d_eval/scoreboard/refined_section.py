"""The scoreboard's section on refined scenes: 2D labels, what PanopticSplatting makes of them, and what that costs.

True labels show what refining adds where nothing is wrong but the ids, noisy ones how much it forgives, and those of the
embedded engines what to expect of this library alone: colour images in, no depth camera.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from pan3d_core.config import ModelConfig
from pan3d_core.engines.mini import EPS3D, FAST3DIS, MINI, SHIPPED
from pan3d_core.refine.labels.noise import LabelNoise
from pan3d_core.refine.labels.sources import EngineLabelSettings
from pan3d_eval.execution import Failure
from pan3d_eval.rendered.refined import mean_figures
from pan3d_eval.scoreboard.board import Column, MeasuredRow, Measurement, TitledRow, dates, failures_sentence, filled, table
from pan3d_eval.scoreboard.refined_scenes import (
    PARTS,
    LabelSource,
    RefinedProtocol,
    RefinedSceneReference,
    RefinedScores,
    refined_worker,
)

MEASURE_VERSION = 4  # to be raised whenever a figure or the refinement changes its meaning: kept rows are then measured again
QUALITY = (
    *(Column(name.upper(), name) for name in ("pq", "sq", "rq")),
    Column("per-view PQ", "per_view_pq"),
    Column("loose PQ", "loose_pq"),
    Column("mIoU", "miou"),
    Column("mCov", "mean_coverage"),
    Column("labelled", "labelled"),
)
IDENTITY = (Column("switches", "identity_switches", 0), Column("of matches", "identity_matches", 0))
COST = (Column("min", "processor_minutes", 2), Column("MB", "peak_memory_mb", 0), Column("Gaussians", "num_gaussians", 0))
LINES = tuple((source, part) for part in PARTS for source in ("labels", "map"))
PART_NAMES = {"given": "given", "held_out": "held-out"}


@dataclass(frozen=True)
class RefinedRow(TitledRow):
    """One row of the section: four lines, of labels and map on given and on held-out views."""

    source: LabelSource

    def measurement(self, references: Sequence[RefinedSceneReference], protocol: RefinedProtocol) -> Measurement:
        """What it measures on the scenes."""
        engine = self.source.engine
        settings = {"version": MEASURE_VERSION, "source": asdict(self.source), "protocol": asdict(protocol)}
        settings |= {"refine": asdict(protocol.settings()), "surface": asdict(protocol.surface())}
        if engine:
            settings |= {"config": asdict(ModelConfig(name=engine, threads=1)), "labels": asdict(EngineLabelSettings())}
        scene_files = [
            (path.relative_to(reference.path).as_posix(), path)
            for reference in references
            for path in sorted(item for item in reference.path.rglob("*") if item.is_file())
        ]
        return Measurement(
            name=self.key,
            settings=settings,
            files=[*([("", SHIPPED[engine])] if engine else []), *scene_files],
            make_worker=partial(refined_worker, self.source, protocol),
            items=references,
            summary=_summary,
        )


REFINED_ROWS = (
    RefinedRow("refined_perfect", "true labels, depth images", LabelSource()),
    RefinedRow("refined_noisy", "noisy labels, depth images", LabelSource(noise=LabelNoise())),
    *(
        RefinedRow(f"refined_{name.replace('-', '_')}", f"labels and first Gaussians of **{name}**", LabelSource(name))
        for name in (MINI, FAST3DIS, EPS3D)
    ),
)


def _summary(outcomes: Sequence[RefinedScores | Failure]) -> tuple[dict[str, float], dict[str, str]]:
    return named_figures([item for item in outcomes if not isinstance(item, Failure)]), {}


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


def section_text(rows: Sequence[RefinedRow], measured: Mapping[str, MeasuredRow], protocol: RefinedProtocol) -> str:
    """The section as Markdown; `measured` by the rows' keys, rows that are not in it are left out. Empty where none is."""
    shown = {row: measured[row.key] for row in rows if row.key in measured}
    if not shown:
        return ""
    fullest = max(shown.values(), key=lambda item: item.value("scenes"))
    count = int(fullest.value("scenes"))
    views = {part: int(fullest.figures.get(f"map {part} views", 0)) // max(count, 1) for part in PARTS}
    return filled(
        "refined_section.md",
        count=count,
        **views,
        steps=protocol.steps,
        when=dates(shown.values()),
        failures=failures_sentence(shown.values()),
        table=table(
            (*QUALITY, *IDENTITY, *COST), (line for row, own in shown.items() for line in _lines(row, own)), corner="|  |  |"
        ),
    )


def _lines(row: RefinedRow, measured: MeasuredRow) -> Iterator[list[str]]:
    """Labels and map on given views, then on held-out ones; title and cost stand once."""
    for index, (source, part) in enumerate(LINES):
        cost = measured.cells(COST) if (source, part) == ("map", "given") else [""] * len(COST)
        title = row.title if index == 0 else ""
        yield [
            title,
            f"{source}, {PART_NAMES[part]} views",
            *measured.cells((*QUALITY, *IDENTITY), f"{source} {part} {{}}"),
            *cost,
        ]
