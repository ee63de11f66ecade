"""Every engine with an embedded checkpoint, and the baselines, on the same scenes and machine.

A row is measured in a process of its own with one thread, so that its time and memory are its own. Measured rows are kept
under a hash of all that they depend on, so an interrupted run goes on where it was, and a new checkpoint repeats only the
rows that use one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.engines.mini import EPS3D, FAST3DIS, MINI, SHIPPED
from pan3d_core.pictures import overlays
from pan3d_core.runtime.files import written_whole
from pan3d_eval.comparison_pictures import instance_pictures, true_instance_pictures
from pan3d_eval.datasets.scenes import SceneReference
from pan3d_eval.execution import Progress, run_items
from pan3d_eval.figures import figure_table
from pan3d_eval.runner import Evaluation, EvaluationProtocol, SceneEvaluator, evaluate_result
from pan3d_eval.workers import scene_worker

MEASURE_VERSION = 1  # to be raised whenever a figure or a baseline changes its meaning: kept rows are then measured again
SIZE = (144, 112)  # pixels of the scenes, at which every row works and is measured
NUM_PICTURED, PICTURED_VIEWS, TILE_WIDTH, JPEG_QUALITY = 5, (0, 2), 220, 78


@dataclass(frozen=True)
class Row:
    """One line of the board."""

    key: str
    title: str
    engine: str
    use_depth: bool = False
    use_poses: bool = True
    network: str = MINI  # whose checkpoint it runs on; empty = none
    about: str = ""

    def config(self, weights: str) -> PipelineConfig:
        """Settings of its pipeline; the defaults but for the engine. `weights`: a checkpoint of pan3d-mini to use instead."""
        model = ModelConfig(name=self.engine, threads=1, weights=weights if self.network == MINI else "")
        return PipelineConfig(model=model)

    def protocol(self, prompts: Mapping[str, tuple[str, ...]]) -> EvaluationProtocol:
        """What it is given and asked; engines that name nothing answer no descriptions."""
        return EvaluationProtocol(self.use_depth, self.use_poses, prompts)


ROWS = (
    Row("mini", "**pan3d-mini**, poses given", "pan3d-mini", about="colour images, calibrated cameras"),
    Row(
        "mini_unposed",
        "**pan3d-mini**, poses withheld",
        "pan3d-mini",
        use_poses=False,
        about="colour images and intrinsics; lengths are not metric unless the pipeline finds a scale",
    ),
    Row("mini_depth", "**pan3d-mini**, depth cameras", "pan3d-mini", use_depth=True, about="calibrated depth cameras"),
    Row(
        "fast3dis",
        "**pan3d-mini-fast3dis**, poses given",
        FAST3DIS,
        network=FAST3DIS,
        about="3D anchors on the frozen network of pan3d-mini; colour images, calibrated cameras",
    ),
    Row(
        "fast3dis_unposed",
        "**pan3d-mini-fast3dis**, poses withheld",
        FAST3DIS,
        use_poses=False,
        network=FAST3DIS,
        about="the same, colour images and intrinsics",
    ),
    Row(
        "fast3dis_depth",
        "**pan3d-mini-fast3dis**, depth cameras",
        FAST3DIS,
        use_depth=True,
        network=FAST3DIS,
        about="the same, calibrated depth cameras",
    ),
    Row(
        "eps3d",
        "**pan3d-mini-eps3d**, poses given",
        EPS3D,
        network=EPS3D,
        about="panoptic Gaussians by heads on the frozen network of pan3d-mini, objects read from what they render; colour "
        "images, calibrated cameras",
    ),
    Row(
        "depth_clusters",
        "**depth_clusters**",
        "depth_clusters",
        use_depth=True,
        network="",
        about="calibrated depth cameras, no network: connected surfaces above the support, cut where colour and surface break",
    ),
    Row(
        "true_depth_dbscan",
        "true depth + DBSCAN",
        "true_depth_dbscan",
        use_depth=True,
        network="",
        about="baseline: exact depth of all views as one cloud, support removed, DBSCAN on points: what geometry alone gives",
    ),
    Row(
        "network_depth_hdbscan",
        "network depth + HDBSCAN",
        "network_depth_hdbscan",
        about="baseline in two stages: the depth of pan3d-mini, then HDBSCAN on points and normals instead of its masks",
    ),
    Row(
        "features_hdbscan",
        "pixel features + HDBSCAN",
        "features_hdbscan",
        network=FAST3DIS,
        about="baseline in two stages: HDBSCAN on the pixel features that pan3d-mini-fast3dis compares with its queries",
    ),
    Row(
        "views_alone",
        "each view alone",
        "views_alone",
        about="baseline without association: pan3d-mini on one view at a time, every mask an instance of its own",
    ),
)


@dataclass(frozen=True)
class SceneSet:
    """Scenes that all rows see."""

    key: str
    title: str
    references: tuple[SceneReference, ...]
    prompts: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class MeasuredRow:
    """Figures of a row on a scene set, and where and when they were measured."""

    figures: dict[str, float]
    protocols: dict[str, str]
    failures: list[str]
    machine: dict[str, str]

    def value(self, name: str) -> float:
        """A figure, NaN where it was not measured."""
        return self.figures.get(name, math.nan)


def measure_row(
    row: Row, scenes: SceneSet, folder: Path, *, weights: str, machine: dict[str, str], progress: Progress | None = None
) -> MeasuredRow:
    """The row's figures, from `folder` if it was measured there before with the same checkpoint and scenes."""

    def measure() -> MeasuredRow:
        make = partial(scene_worker, row.config(weights), row.protocol(scenes.prompts), SIZE)
        evaluation = Evaluation.of(run_items(make, scenes.references, workers=1, progress=progress))
        figures = figure_table(evaluation)
        return MeasuredRow(
            {item.name: item.value for item in figures},
            {item.name: item.protocol for item in figures},
            [f"{item.name}: {item.message}" for item in evaluation.failures],
            machine,
        )

    return kept_row(folder / f"{row.key}-{scenes.key}-{row_hash(row, scenes, weights)}.json", measure)


