"""Instance AP in the terms of the ScanNet benchmarks: truth as one number per vertex, label * 1000 + instance.

ScanNet (18 classes, nyu40 numbers), ScanNet200 (198 classes, numbers of its own; wall and floor are no instances) and
ScanNet++ (84 classes, numbers are lines of the published list of semantic classes) are scored by one program. A vertex whose
label is not among the valid ones is void; a number below 1000 marks a group.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Literal

import torch
from torch import Tensor

from pan3d_core.views.scan_truth import MeshTruth
from pan3d_eval.metrics.average_precision import DEFAULT_MIN_POINTS, SceneOverlaps, Walk, measure_overlaps

LABEL_STEP = 1000  # instances per label
_LABEL_SETS = {"scannet": "scannetv2", "scannet200": "scannet200"}


def benchmark_labels(benchmark: Literal["scannet", "scannet200"]) -> dict[int, str]:
    """Label number -> name of the instance classes: 18 of "scannet", 198 of "scannet200"."""
    if benchmark not in _LABEL_SETS:
        raise ValueError(f"benchmark: expected one of {', '.join(_LABEL_SETS)}, got {benchmark!r}")
    table = json.loads(files("pan3d_core.engines").joinpath("segvggt_classes.json").read_text(encoding="utf-8"))
    entry = table[_LABEL_SETS[benchmark]]
    return dict(zip(entry["dataset_ids"], entry["names"], strict=True))


def listed_labels(semantic_names: Iterable[str], instance_names: Iterable[str]) -> dict[int, str]:
    """Number the classes of ScanNet++.

    Args:
        semantic_names: The published list of 100 semantic classes, whose places are the numbers.
        instance_names: The published list of 84 instance classes.

    Returns:
        Label number -> name of the instance classes.

    Raises:
        ValueError: An instance class is no semantic one.
    """
    number_of = {name: number for number, name in enumerate(semantic_names)}
    chosen = list(instance_names)
    unknown = [name for name in chosen if name not in number_of]
    if unknown:
        raise ValueError(f"instance_names: expected names of semantic classes, got {', '.join(unknown)}")
    return {number_of[name]: name for name in chosen}


def measure_encoded(
    masks: Tensor,
    scores: Tensor,
    encoded_ids: Tensor,
    labels: Iterable[int],
    *,
    predicted_labels: Tensor | None = None,
    min_points: int = DEFAULT_MIN_POINTS,
    walk: Walk = "file",
) -> SceneOverlaps:
    """Reduce one scene to its overlaps, for `instance_ap`.

    Args:
        masks: (P, N) bool.
        scores: (P,), higher is surer.
        encoded_ids: (N,) integers, label * 1000 + instance.
        labels: The valid label numbers.
        predicted_labels: (P,) label numbers, those that are not valid are dropped; None = all are kept, for the class-agnostic
            figure alone.
        min_points: Predictions under so many elements are dropped.
        walk: As for `measure_overlaps`.

    Returns:
        P' predictions that stay against the instances with a valid label; elements with another one are void.

    Raises:
        ValueError: The shapes disagree, or `walk` is not known.
    """
    valid = torch.tensor(sorted(labels), dtype=torch.int64)
    encoded_ids = encoded_ids.cpu().long()
    is_valid = torch.isin(encoded_ids.div(LABEL_STEP, rounding_mode="floor"), valid)
    rows = torch.arange(len(masks))
    if predicted_labels is not None:
        rows = rows[torch.isin(predicted_labels.cpu().long(), valid)]
        predicted_labels = predicted_labels.cpu()[rows]
    kept = masks if len(rows) == len(masks) else masks[rows.to(masks.device)]
    overlaps = measure_overlaps(
        kept,
        scores[rows.to(scores.device)],
        torch.where(is_valid, encoded_ids, 0),
        predicted_classes=predicted_labels,
        class_of_id={number: number // LABEL_STEP for number in torch.unique(encoded_ids[is_valid]).tolist()},
        void=~is_valid,
        min_points=min_points,
        walk=walk,
    )
    return replace(
        overlaps,
        predicted_rows=rows.numpy()[overlaps.predicted_rows],
        true_is_group=overlaps.true_ids < LABEL_STEP,
    )


def measure_on_vertices(
    masks: Tensor,
    scores: Tensor,
    mesh: MeshTruth,
    protocol: str,
    *,
    predicted_labels: Tensor | None = None,
    walk: Walk = "file",
) -> SceneOverlaps:
    """Do what `measure_encoded` does on the vertices of a scan.

    Args:
        masks: (Q, N) bool.
        scores: (Q,), higher is surer.
        mesh: The scan with N vertices.
        protocol: How the masks came there.
        predicted_labels: (Q,) label numbers of the data set; None = all are kept.
        walk: As for `measure_overlaps`.

    Returns:
        Overlaps that bear the protocol's name.

    Raises:
        ValueError: The shapes disagree, or `walk` is not known.
    """
    overlaps = measure_encoded(masks, scores, mesh.ids, mesh.class_of_label, predicted_labels=predicted_labels, walk=walk)
    return replace(overlaps, protocol=protocol)


@dataclass(frozen=True)
class VertexMasks:
    """Q masks on the N vertices of a scan, whatever transfer brought them there."""

    masks: Tensor  # (Q, N) bool
    protocol: str  # the transfer's name, which its figures bear

    def overlaps(
        self, scores: Tensor, mesh: MeshTruth, predicted_labels: Tensor | None = None, walk: Walk = "file"
    ) -> SceneOverlaps:
        """Compare with the truth, for `instance_ap`; `predicted_labels` (Q,) are label numbers of the data set."""
        return measure_on_vertices(self.masks, scores, mesh, self.protocol, predicted_labels=predicted_labels, walk=walk)
