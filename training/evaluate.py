"""Held-out figures of `pan3d-mini`, cheap enough to run during training.

python -m training.evaluate --data DIR --checkpoint DIR/last.pt --scenes 240
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pan3d_core.models.mini import MiniOutputs, PanMini
from pan3d_core.models.mini_decode import decode_scene
from training.augment import plain_inputs
from training.datasets import SceneBatch, ShardSet
from training.devices import to_device
from training.targets import MAX_DEPTH_M, MIN_DEPTH_M, scene_targets
from training.text_targets import TextTargets, load_text_targets

MIN_TRUE_CELLS = 8  # an object counts when at least this many half-resolution cells of all views together show it
REACH_M = 1.5  # depth figures are taken where the truth is nearer: objects and table


@dataclass(frozen=True)
class MiniFigures:
    """Class-agnostic AP of masks over all views, depth errors on objects and table, names of matched masks."""

    scenes: int
    objects: int
    ap50: float
    ap25: float
    recall50: float  # share of the objects that any surviving mask covers with IoU > 0.5
    abs_rel: float
    abs_rel_objects: float
    kind_accuracy: float  # of the masks that match an object with IoU > 0.5


def average_precision(hits: list[tuple[float, bool]], objects: int) -> float:
    """Area under the precision-recall curve (precision made monotone) of (score, is hit) pairs."""
    if not objects or not hits:
        return 0.0
    order = sorted(hits, key=lambda item: -item[0])
    hit = np.cumsum([item[1] for item in order])
    precision = hit / np.arange(1, len(order) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    recall = np.concatenate([[0.0], hit / objects])
    return float((np.diff(recall) * precision).sum())


def match_masks(masks: Tensor, truth: Tensor, threshold: float) -> list[int]:
    """For each of (K, N) bool masks, best first, the index of the yet unclaimed true mask (G, N) with the highest IoU above
    the threshold, or -1."""
    if not len(masks) or not len(truth):
        return [-1] * len(masks)
    overlap = masks.float() @ truth.float().T
    iou = overlap / (masks.sum(-1)[:, None] + truth.sum(-1)[None] - overlap).clamp_min(1)
    matches = []
    for row in iou:
        best = int(row.argmax())
        matched = bool(row[best] > threshold)
        matches.append(best if matched else -1)
        if matched:
            iou[:, best] = -1
    return matches


class FigureSums:
    """Running sums over scenes."""

    def __init__(self) -> None:
        self.hits: dict[float, list[tuple[float, bool]]] = {0.25: [], 0.5: []}
        self.scenes = self.objects = self.named = self.matched = 0
        self.errors: list[float] = []
        self.object_errors: list[float] = []

    def add(self, outputs: MiniOutputs, batch: SceneBatch, b: int, text: TextTargets) -> None:
        targets = scene_targets(batch.ids[b], batch.kinds[b])
        truth = (targets.masks2 > 0.5).flatten(1)
        large = truth.sum(-1) >= MIN_TRUE_CELLS
        truth, kinds = truth[large], targets.kind[large]
        kept, scores = decode_scene(outputs.queries, b)
        masks = (outputs.queries.mask_logits[b, kept] > 0).flatten(1)
        for threshold, hits in self.hits.items():
            matches = match_masks(masks, truth, threshold)
            hits += [(float(s), m >= 0) for s, m in zip(scores, matches, strict=True)]
        predicted = text.kind_similarity(outputs.queries.text_embedding[b, kept]).argmax(-1)
        for row, match in enumerate(matches):
            if match >= 0:
                self.matched += 1
                self.named += int(predicted[row] == kinds[match])
        self.scenes += 1
        self.objects += len(truth)
        depth = batch.depth[b]
        error = (outputs.depth()[b] - depth).abs() / depth.clamp_min(1e-3)
        valid = (depth > MIN_DEPTH_M) & (depth < min(REACH_M, MAX_DEPTH_M))
        self.errors.append(float(error[valid].mean()))
        on_object = valid & (batch.ids[b] > 0)
        if bool(on_object.any()):
            self.object_errors.append(float(error[on_object].mean()))

    def figures(self) -> MiniFigures:
        return MiniFigures(
            scenes=self.scenes, objects=self.objects,
            ap50=average_precision(self.hits[0.5], self.objects), ap25=average_precision(self.hits[0.25], self.objects),
            recall50=sum(hit for _, hit in self.hits[0.5]) / max(self.objects, 1),
            abs_rel=float(np.mean(self.errors)), abs_rel_objects=float(np.mean(self.object_errors or [0.0])),
            kind_accuracy=self.named / max(self.matched, 1),
        )  # fmt: skip


@torch.no_grad()
def evaluate(
    model: PanMini,
    shards: ShardSet,
    text: TextTargets,
    *,
    scenes: int,
    posed: bool,
    views: int = 4,
    bfloat16: bool = True,
) -> MiniFigures:
    """Figures over the first `scenes` scenes of `shards`; the model is left in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    sums = FigureSums()
    for start in range(0, min(scenes, len(shards)), 4):
        indices = np.arange(start, min(start + 4, scenes, len(shards)))
        batch = shards.batch(indices, [np.arange(views)] * len(indices))
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            outputs = model(to_device(plain_inputs(batch, posed=posed), device))
        outputs = to_device(outputs, torch.device("cpu"))
        for b in range(len(indices)):
            sums.add(outputs, batch, b, text)
    return sums.figures()


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a training checkpoint (last.pt)")
    parser.add_argument("--scenes", type=int, default=240)
    parser.add_argument("--views", type=int, default=4)
    arguments = parser.parse_args()
    text = load_text_targets(arguments.data / "text_embeddings.npz")
    state = torch.load(arguments.checkpoint, map_location="cpu", weights_only=True)
    model = PanMini(**state["architecture"])
    model.load_state_dict(state["ema"])
    shards = ShardSet(arguments.data / "val")
    for posed in (True, False):
        figures = evaluate(model, shards, text, scenes=arguments.scenes, posed=posed, views=arguments.views)
        print(json.dumps({"posed": posed, "views": arguments.views, **asdict(figures)}))


if __name__ == "__main__":
    main()