def kept_row(path: Path, measure: Callable[[], MeasuredRow]) -> MeasuredRow:
    """The row that is kept at `path`; where none is, what `measure` gives, which is then kept."""
    if path.exists():
        return MeasuredRow(**json.loads(path.read_text(encoding="utf-8")))
    measured = measure()
    with written_whole(path) as part:
        part.write_text(json.dumps(asdict(measured), indent=1), encoding="utf-8")
    return measured


def row_hash(row: Row, scenes: SceneSet, weights: str) -> str:
    """Of everything that decides the row's figures: settings, checkpoint, scenes, prompts and the way of measuring."""
    settings = {"version": MEASURE_VERSION, "row": [row.engine, row.use_depth, row.use_poses], "size": SIZE}
    settings |= {"scenes": [item.name for item in scenes.references], "prompts": {k: list(v) for k, v in scenes.prompts.items()}}
    settings["config"] = replace(row.config(weights), model=ModelConfig(name=row.engine, threads=1)).to_dict()
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    if row.network:
        path = weights if weights and row.network == MINI else SHIPPED[row.network]
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()[:16]


def pictured(scenes: SceneSet) -> list[SceneReference]:
    """The scenes that are shown for every row, evenly spread."""
    count = min(NUM_PICTURED, len(scenes.references))
    return [scenes.references[index * len(scenes.references) // count] for index in range(count)]


def write_row_picture(path: Path, row: Row, scenes: SceneSet, weights: str) -> None:
    """The pictured scenes side by side, two views of each below one another, with the row's instances."""
    evaluator = scene_worker(row.config(weights), row.protocol({}), SIZE)
    columns = []
    for reference in pictured(scenes):
        scene = reference.read()
        result = evaluator.process(scene)
        objects = evaluate_result(result, scene, poses_given=row.use_poses).objects
        columns.append(instance_pictures(scene, result, objects, TILE_WIDTH, named=False))
    _write_columns(path, columns)


def write_truth_picture(path: Path, row: Row, scenes: SceneSet, weights: str) -> None:
    """The same scenes and views with the true instances; `row` says at which size."""
    evaluator: SceneEvaluator = scene_worker(row.config(weights), row.protocol({}), SIZE)
    columns = []
    for reference in pictured(scenes):
        scene = reference.read()
        columns.append(true_instance_pictures(scene, evaluator.process(scene), TILE_WIDTH, named=False))
    _write_columns(path, columns)


def _write_columns(path: Path, columns: Sequence[Sequence[np.ndarray]]) -> None:
    tiles = [pictures[min(view, len(pictures) - 1)] for view in PICTURED_VIEWS for pictures in columns]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(overlays.montage(tiles, len(columns), gap=4)).save(path, quality=JPEG_QUALITY)
