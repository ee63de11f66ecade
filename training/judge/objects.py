"""Held-out figures of `pan3d-mini` and `pan3d-mini-fast3dis`, cheap enough to run during training.

python -m training.judge.objects --data DIR --checkpoint DIR/last.pt --scenes 240
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from pan3d_core.engines.mini import build_network
from pan3d_core.models.mini.calibration import MiniInputs
from pan3d_core.models.mini.decode import ScoreCalibration, count_repeats, find_instances
from pan3d_core.models.mini.fast3dis import Fast3disMini
from pan3d_core.models.mini.network import MiniOutputs, PanMini
from pan3d_eval.metrics.average_precision import SceneOverlaps, instance_ap, measure_overlaps
from pan3d_eval.metrics.calibration import expected_calibration_error
from training.data.arrays import SceneBatch, ShardSet
from training.data.augment import plain_inputs
from training.data.targets.mini import MAX_DEPTH_M, MIN_DEPTH_M, SceneTargets, scene_targets
from training.data.targets.text import TextTargets, load_text_targets
from training.losses.void import known_pixels
from training.run.checkpoints import read_state
from training.run.devices import to_device
from training.run.refusing import refusing

HELD_OUT_VIEWS = 4  # of every held-out scene
MIN_TRUE_CELLS = 8  # an object counts when at least this many half-resolution cells of all views together show it
REACH_M = 1.5  # depth figures are taken where the truth is nearer: objects and table


@dataclass(frozen=True)
class MiniFigures:
    """Class-agnostic AP of masks over all views (rules: `pan3d_eval.metrics.average_precision`), depth errors on objects and
    table, names of matched masks."""

    scenes: int
    objects: int
    ap50: float
    ap25: float
    recall50: float  # share of the objects that any surviving mask covers with IoU > 0.5
    ap: float  # mean over IoU > 0.50 to 0.90
    repeats: float  # sure queries per scene whose mask overlaps a better one's, which suppression takes out
    abs_rel: float
    abs_rel_objects: float
    kind_accuracy: float  # of the masks that match an object with IoU > 0.5
    ece: float = math.nan  # of the scores against IoU > 0.5


# A batch of scenes, the inputs made of it, and a number to draw chance from -> the truth to compare with, and what is shown.
Vary: TypeAlias = Callable[[SceneBatch, MiniInputs, int], tuple[SceneBatch, MiniInputs]]


@dataclass(frozen=True)
class TrueCells:
    """What the N half-resolution cells of all views of one scene show."""

    targets: SceneTargets
    inside: Tensor  # (G, N) bool, the cells of each object; of one pixel grid, so no cell is in two of them
    ids: Tensor  # (N,) int64: 0 = none, g + 1 = object g
    void: Tensor  # (N,) bool: nobody knows

    @classmethod
    def of(cls, batch: SceneBatch, b: int) -> TrueCells:
        """Those of scene `b`."""
        targets = scene_targets(batch.ids[b], batch.kinds[b])
        inside = (targets.masks2 > 0.5).flatten(1)
        ids = (inside * torch.arange(1, len(inside) + 1)[:, None]).sum(0)
        void = ~known_pixels(batch.void[b], (batch.ids.shape[-2] // 2, batch.ids.shape[-1] // 2)).flatten()
        return cls(targets, inside, ids, void)

    def overlaps(self, masks: Tensor, scores: Tensor) -> SceneOverlaps:
        """Of masks (K, N) bool with scores (K,)."""
        return measure_overlaps(masks, scores, self.ids, void=self.void, min_points=MIN_TRUE_CELLS)


class FigureSums:
    """Running sums over scenes; scores are probabilities where a calibration makes them such."""

    def __init__(self, scores: ScoreCalibration | None = None) -> None:
        self.calibration = scores
        self.overlaps: list[SceneOverlaps] = []
        self.scenes = self.named = self.nameable = self.matched = 0
        self.repeats = 0
        self.scores: list[np.ndarray] = []
        self.right: list[np.ndarray] = []
        self.errors: list[float] = []
        self.object_errors: list[float] = []

    def add(self, outputs: MiniOutputs, batch: SceneBatch, b: int, text: TextTargets) -> None:
        true = TrueCells.of(batch, b)
        kept, scores = find_instances(outputs, b, calibration=self.calibration)
        self.repeats += count_repeats(outputs.queries, b)
        overlaps = true.overlaps((outputs.queries.mask_logits[b, kept] > 0).flatten(1), scores)
        self.overlaps.append(overlaps)
        self.scores.append(overlaps.scores)
        self.right.append(np.asarray((overlaps.ious > 0.5).any(axis=1)))
        predicted = text.kind_similarity(outputs.queries.text_embedding[b, kept]).argmax(-1)
        counted = np.flatnonzero(overlaps.true_sizes >= MIN_TRUE_CELLS)
        for column in counted[(overlaps.ious[:, counted] > 0.5).any(axis=0)]:
            best = overlaps.predicted_rows[overlaps.ious[:, column].argmax()]
            self.matched += 1
            kind = int(true.targets.kind[int(overlaps.true_ids[column]) - 1])
            self.nameable += kind >= 0
            self.named += int(predicted[int(best)]) == kind
        self.scenes += 1
        depth = batch.depth[b]
        error = (outputs.depth()[b] - depth).abs() / depth.clamp_min(1e-3)
        valid = (depth > MIN_DEPTH_M) & (depth < min(REACH_M, MAX_DEPTH_M))
        self.errors.append(float(error[valid].mean()))
        on_object = valid & (batch.ids[b] > 0) & ~batch.void[b]
        if bool(on_object.any()):
            self.object_errors.append(float(error[on_object].mean()))

    def figures(self) -> MiniFigures:
        ap = instance_ap(self.overlaps, min_points=MIN_TRUE_CELLS)
        ap50, ap25, mean_ap = (0.0 if math.isnan(value) else value for value in (ap.ap50, ap.ap25, ap.ap))
        scores, right = np.concatenate([np.zeros(0), *self.scores]), np.concatenate([np.zeros(0, bool), *self.right])
        return MiniFigures(
            scenes=self.scenes, objects=ap.num_true, ap50=ap50, ap25=ap25, recall50=self.matched / max(ap.num_true, 1),
            abs_rel=float(np.mean(self.errors)), abs_rel_objects=float(np.mean(self.object_errors or [0.0])),
            kind_accuracy=self.named / max(self.nameable, 1), ap=mean_ap, repeats=self.repeats / max(self.scenes, 1),
            ece=expected_calibration_error(scores, right).ece,
        )  # fmt: skip


def object_network(model: nn.Module) -> PanMini | Fast3disMini:
    """Return a network whose queries are objects; `ValueError` for another kind, which these figures do not fit."""
    if not isinstance(model, (PanMini, Fast3disMini)):
        raise ValueError(f"checkpoint: expected a network with object queries, got {type(model).__name__}")
    return model


def unvaried(batch: SceneBatch, inputs: MiniInputs, seed: int) -> tuple[SceneBatch, MiniInputs]:
    """Scenes and inputs as they are."""
    return batch, inputs


@torch.no_grad()
def answered(
    model: PanMini | Fast3disMini,
    shards: ShardSet,
    *,
    scenes: int,
    posed: bool,
    views: int = HELD_OUT_VIEWS,
    bfloat16: bool = True,
    vary: Vary = unvaried,
) -> Iterator[tuple[MiniOutputs, SceneBatch, int]]:
    """Let a network answer for held-out scenes; it is left in evaluation mode.

    Args:
        model: The network.
        shards: Held-out scenes.
        scenes: How many of the first scenes.
        posed: Whether the cameras are given.
        views: Of each scene, the first ones.
        bfloat16: Whether products are taken in bfloat16.
        vary: What the network is shown instead of scenes and cameras as they are.

    Yields:
        For each scene what the network says of some scenes, on the CPU, their truth, and which of them is meant.
    """
    model.eval()
    device = next(model.parameters()).device
    for start in range(0, min(scenes, len(shards)), 4):
        indices = np.arange(start, min(start + 4, scenes, len(shards)))
        batch = shards.batch(indices, [np.arange(views)] * len(indices))
        batch, inputs = vary(batch, plain_inputs(batch, posed=posed), start)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            outputs = model(to_device(inputs, device))
        outputs = to_device(outputs, torch.device("cpu"))
        for b in range(len(indices)):
            yield outputs, batch, b


def measured(
    answers: Iterable[tuple[MiniOutputs, SceneBatch, int]], text: TextTargets, scores: ScoreCalibration | None = None
) -> FigureSums:
    """Measure what a network says of held-out scenes.

    Args:
        answers: As `answered` gives them.
        text: Embedded descriptions of the kinds.
        scores: Of the network's file; None takes scores as the network gives them.

    Returns:
        What is known of each scene, and of all by `figures()`.
    """
    sums = FigureSums(scores)
    for outputs, batch, b in answers:
        sums.add(outputs, batch, b, text)
    return sums


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a training checkpoint (last.pt)")
    parser.add_argument("--scenes", type=int, default=240)
    parser.add_argument("--views", type=int, default=HELD_OUT_VIEWS)
    arguments = parser.parse_args()
    text = load_text_targets(arguments.data / "text_embeddings.npz")
    state = read_state(arguments.checkpoint)
    model = object_network(build_network(state["family"], state["architecture"]))
    model.load_state_dict(state["ema"])
    shards = ShardSet(arguments.data / "val")
    for posed in (True, False):
        answers = answered(model, shards, scenes=arguments.scenes, posed=posed, views=arguments.views)
        figures = measured(answers, text).figures()
        print(json.dumps({"posed": posed, "views": arguments.views, **asdict(figures)}))


if __name__ == "__main__":
    with refusing("objects"):
        main()
