"""The scoreboard's section on rendered Gaussians: rows, and the table as EPS3D's tables 1 to 3 have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from pan3d_core.config import ModelConfig
from pan3d_core.engines.mini import EPS3D, SHIPPED
from pan3d_eval.execution import Failure
from pan3d_eval.rendered.gaussian_scenes import (
    GaussianEvaluation,
    GaussianProtocol,
    GaussianScores,
    gaussian_worker,
)
from pan3d_eval.rendered.true_views import STUFF
from pan3d_eval.scoreboard.board import Column, MeasuredRow, Measurement, TitledRow, failures_sentence, filled, table
from pan3d_eval.scoreboard.rows import SceneSet

MEASURE_VERSION = 1  # to be raised whenever a figure or a read-out changes its meaning: kept rows are then measured again
NUM_VIEWS = 8  # half of them context, half novel
MAX_SCENES = 20  # the published read-out takes about a minute of processor time for each
QUALITY = (("mIoU", "semantic_miou"), ("acc.", "semantic_accuracy"), ("inst. mIoU", "instance_miou"), ("F", "instance_f"))
COLUMNS = (
    *(Column(f"{kind}: {head}", f"{kind} {name}") for kind in ("context", "novel") for head, name in QUALITY),
    Column("novel: PQ", "novel pq"),
    Column("novel: SQ", "novel sq"),
    Column("novel: RQ", "novel rq"),
    Column("novel: PSNR dB", "novel psnr_db", 1),
    Column("Gaussians", "num_gaussians", 0),
    Column("s / scene", "processor_s", 2),
    Column("read-out s", "readout_s", 2),
)


@dataclass(frozen=True)
class GaussianRow(TitledRow):
    """One line of the section."""

    protocol: GaussianProtocol
    engine: str = EPS3D

    def config(self, weights: str = "") -> ModelConfig:
        """Settings of its engine, the defaults but for its name; `weights`: a checkpoint to use instead of the shipped one."""
        return ModelConfig(name=self.engine, threads=1, weights=weights)

    def measurement(self, scenes: SceneSet, weights: str = "") -> Measurement:
        """What it measures on the scenes."""
        settings = {"version": MEASURE_VERSION, "config": asdict(self.config()), "protocol": asdict(self.protocol)}
        settings |= {"scenes": [item.name for item in scenes.references], "stuff": STUFF, "views": NUM_VIEWS}
        return Measurement(
            name=f"{self.key}-{scenes.key}",
            settings=settings,
            files=[("", Path(weights or SHIPPED[self.engine]))],
            make_worker=partial(gaussian_worker, self.config(weights), self.protocol),
            items=scenes.references,
            summary=_summary,
        )


GAUSSIAN_ROWS = tuple(
    GaussianRow(f"eps3d_{poses}_cells", f"**{EPS3D}**, poses {poses}", GaussianProtocol(poses == "given", "cells"))
    for poses in ("given", "withheld")
)


def _summary(outcomes: Sequence[GaussianScores | Failure]) -> tuple[dict[str, float], dict[str, str]]:
    return GaussianEvaluation(tuple(item for item in outcomes if not isinstance(item, Failure))).figures(), {}


def section_text(rows: Sequence[GaussianRow], measured: Mapping[str, MeasuredRow], picture: str) -> str:
    """The section as Markdown; `measured` by the rows' keys, `picture` the path of one, relative to the page."""
    shown = [measured[row.key] for row in rows]
    return filled(
        "gaussian_section.md",
        count=max(int(item.value("scenes")) for item in shown),
        views=NUM_VIEWS,
        failures=failures_sentence(shown),
        table=table(COLUMNS, ([row.title, *item.cells(COLUMNS)] for row, item in zip(rows, shown, strict=True))),
        stuff=" and ".join(STUFF),
        picture=picture,
    )
