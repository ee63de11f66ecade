"""SegVGGT: VGGT's tokens read by object queries; low-rank corrections or full fine-tuning, at any size.

Settings (`model:` in the file) are the fields of `SegVggtSettings`; the defaults are the published size. `start_from` takes
a training checkpoint, an exported file, an official SegVGGT checkpoint, whose class head becomes one of the run's own classes, or
an official VGGT one (the query branch then starts fresh); `training.families.starting.segvggt` says what is kept and what is new.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pan3d_core.engines.parts.decoding import DecodingThresholds
from pan3d_core.models.losses import segvggt_losses
from pan3d_core.models.matching import InstanceTargets, match_queries, segvggt_cost, targets_from_ids
from pan3d_core.models.vggt.files import build_segvggt
from pan3d_core.models.vggt.network import VGGT, VggtOutput
from pan3d_core.models.vggt.segvggt import SegVGGT, SegVggtOutput
from pan3d_core.structures import present
from training.data.arrays import SceneBatch, training_vocabulary
from training.data.augment import jitter_colors
from training.data.targets.geometry import geometry_targets
from training.families.family import FamilyEntry, Figures, ParameterGroup, best_of, groups_by_origin
from training.families.held_out import SizedData
from training.families.segvggt_settings import SegVggtSettings
from training.families.starting.segvggt import start_segvggt
from training.judge.masks import MIN_MASK_PIXELS, RankedMasks, mask_figures, mask_pictures, ranked_masks
from training.losses.geometry import GEOMETRY_WEIGHTS, camera_loss, depth_loss, distillation_losses, with_geometry
from training.losses.void import heard, known_pixels
from training.run.devices import to_device
from training.settings import OptimizerConfig, TrainConfig

_log = logging.getLogger("pan3d.training")


@dataclass(frozen=True)
class SegVggtSample:
    """A batch to learn from."""

    images: Tensor  # (B, S, 3, H, W) RGB 0..1
    truth: SceneBatch


def scene_instances(ids: Tensor, classes: Tensor, mask_hw: tuple[int, int]) -> tuple[InstanceTargets, Tensor]:
    """The instances of one scene at mask size, and where anything is known.

    Args:
        ids: (S, H, W) int64, 0 = none.
        classes: (K,) int64, class of object id k in place k; -1 = void.
        mask_hw: Rows and columns of the masks.

    Returns:
        Instances whose masks are (G, N) over the N known pixels of all views, and which pixels these are, (S, h, w) bool.
    """
    void = (ids > 0) & (classes[ids] < 0)
    targets = targets_from_ids(torch.where(void, 0, ids), torch.where(ids > 0, classes[ids], -1), mask_hw)
    known = known_pixels(void, mask_hw)
    return replace(targets, masks=targets.masks[:, known]), known


class SegVggtFamily:
    """See `Family`."""

    def __init__(self, config: TrainConfig) -> None:
        kinds = training_vocabulary(config.data)["kinds"]
        settings = SegVggtSettings.from_dict(config.model).of_kinds(kinds)
        if settings.geometry == "teacher" and not config.start_from:
            raise ValueError("start_from: expected the weights of a pretrained VGGT for model.geometry=teacher, got none")
        self.settings, self.start_from = settings, config.start_from
        self.class_of_kind = torch.tensor([settings.classes.index(k) if k in settings.classes else -1 for k in kinds])
        self.architecture: dict[str, Any] = settings.architecture()
        self.data = SizedData(config, (settings.height, settings.width))
        self.dtype = config.execution.dtype

    @cached_property
    def teacher(self) -> VGGT:
        """The frozen network that a run started from."""
        whole = self.build()
        start_segvggt(whole, self.settings, self.start_from)
        return whole.vggt.requires_grad_(False).eval()

    def build(self) -> SegVGGT:
        model = build_segvggt(self.settings, self.settings.num_classes)
        model.vggt.aggregator.patch_embed.requires_grad_(self.settings.train_encoder)
        if self.settings.frozen:
            model.vggt.requires_grad_(False)
        return model

    def load(self, model: SegVGGT, path: str) -> None:
        for line in start_segvggt(model, self.settings, path).lines():
            _log.info("%s", line)

    def groups(self, model: SegVGGT, optimizer: OptimizerConfig) -> list[ParameterGroup]:
        return groups_by_origin(model, lambda name: name.startswith("vggt."), optimizer)

    def blocks(self, model: SegVGGT) -> list[nn.Module]:
        aggregator, decoder = model.vggt.aggregator, model.query_decoder
        encoder = list(aggregator.patch_embed.blocks)
        return [*encoder, *aggregator.frame_blocks, *aggregator.global_blocks, *decoder.cross_blocks, *decoder.self_blocks]

    def prepare(self, batch: SceneBatch, generator: Generator) -> SegVggtSample:
        batch = self.data.drawn(batch)
        images = batch.images
        if self.data.augmentation is not None:
            images = jitter_colors(images, self.data.augmentation, generator)
        return SegVggtSample(images, batch)

    def forward(self, model: nn.Module, sample: SegVggtSample, dtype: torch.dtype | None) -> SegVggtOutput:
        return model(sample.images, aggregator_dtype=dtype, frame_attention=True)

    def losses(self, outputs: SegVggtOutput, sample: SegVggtSample, progress: float) -> dict[str, Tensor]:
        """SegVGGT's objective: the mean over the scenes of `segvggt_losses`, and the losses of cameras and depth."""
        mask_logits = outputs.mask_logits().float()
        attention = present("SegVggtOutput.frame_attention", outputs.frame_attention)
        scenes = []
        for b, ids in enumerate(sample.truth.ids):
            classes = self._classes(sample.truth.kinds[b])
            targets, known = scene_instances(ids, classes, (mask_logits.shape[-2], mask_logits.shape[-1]))
            rows, logits = heard(mask_logits[b], known)
            own = (logits, outputs.class_logits[b, rows].float(), attention[:, b, rows].float())
            with torch.no_grad():
                match = match_queries(segvggt_cost(own, targets, self.settings.cost))
            truth = (targets.masks, targets.class_id, targets.visibility)
            scenes.append(segvggt_losses(own, truth, match, self.settings.loss))
        terms = {name: torch.stack([terms[name] for terms in scenes]).mean() for name in scenes[0]}
        if self.settings.geometry == "none":
            return terms
        return with_geometry(terms, self._geometry_losses(outputs.geometry, sample))

    def _classes(self, kinds: Tensor) -> Tensor:
        """(K,) kinds of a scene's objects -> their classes, -1 for those that are not learnt."""
        return torch.where(kinds >= 0, self.class_of_kind.to(kinds.device)[kinds.clamp_min(0)], -1)

    def _geometry_losses(self, geometry: VggtOutput, sample: SegVggtSample) -> dict[str, Tensor]:
        """`camera`, `depth` and their weighted `total`."""
        if self.settings.geometry == "teacher":
            with torch.no_grad():
                answer = self.teacher.to(sample.images.device)(sample.images, aggregator_dtype=self.dtype)
            return distillation_losses(geometry, answer)
        truth = geometry_targets(sample.truth, self.settings.max_depth_m)
        camera = camera_loss(geometry.pose_encodings, truth.pose_encodings)
        maps = (geometry.depth, geometry.depth_conf, truth.depth, truth.valid)
        depth_map, confidence, true_depth, valid = (m.flatten(0, 1) for m in maps)
        depth = torch.stack(list(depth_loss(depth_map, confidence, true_depth, valid).values())).sum()
        return {
            "camera": camera, "depth": depth, "total": GEOMETRY_WEIGHTS.camera * camera + GEOMETRY_WEIGHTS.depth * depth,
        }  # fmt: skip

    def _answer(self, model: SegVGGT, index: int) -> RankedMasks:
        """What the network says of a held-out scene."""
        batch = self.data.scene(index)
        batch = replace(batch, kinds=self._classes(batch.kinds[0])[None])
        images = to_device(batch.images, next(model.parameters()).device)
        outputs = model(images, aggregator_dtype=self.dtype)
        thresholds = DecodingThresholds(min_pixels=MIN_MASK_PIXELS, nms_iou=0.5, class_agnostic=True)
        return ranked_masks(batch, outputs.geometry.depth[0], outputs.class_logits[0], outputs.mask_logits, thresholds)

    @torch.no_grad()
    def evaluate(self, model: SegVGGT, scenes: int) -> list[Figures]:
        model.eval()
        return [{**mask_figures((self._answer(model, index) for index in self.data.shown(scenes)), named=True)}]

    def score(self, figures: list[Figures]) -> float:
        return best_of(figures, "ap50")

    @torch.no_grad()
    def pictures(self, model: SegVGGT, scenes: int) -> dict[str, np.ndarray]:
        model.eval()
        return mask_pictures(self._answer(model, index) for index in self.data.shown(scenes))


SEGVGGT = FamilyEntry(
    SegVggtFamily,
    {
        "optimizer": {
            "learning_rate": 2e-4, "lora_learning_rate": 6e-5, "pretrained_learning_rate": 6e-5, "beta2": 0.999, "clip_norm": 1.0,
        },
        "schedule": {"warmup_steps": 1000},
    },
)  # fmt: skip
