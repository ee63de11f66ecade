"""The scoreboard's section on rendered Gaussians: rows, their kept figures, and the table as EPS3D's tables 1 to 3 have it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine
from pan3d_core.engines.mini import EPS3D, SHIPPED
from pan3d_core.language.encoders import build_text_encoder
from pan3d_eval.execution import Failure, Progress, run_items
from pan3d_eval.rendered.gaussian_scenes import STUFF, GaussianEvaluation, GaussianProtocol, GaussianViewEvaluator
from pan3d_eval.scoreboard.rows import MeasuredRow, SceneSet, kept_row

MEASURE_VERSION = 1  # to be raised whenever a figure or a read-out changes its meaning: kept rows are then measured again
NUM_VIEWS = 8  # half of them context, half novel
MAX_SCENES = 20  # the published read-out takes about a minute of processor time for each
QUALITY = (("mIoU", "semantic_miou"), ("acc.", "semantic_accuracy"), ("inst. mIoU", "instance_miou"), ("F", "instance_f"))
PANOPTIC = (("PQ", "novel pq"), ("SQ", "novel sq"), ("RQ", "novel rq"), ("PSNR dB", "novel psnr_db"))
COST = (("Gaussians", "num_gaussians"), ("s / scene", "processor_s"), ("read-out s", "readout_s"))
COLUMNS = (
    *((f"{kind}: {head}", f"{kind} {name}") for kind in ("context", "novel") for head, name in QUALITY),
    *((f"novel: {head}", name) for head, name in PANOPTIC),
    *COST,
)


@dataclass(frozen=True)
class GaussianRow:
    """One line of the section."""

    key: str
    title: str
    protocol: GaussianProtocol
    engine: str = EPS3D

    def config(self, weights: str = "") -> ModelConfig:
        """Settings of its engine, the defaults but for its name; `weights`: a checkpoint to use instead of the shipped one."""
        return ModelConfig(name=self.engine, threads=1, weights=weights)


GAUSSIAN_ROWS = tuple(
    GaussianRow(f"eps3d_{poses}_cells", f"**{EPS3D}**, poses {poses}", GaussianProtocol(poses == "given", "cells"))
    for poses in ("given", "withheld")
)


def gaussian_worker(config: ModelConfig, protocol: GaussianProtocol, encoder_weights: str = "") -> GaussianViewEvaluator:
    """What measures one scene after the other. Errors as `build_engine` and `build_text_encoder`; `ValueError` for an engine
    without a text space."""
    engine = build_engine(config)
    space = getattr(engine, "text_space", None)
    if space is None:
        raise ValueError(f"--engine: expected one that gives Gaussians with semantics, such as {EPS3D}, got {config.name!r}")
    return GaussianViewEvaluator(engine, build_text_encoder(space.encoder, encoder_weights).encode, protocol)


def measure_gaussian_row(
    row: GaussianRow,
    scenes: SceneSet,
    folder: Path,
    *,
    weights: str = "",
    machine: Mapping[str, str],
    progress: Progress | None = None,
) -> MeasuredRow:
    """The row's figures, from `folder` if it was measured there before with the same checkpoint and scenes."""

    def measure() -> MeasuredRow:
        make = partial(gaussian_worker, row.config(weights), row.protocol)
        outcomes = run_items(make, scenes.references, workers=1, progress=progress)
        failures = [f"{item.name}: {item.message}" for item in outcomes if isinstance(item, Failure)]
        measured = GaussianEvaluation(tuple(item for item in outcomes if not isinstance(item, Failure)))
        return MeasuredRow(measured.figures(), {}, failures, dict(machine))

    return kept_row(folder / f"{row.key}-{scenes.key}-{gaussian_row_hash(row, scenes, weights)}.json", measure)


def gaussian_row_hash(row: GaussianRow, scenes: SceneSet, weights: str = "") -> str:
    """Of everything that decides the row's figures: settings, checkpoint, scenes and the way of measuring."""
    settings = {"version": MEASURE_VERSION, "config": asdict(row.config()), "protocol": asdict(row.protocol)}
    settings |= {"scenes": [item.name for item in scenes.references], "stuff": STUFF, "views": NUM_VIEWS}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(Path(weights or SHIPPED[row.engine]).read_bytes())
    return digest.hexdigest()[:16]


def section_text(rows: Sequence[GaussianRow], measured: Mapping[str, MeasuredRow], picture: str) -> str:
    """The section as Markdown; `measured` by the rows' keys, `picture` the path of one, relative to the page."""
    count = max(int(measured[row.key].value("scenes")) for row in rows)
    failed = sum(len(measured[row.key].failures) for row in rows)
    lines = ["| | " + " | ".join(head for head, _ in COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for row in rows:
        cells = [_cell(name, measured[row.key].value(name)) for _, name in COLUMNS]
        lines.append(f"| {row.title} | " + " | ".join(cells) + " |")
    all_measured = "Every scene was measured." if failed == 0 else f"{failed} scenes failed and are left out."
    return "\n\n".join(
        [
            "## Rendered semantics and instances (context and novel views)",
            f"{count} held-out scenes of trained kinds with {NUM_VIEWS} views. Every second one around the table is given to the "
            f"network, the others are novel. {all_measured}",
            "\n".join(lines),
            "The Gaussians are rendered in all views. `mIoU`, `acc.`: every pixel has the nearest of the class names, "
            f"{' and '.join(STUFF)} among them; one confusion matrix over all images. `inst. mIoU`, `F`: objects read from the "
            "rendered instance features of all views together, by cells, against all "
            "true regions, one number through the views; F at IoU 0.5. `PQ`, `SQ`, `RQ`: all novel views of a scene as one "
            "picture. What was not rendered counts. `s / scene`: median processor time of the engine, from images to Gaussians "
            f"and objects; `read-out s`: of reading objects from all {NUM_VIEWS} rendered views.",
            f"The first scene, poses given: what is true, what is rendered, what is read by cells.\n\n![rendered]({picture})",
        ]
    )


def _cell(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    if name == "num_gaussians":
        return f"{value:.0f}"
    if name.endswith("psnr_db"):
        return f"{value:.1f}"
    return f"{value:.2f}" if name in ("processor_s", "readout_s") else f"{value:.3f}"
