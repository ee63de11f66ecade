"""`fast3dis`: FAST3DIS on a frozen Depth Anything 3 with low-rank corrections, at any size.

Settings (`model:` in the file) are the fields of `Fast3disFamilySettings`, whose groups `decoder` and `loss` can be set name by
name. `start_from` takes the official weights of the base (corrections then start at zero and the new parts fresh), a training
checkpoint of this family, whose averaged weights are taken, or an exported file.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pan3d_core.engines.parts.decoding import DecodingThresholds
from pan3d_core.models.da3.cameras import relative_to_first
from pan3d_core.models.da3.network import DA3_VARIANTS, assign_official, members_like
from pan3d_core.models.fast3dis.anchor_decoder import AnchorPrediction
from pan3d_core.models.fast3dis.files import FORMAT, load_fast3dis
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disOutput, Fast3disSettings
from pan3d_core.models.matching import targets_from_ids
from pan3d_core.runtime.weights import assign_weights, family_of, read_metadata, read_weights
from training.data.arrays import SceneBatch
from training.data.augment import disturb_poses, flip_batch, jitter_colors
from training.families.family import FamilyEntry, Figures, ParameterGroup, best_of, groups_by_origin
from training.families.fast3dis_settings import Fast3disFamilySettings
from training.families.held_out import SizedData
from training.families.starting.corrections import fit_corrections
from training.judge.masks import MIN_MASK_PIXELS, RankedMasks, mask_figures, mask_pictures, ranked_masks
from training.losses.fast3dis import scene_losses
from training.losses.void import known_pixels
from training.run.checkpoints import read_state
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
    cameras: Cameras | None  # what the network is told: (B, S, 4, 4) and (B, S, 3, 3) as `Fast3dis.forward` takes them
    truth: SceneBatch


def known_cameras(batch: SceneBatch, cam_from_world: Tensor | None = None) -> Cameras:
    """The cameras of a batch as the network is given them; `cam_from_world` in the place of the batch's own."""
    return relative_to_first(batch.cam_from_world if cam_from_world is None else cam_from_world)[0], batch.intrinsics


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
            _log.warning("start_from: no weights are given, so the frozen Depth Anything 3 stays as random as it begins")

    def build(self) -> Fast3dis:
        return Fast3dis(self.settings.network)

    def load(self, model: Fast3dis, path: str) -> None:
        load_start(model, path)

    def groups(self, model: Fast3dis, optimizer: OptimizerConfig) -> list[ParameterGroup]:
        return groups_by_origin(model, lambda name: name.startswith("da3."), optimizer)

    def blocks(self, model: Fast3dis) -> list[nn.Module]:
        return [*model.da3.backbone.pretrained.blocks.children(), *model.decoder.layers.children()]

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
        return Fast3disSample(images, known_cameras(batch, told) if posed else None, batch)

    def forward(self, model: nn.Module, sample: Fast3disSample, dtype: torch.dtype | None) -> Fast3disOutput:
        return model(sample.images, cameras=sample.cameras, backbone_dtype=dtype)

    def losses(self, outputs: Fast3disOutput, sample: Fast3disSample, progress: float) -> dict[str, Tensor]:
        """FAST3DIS's objective, the mean over the scenes."""
        mask_hw = (outputs.mask_features.shape[-2], outputs.mask_features.shape[-1])
        scenes = []
        for b, (ids, void) in enumerate(zip(sample.truth.ids, sample.truth.void, strict=True)):
            truth, known = scene_truth(torch.where(void, 0, ids), mask_hw), known_pixels(void, mask_hw)
            scenes.append(scene_losses(one_scene(outputs, b), 0, truth, progress, self.settings.loss, known=known))
        return {name: torch.stack([terms[name] for terms in scenes]).mean() for name in scenes[0]}

    def _answer(self, model: Fast3dis, index: int, *, posed: bool) -> RankedMasks:
        """What the network says of a held-out scene."""
        batch = self.data.scene(index)
        images, cameras = to_device((batch.images, known_cameras(batch) if posed else None), next(model.parameters()).device)
        outputs = model(images, cameras=cameras, backbone_dtype=self.dtype)
        return ranked_masks(batch, outputs.geometry.depth[0], outputs.class_logits[0], outputs.mask_logits, RANKED)

    @torch.no_grad()
    def evaluate(self, model: Fast3dis, scenes: int) -> list[Figures]:
        """With the cameras given, then without."""
        model.eval()
        shown = self.data.shown(scenes)
        return [{"posed": posed, **mask_figures(self._answer(model, at, posed=posed) for at in shown)} for posed in (True, False)]

    def score(self, figures: list[Figures]) -> float:
        return best_of(figures, "ap50")

    @torch.no_grad()
    def pictures(self, model: Fast3dis, scenes: int) -> dict[str, np.ndarray]:
        model.eval()
        return mask_pictures(self._answer(model, index, posed=True) for index in self.data.shown(scenes))


def load_start(model: Fast3dis, path: str) -> None:
    """Give `model` what a run starts from; `ValueError` for a file of another kind or size."""
    found = read_weights(path)
    if family_of({name.removeprefix("model.") for name in found}) == "Depth Anything 3":
        load_base(model, found, path)
    elif read_metadata(path).get("format") == FORMAT:
        exported, _ = load_fast3dis(path)
        require_network(model.settings, exported.settings, path)
        model.load_state_dict(exported.state_dict())
    elif Path(path).suffix == ".pt" and "decoder.content" in found and "pixels.inject.weight" in found:
        state = read_state(Path(path))
        require_network(model.settings, Fast3disFamilySettings.from_dict(state["architecture"]).network, path)
        assign_weights(model, state["ema"], origin=path)
    else:
        raise ValueError(
            f"start_from: expected official weights of Depth Anything 3, a training checkpoint of fast3dis or an exported file, "
            f"got {path}, which looks like {family_of(found) or 'another model'}"
        )


def load_base(model: Fast3dis, found: dict[str, Tensor], origin: str) -> None:
    """Give the Depth Anything 3 inside `model` its official tensors, strictly; low-rank corrections keep their start (zero)."""
    wanted, other = model.settings.base, next(iter(members_like(found)), None)
    if other is not None and DA3_VARIANTS[other].backbone != wanted.backbone:
        own = next((name for name, settings in DA3_VARIANTS.items() if settings == wanted), "a network of its own size")
        raise ValueError(f"start_from: expected weights of model.base={own}, got {origin}, which looks like {other}")
    named = {name.removeprefix("model."): value for name, value in found.items()}
    assign_official(model.da3, fit_corrections(named, model.da3.state_dict()), origin)


def require_network(wanted: Fast3disSettings, found: Fast3disSettings, origin: str) -> None:
    """Raise `ValueError` that names the parts in which the network of a file differs."""
    differing = [name for name in vars(wanted) if getattr(wanted, name) != getattr(found, name)]
    if differing:
        name = differing[0]
        raise ValueError(
            f"start_from: expected a network with model.{name} {getattr(wanted, name)}, got {origin} with {getattr(found, name)}"
        )


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
