"""Every engine with an embedded checkpoint, and the baselines, on the same scenes and machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from pan3d_eval.execution import Failure
from pan3d_eval.figures import figure_table
from pan3d_eval.runner import Evaluation, EvaluationProtocol, SceneEvaluation, evaluate_result
from pan3d_eval.scoreboard.board import Measurement, TitledRow
from pan3d_eval.workers import scene_worker

MEASURE_VERSION = 2  # to be raised whenever a figure or a baseline changes its meaning: kept rows are then measured again
SIZE = (144, 112)  # pixels of the scenes, at which every row works and is measured
NUM_PICTURED, PICTURED_VIEWS, TILE_WIDTH, JPEG_QUALITY = 5, (0, 2), 220, 78


@dataclass(frozen=True)
class SceneSet:
    """Scenes that all rows see."""

    key: str
    title: str
    references: tuple[SceneReference, ...]
    prompts: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Row(TitledRow):
    """One line of the board."""

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

    def measurement(self, scenes: SceneSet, weights: str) -> Measurement:
        """What it measures on the scenes."""
        settings = {"version": MEASURE_VERSION, "row": [self.engine, self.use_depth, self.use_poses], "size": SIZE}
        settings |= {"scenes": [item.name for item in scenes.references]}
        settings |= {"prompts": {kind: list(texts) for kind, texts in scenes.prompts.items()}}
        settings["config"] = replace(self.config(weights), model=ModelConfig(name=self.engine, threads=1)).to_dict()
        own_weights = weights and self.network == MINI
        return Measurement(
            name=f"{self.key}-{scenes.key}",
            settings=settings,
            files=[("", Path(weights) if own_weights else SHIPPED[self.network])] if self.network else [],
            make_worker=partial(scene_worker, self.config(weights), self.protocol(scenes.prompts), SIZE),
            items=scenes.references,
            summary=_summary,
        )


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


def _summary(outcomes: Sequence[SceneEvaluation | Failure]) -> tuple[dict[str, float], dict[str, str]]:
    figures = figure_table(Evaluation.of(outcomes))
    return {item.name: item.value for item in figures}, {item.name: item.protocol for item in figures}


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
    evaluator = scene_worker(row.config(weights), row.protocol({}), SIZE)
    columns = []
    for reference in pictured(scenes):
        scene = reference.read()
        columns.append(true_instance_pictures(scene, evaluator.process(scene), TILE_WIDTH, named=False))
    _write_columns(path, columns)


def _write_columns(path: Path, columns: Sequence[Sequence[np.ndarray]]) -> None:
    tiles = [pictures[min(view, len(pictures) - 1)] for view in PICTURED_VIEWS for pictures in columns]
    with written_whole(path) as part:
        Image.fromarray(overlays.montage(tiles, len(columns), gap=4)).save(part, quality=JPEG_QUALITY)
