"""`fast3dis`: FAST3DIS on a frozen Depth Anything 3 or MapAnything with low-rank corrections, at any size.

Settings (`model:` in the file) are the fields of `Fast3disFamilySettings`, whose groups `decoder` and `loss` can be set name by
name. What `start_from` takes: `training.families.starting.fast3dis`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pan3d_core.engines.parts.decoding import DecodingThresholds
from pan3d_core.models.da3.cameras import relative_to_first
from pan3d_core.models.fast3dis.anchor_decoder import AnchorPrediction
from pan3d_core.models.fast3dis.files import Network, build_fast3dis
from pan3d_core.models.fast3dis.map_anchors import MapAnchorsSettings
from pan3d_core.models.fast3dis.network import Fast3disOutput
from pan3d_core.models.matching import targets_from_ids
from training.data.arrays import SceneBatch
from training.data.augment import disturb_poses, flip_batch, jitter_colors
from training.families.family import FamilyEntry, Figures, ParameterGroup, best_of, groups_by_origin
from training.families.fast3dis_settings import Fast3disFamilySettings
from training.families.held_out import SizedData
from training.families.starting.fast3dis import load_start
from training.judge.masks import MIN_MASK_PIXELS, RankedMasks, mask_figures, mask_pictures, ranked_masks
from training.losses.fast3dis import scene_losses
from training.losses.void import known_pixels
from training.run.devices import to_device
from training.settings import OptimizerConfig, TrainConfig

# Every query is ranked and masks may overlap, as published: nothing is dropped by its score or for its neighbours.
RANKED = DecodingThresholds(mask_prob=0.5, min_pixels=MIN_MASK_PIXELS, class_agnostic=True)

_log = logging.getLogger("pan3d.training")

Cameras = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Fast3disSample:
    """A batch to learn from."""

    images: Tensor  # (B, S, 3, H, W) RGB 0..1
    cameras: Cameras | None  # what the network is told: (B, S, 4, 4) and (B, S, 3, 3) as its `forward` takes them
    truth: SceneBatch
    depth: Tensor | None = None  # (B, S, H, W) metres, 0 = none: what a network on MapAnything is told, too


def known_cameras(batch: SceneBatch, cam_from_world: Tensor | None = None, *, metric: bool = False) -> Cameras:
    """The cameras of a batch as the network is given them, `metric` to one on MapAnything; `cam_from_world` in the place of the
    batch's own."""
    own = batch.cam_from_world if cam_from_world is None else cam_from_world
    return own if metric else relative_to_first(own)[0], batch.intrinsics


