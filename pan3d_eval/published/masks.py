"""An engine's instances on the vertices of scans, as the papers of SegVGGT and FAST3DIS measure them: one scene at a time.

The engine sees colour and intrinsics. All of its queries are ranked: no threshold on scores, no suppression. Without names a
query has one entry, scored as the engine scores it; with names each of the best pairs of query and class has one, scored by the
query's score times the class's share in what the query believes to be an object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.engines import Engine
from pan3d_core.labels import LabelSpace
from pan3d_core.settings import did_you_mean
from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.scan_truth import MeshTruth
from pan3d_core.views.scene_folder import Scene, SceneTruth
from pan3d_eval.datasets.scannet import CLASSES as SCANNET_CLASSES
from pan3d_eval.datasets.scannet import read_annotation
from pan3d_eval.execution import Failure
from pan3d_eval.metrics.average_precision import InstanceAp, SceneOverlaps, instance_ap
from pan3d_eval.protocols.mesh_evaluation import posed_query_masks, scan_of, unposed_masks
from pan3d_eval.protocols.scannet import LABEL_STEP, VertexMasks, benchmark_labels
from pan3d_eval.published.protocol import MaskSetting
from pan3d_eval.published.scenes import require_views
from pan3d_eval.workers import evaluated_pipeline

MAX_INSTANCES = 1000  # more than any network here has queries


@dataclass(frozen=True)
class MaskScores:
    """One scene."""

    name: str
    plain: SceneOverlaps
    named: SceneOverlaps | None  # None where the engine names nothing


def mask_figures(scenes: Sequence[MaskScores]) -> dict[str, float]:
    """AP over scenes by the names that tables of data use; those with names only where the engine has such."""
    figures = {**_ap_figures(instance_ap([scene.plain for scene in scenes]), "")}
    named = [scene.named for scene in scenes if scene.named is not None]
    if named:
        figures |= _ap_figures(instance_ap(named, class_aware=True), "named ")
    return figures


def of_one_protocol(scenes: Sequence[tuple[str, MaskScores]]) -> tuple[list[tuple[str, MaskScores]], list[Failure]]:
    """Leave out scenes that were measured otherwise than most, such as those without over-segmentation.

    Args:
        scenes: Names and scores.

    Returns:
        Those of the most frequent way, and a failure for each of the others.
    """
    ways = Counter(scores.plain.protocol for _, scores in scenes)
    if len(ways) < 2:
        return list(scenes), []
    ((most, _),) = ways.most_common(1)
    others = [
        Failure(name, f"scene {name}: expected to be measured as most are ({most}), got {scores.plain.protocol}")
        for name, scores in scenes
        if scores.plain.protocol != most
    ]
    return [item for item in scenes if item[1].plain.protocol == most], others


def _ap_figures(found: InstanceAp, prefix: str) -> dict[str, float]:
    values = {"ap": found.ap, "ap50": found.ap50, "ap25": found.ap25, "ap_with_95": found.ap_with_95}
    return {f"{prefix}{name}": value for name, value in values.items()} | {f"{prefix}instances": float(found.num_true)}


@dataclass(frozen=True)
class MaskEvaluator:
    """From a scene, and the folder with its labels, which ScanNet200 reads anew, to its `MaskScores`."""

    engine: Engine
    setting: MaskSetting
    classes: tuple[str, ...] = ()  # those of the data set that count; empty = all

    def __post_init__(self) -> None:
        if self.engine.facts.needs_depth:
            raise ValueError("--engine: expected one that works from colour alone, as published, got one that needs depth")
        if not self.engine.facts.finds_objects:
            raise ValueError("--engine: expected one that looks for objects, got one of geometry alone")
        known = taxonomy_names(self.setting)
        own = self.engine.facts.labels.names
        if self.setting.named and known and own and not set(known) & set(own):
            expected = f"one that names classes of {self.setting.taxonomy} such as {known[0]}"
            raise ValueError(f"--engine: expected {expected}, got {', '.join(own[:5])}")

    @torch.inference_mode()
    def measure(self, scene: Scene, folder: Path) -> MaskScores:
        """Look at a scene and compare. Raises `ValueError` naming scene and field where something is missing or does not fit."""
        scene = self._prepared(scene, folder)
        mesh, _ = scan_of(scene)
        views = tuple(replace(view, depth=None, cam_from_world=None) for view in scene.views)
        batch = preprocess(views, self.engine.facts.preprocess)
        reconstruction, instances = self.engine(batch)
        moved = self._on_vertices(reconstruction, instances, batch, scene)
        plain = moved.overlaps(instances.scores.cpu(), mesh, walk="score")
        if not self.setting.named or instances.class_logits is None or not len(instances.labels):
            return MaskScores(scene.name, plain, None)
        rows, classes, scores = ranked_pairs(instances, self.setting.top_pairs)
        labels = label_numbers(instances.labels, scene.known_truth())[classes]
        named = replace(moved, masks=moved.masks[rows]).overlaps(scores, mesh, labels, walk="score")
        return MaskScores(scene.name, plain, named)

    def _on_vertices(self, reconstruction: Reconstruction, instances: InstanceSet, batch: ViewBatch, scene: Scene) -> VertexMasks:
        if self.setting.transfer == "posed":
            return posed_query_masks(instances, batch, scene)
        return unposed_masks(reconstruction, pixel_owners(instances, batch.hw), len(instances.scores), scene)

    def _prepared(self, scene: Scene, folder: Path) -> Scene:
        """The scene with the truth in the classes of the setting."""
        require_views(scene, self.setting.min_views)
        mesh, _ = scan_of(scene)
        if self.setting.transfer == "posed" and all(depth is None for depth in mesh.sensor_depth):
            raise ValueError(f"scene {scene.name}: depth: expected it of one view at least, got none")
        truth = scannet200_truth(scene.known_truth(), folder) if self.setting.taxonomy == "scannet200" else scene.known_truth()
        truth = self._counted(truth, scene.name)
        return replace(scene, truth=truth)

    def _counted(self, truth: SceneTruth, name: str) -> SceneTruth:
        """With those classes alone that count; `ValueError` where the list does not fit the labels."""
        mesh = truth.mesh
        assert mesh is not None, "scan_of has looked"
        there = [truth.labels.names[index] for index in mesh.class_of_label.values()]
        for wanted in self.classes:
            if wanted not in there:
                got = f"{wanted!r}{did_you_mean(wanted, there)}"
                raise ValueError(f"scene {name}: --classes: expected instance classes of the data set, got {got}")
        if self.classes:
            kept = {label: index for label, index in mesh.class_of_label.items() if truth.labels.names[index] in self.classes}
            return replace(truth, mesh=replace(mesh, class_of_label=kept))
        if self.setting.num_classes not in (None, len(there)):
            raise ValueError(
                f"scene {name}: labels: expected the {self.setting.num_classes} classes of the table, got {len(there)}; "
                "--classes names the file of those that shall count"
            )
        return truth


def mask_evaluator(config: ModelConfig, setting: MaskSetting, classes: tuple[str, ...] = ()) -> MaskEvaluator:
    """Build the engine so that it drops nothing, and what measures it. Errors as `build_engine` and `MaskEvaluator`."""
    open_config = replace(config, min_score=0.0, nms_iou=1.0, max_instances=MAX_INSTANCES)
    return MaskEvaluator(evaluated_pipeline(PipelineConfig(model=open_config)).engine, setting, classes)


def taxonomy_names(setting: MaskSetting) -> tuple[str, ...]:
    """Names of the classes that count; empty where the data set's files say them."""
    if setting.taxonomy == "scannet200":
        return tuple(benchmark_labels("scannet200").values())
    return tuple(SCANNET_CLASSES[number] for number in benchmark_labels("scannet")) if setting.taxonomy == "scannetv2" else ()


def scannet200_truth(truth: SceneTruth, folder: Path) -> SceneTruth:
    """The truth of a ScanNet scene on its vertices in the 198 instance classes of ScanNet200, whose numbers are the column `id`
    of the table of labels."""
    names = benchmark_labels("scannet200")
    annotation = read_annotation(folder, "id")
    mesh: MeshTruth | None = truth.mesh
    assert mesh is not None, "ScanNet always has one"
    ids = torch.from_numpy(annotation.label * LABEL_STEP + annotation.instance)
    classes = {number: index for index, number in enumerate(names)}
    return replace(truth, labels=LabelSpace.things(tuple(names.values())), mesh=replace(mesh, ids=ids, class_of_label=classes))


def ranked_pairs(instances: InstanceSet, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rank (query, class) pairs.

    Args:
        instances: Q of them with class logits.
        count: The most pairs, those with the highest class probability.

    Returns:
        Row, class and score of each, (P,): the row's score times the class's probability among objects.
    """
    assert instances.class_logits is not None, "the caller has looked"
    probs = instances.class_logits.float().cpu().softmax(-1)
    flat = probs[:, :-1].flatten()
    _, order = flat.topk(min(count, len(flat)))
    rows, classes = order // (probs.shape[1] - 1), order % (probs.shape[1] - 1)
    share = probs[rows, classes] / (1 - probs[rows, -1]).clamp_min(1e-12)
    return rows, classes, instances.scores.cpu()[rows] * share


def label_numbers(labels: LabelSpace, truth: SceneTruth) -> Tensor:
    """(C,) the data set's label number of each of an engine's classes, 0 for names that it does not score."""
    assert truth.mesh is not None, "the caller has looked"
    numbers = {truth.labels.names[index]: number for number, index in truth.mesh.class_of_label.items()}
    return torch.tensor([numbers.get(name, 0) for name in labels.names], dtype=torch.int64)


def pixel_owners(instances: InstanceSet, hw: tuple[int, int]) -> Tensor:
    """(S, h, w) int64 row of the likeliest mask that has each pixel inside, -1 = none, at the size of the reconstruction."""
    logits = instances.mask_logits.float().cpu()
    best = logits.new_zeros((logits.shape[1], *hw))
    owner = torch.full(best.shape, -1)
    for row, mask in enumerate(logits):
        sized = torch.nn.functional.interpolate(mask[:, None], size=hw, mode="bilinear", align_corners=False)[:, 0]
        better = sized > best
        best, owner = torch.where(better, sized, best), torch.where(better, row, owner)
    return owner