def scene_truth(ids: Tensor, mask_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Ids (S, H, W), 0 = none -> masks (G, S, h, w) and ids (S, h, w) at the size of the mask features, whatever the kinds."""
    targets = targets_from_ids(ids, torch.zeros_like(ids), mask_hw)
    return targets.masks, (targets.masks.long() * targets.instance_id[:, None, None, None]).sum(0)


def one_scene(outputs: Fast3disOutput, b: int) -> Fast3disOutput:
    """What `outputs` say of scene `b`, so that its masks are made without those of the others."""
    row = slice(b, b + 1)
    layers = [AnchorPrediction(*(value[row] for value in vars(layer).values())) for layer in outputs.layers]
    return replace(outputs, layers=layers, mask_features=outputs.mask_features[row], unit=outputs.unit[row])


class Fast3disFamily:
    """See `Family`."""

    def __init__(self, config: TrainConfig) -> None:
        self.settings = Fast3disFamilySettings.from_dict(config.model)
        self.architecture: dict[str, Any] = self.settings.architecture()
        self.data = SizedData(config, (self.settings.height, self.settings.width))
        self.dtype = config.execution.dtype
        if not config.start_from:
            _log.warning("start_from: no weights are given, so the frozen %s stays as random as it begins", self.base)

    @property
    def base(self) -> str:
        """The frozen network in words."""
        return "MapAnything" if self.metric else "Depth Anything 3"

    @property
    def metric(self) -> bool:
        """Whether the network is told metres, and answers in them."""
        return isinstance(self.settings.network, MapAnchorsSettings)

    def build(self) -> Network:
        return build_fast3dis(self.settings.network)

    def load(self, model: Network, path: str) -> None:
        load_start(model, path)

    def groups(self, model: Network, optimizer: OptimizerConfig) -> list[ParameterGroup]:
        return groups_by_origin(model, lambda name: name.startswith(("da3.", "map_anything.")), optimizer)

    def blocks(self, model: Network) -> list[nn.Module]:
        return model.blocks()

    def prepare(self, batch: SceneBatch, generator: Generator) -> Fast3disSample:
        batch, augmentation = self.data.drawn(batch), self.data.augmentation
        # All scenes of a batch know their cameras or none does: known and unknown ones take different tokens.
        posed = bool(torch.rand((), generator=generator) < self.settings.posed_share)
        images, told = batch.images, batch.cam_from_world
        if augmentation is not None:
            if torch.rand((), generator=generator) < augmentation.flip_probability:
                batch = flip_batch(batch)
            images = jitter_colors(batch.images, augmentation, generator)
            told = disturb_poses(batch.cam_from_world, augmentation, generator)
        cameras = known_cameras(batch, told, metric=self.metric) if posed else None
        if not self.metric:
            return Fast3disSample(images, cameras, batch)
        measured = posed and bool(torch.rand((), generator=generator) < self.settings.measured_share)
        return Fast3disSample(images, cameras, batch, batch.depth if measured else None)

    def forward(self, model: nn.Module, sample: Fast3disSample, dtype: torch.dtype | None) -> Fast3disOutput:
        told = {} if sample.depth is None else {"depth": sample.depth}
        return model(sample.images, cameras=sample.cameras, backbone_dtype=dtype, **told)

    def losses(self, outputs: Fast3disOutput, sample: Fast3disSample, progress: float) -> dict[str, Tensor]:
        """FAST3DIS's objective, the mean over the scenes."""
        mask_hw = (outputs.mask_features.shape[-2], outputs.mask_features.shape[-1])
        scenes = []
        for b, (ids, void) in enumerate(zip(sample.truth.ids, sample.truth.void, strict=True)):
            truth, known = scene_truth(torch.where(void, 0, ids), mask_hw), known_pixels(void, mask_hw)
            scenes.append(scene_losses(one_scene(outputs, b), 0, truth, progress, self.settings.loss, known=known))
        return {name: torch.stack([terms[name] for terms in scenes]).mean() for name in scenes[0]}

    def _answer(self, model: Network, index: int, *, posed: bool) -> RankedMasks:
        """What the network says of a held-out scene."""
        batch = self.data.scene(index)
        known = known_cameras(batch, metric=self.metric) if posed else None
        images, cameras = to_device((batch.images, known), next(model.parameters()).device)
        outputs = model(images, cameras=cameras, backbone_dtype=self.dtype)
        return ranked_masks(batch, outputs.geometry.depth[0], outputs.class_logits[0], outputs.mask_logits, RANKED)

    @torch.no_grad()
    def evaluate(self, model: Network, scenes: int) -> list[Figures]:
        """With the cameras given, then without."""
        model.eval()
        shown = self.data.shown(scenes)
        return [{"posed": posed, **mask_figures(self._answer(model, at, posed=posed) for at in shown)} for posed in (True, False)]

    def score(self, figures: list[Figures]) -> float:
        return best_of(figures, "ap50")

    @torch.no_grad()
    def pictures(self, model: Network, scenes: int) -> dict[str, np.ndarray]:
        model.eval()
        return mask_pictures(self._answer(model, index, posed=True) for index in self.data.shown(scenes))


FAST3DIS = FamilyEntry(
    Fast3disFamily,
    {
        "model": Fast3disFamilySettings().to_dict(),
        "optimizer": {"learning_rate": 1e-4, "lora_learning_rate": 5e-5, "beta2": 0.999, "clip_norm": 1.0},
        "schedule": {"warmup_steps": 1000},
        # As many views as the data have, 8 to 24 where there are so many.
        "sampling": {"batch": 1, "view_counts": [8, 12, 16, 24], "view_weights": [0.25, 0.25, 0.25, 0.25]},
    },
)
