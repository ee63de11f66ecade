"""SegVGGT: VGGT's tokens read by object queries; low-rank corrections or full fine-tuning, at any size.

Settings (`model:` in the file) are the fields of `SegVggtSettings`; the defaults are the published size. `start_from` takes
a training checkpoint, an official SegVGGT checkpoint or an official VGGT one (the query branch then starts fresh).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pan3d_core.engines.decoding import DecodingThresholds
from pan3d_core.models.layers.dpt import DPT, dense_output
from pan3d_core.models.layers.patch_encoder import PatchEncoder
from pan3d_core.models.layers.transformer import LoraLinear
from pan3d_core.models.losses import segvggt_losses
from pan3d_core.models.matching import InstanceTargets, match_queries, segvggt_cost, targets_from_ids
from pan3d_core.models.vggt.network import VGGT, Aggregator, CameraHead, VggtOutput
from pan3d_core.models.vggt.segvggt import QueryDecoder, SegVGGT, SegVggtOutput, class_head, official_name
from pan3d_core.runtime.weights import assign_weights, family_of, read_weights
from pan3d_core.settings import read_settings, to_plain
from pan3d_core.structures import present
from training.data.arrays import SceneBatch, training_vocabulary
from training.data.augment import jitter_colors
from training.data.geometry_targets import geometry_targets
from training.families.family import FamilyEntry, Figures, ParameterGroup, best_of, groups_by_origin, require_patches
from training.families.held_out import SizedData
from training.judge.masks import MIN_MASK_PIXELS, RankedMasks, mask_figures, mask_pictures, ranked_masks
from training.losses.geometry import GEOMETRY_WEIGHTS, camera_loss, depth_loss, distillation_losses, with_geometry
from training.run.devices import to_device
from training.settings import OptimizerConfig, TrainConfig

PATCH = 14


@dataclass(frozen=True)
class SegVggtSettings:
    """Which member of the family; lists may be given for tuples."""

    height: int = 392  # network size in pixels, multiples of 14
    width: int = 518
    native_grid: int = 37  # patches per side of the encoder's position table
    dim: int = 1024
    encoder_depth: int = 24
    depth: int = 24  # pairs of frame and global blocks
    heads: int = 16
    camera_depth: int = 4
    camera_heads: int = 16
    features: int = 256  # of the dense heads; queries and pixels are compared in half as many channels
    out_channels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    layers: tuple[int, int, int, int] = (4, 11, 17, 23)  # layers that the dense heads read
    queries: int = 400
    class_hidden: int = 32
    num_classes: int = 0  # 0 = the kinds of the data's vocabulary
    lora_rank: int = 32  # 0 = the attention layers themselves are trained
    lora_alpha: float = 32.0
    train_encoder: bool = False
    geometry: str = "truth"  # what cameras and depth learn from: truth, teacher (the frozen VGGT of `start_from`) or none

    def __post_init__(self) -> None:
        require_patches(self.height, self.width, PATCH)

        if self.geometry not in ("truth", "teacher", "none"):
            raise ValueError(f"model.geometry: expected truth, teacher or none, got {self.geometry!r}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SegVggtSettings:
        """Read plain values, any of them left out. `ValueError` names an unknown one or one of another type."""
        return read_settings(cls, values, "model")


def build_segvggt(s: SegVggtSettings) -> SegVGGT:
    """The network with random weights; the patch encoder is frozen unless `train_encoder`."""
    linear = partial(LoraLinear, rank=s.lora_rank, alpha=s.lora_alpha) if s.lora_rank else nn.Linear
    encoder = PatchEncoder(native_grid=s.native_grid, dim=s.dim, depth=s.encoder_depth, num_heads=s.heads)
    encoder.requires_grad_(s.train_encoder)
    dpt = partial(DPT, dim=2 * s.dim, features=s.features, out_channels=s.out_channels, layers=s.layers)
    vggt = VGGT(
        Aggregator(encoder, depth=s.depth, num_heads=s.heads, linear=linear),
        CameraHead(2 * s.dim, depth=s.camera_depth, num_heads=s.camera_heads),
        dpt(output_conv2=dense_output(s.features, 32, 2)),
    )
    decoder = QueryDecoder(s.dim, num_queries=s.queries, depth=s.depth, num_heads=s.heads, embedding_dim=s.features // 2)
    return SegVGGT(vggt, decoder, dpt(output_instance=class_head(s.features // 2, s.class_hidden, s.num_classes)))


def load_vggt_weights(model: SegVGGT, found: dict[str, Tensor], origin: str) -> None:
    """Give the VGGT inside `model` the tensors of an official VGGT checkpoint; low-rank corrections keep their start (zero)."""
    state = model.vggt.state_dict()
    corrections = {name: value for name, value in state.items() if ".lora." in name}
    given = {name.replace(".linear.", "."): name for name in state if name not in corrections}
    renamed = {given.get(name, name): value for name, value in found.items()}
    assign_weights(model.vggt, {**renamed, **corrections}, origin=origin, ignored_prefixes=("track_head.", "point_head."))


@dataclass(frozen=True)
class SegVggtSample:
    """A batch to learn from."""

    images: Tensor  # (B, S, 3, H, W) RGB 0..1
    truth: SceneBatch


def scene_instances(truth: SceneBatch, scene: int, mask_hw: tuple[int, int]) -> InstanceTargets:
    """The instances of one scene at mask size, classes = kinds."""
    ids = truth.ids[scene]
    class_ids = torch.where(ids > 0, truth.kinds[scene][ids], -1)
    return targets_from_ids(ids, class_ids, mask_hw)


class SegVggtFamily:
    """See `Family`."""

    def __init__(self, config: TrainConfig) -> None:
        settings = SegVggtSettings.from_dict(config.model)
        if not settings.num_classes:
            kinds = len(training_vocabulary(config.data)["kinds"])
            settings = replace(settings, num_classes=kinds)
        if settings.geometry == "teacher" and not config.start_from:
            raise ValueError("start_from: expected the weights of a pretrained VGGT for model.geometry=teacher, got none")
        self.settings, self.start_from = settings, config.start_from
        self.architecture: dict[str, Any] = to_plain(settings)
        self.data = SizedData(config, (settings.height, settings.width))
        self.dtype = config.execution.dtype

    @cached_property
    def teacher(self) -> VGGT:
        """The frozen network that a run started from."""
        whole = self.build()
        self.load(whole, self.start_from)
        return whole.vggt.requires_grad_(False).eval()

    def build(self) -> SegVGGT:
        return build_segvggt(self.settings)

    def load(self, model: SegVGGT, path: str) -> None:
        found = read_weights(path)
        family = family_of(found)
        if family == "VGGT":
            load_vggt_weights(model, found, path)
        elif family == "SegVGGT":
            assign_weights(model, found, origin=path, name_in_file=official_name)
        else:
            assign_weights(model, found, origin=path)

    def groups(self, model: SegVGGT, optimizer: OptimizerConfig) -> list[ParameterGroup]:
        return groups_by_origin(model, lambda name: name.startswith("vggt."), optimizer)

    def blocks(self, model: SegVGGT) -> list[nn.Module]:
        aggregator, decoder = model.vggt.aggregator, model.query_decoder
        encoder = list(aggregator.patch_embed.blocks)
        return [*encoder, *aggregator.frame_blocks, *aggregator.global_blocks, *decoder.cross_blocks, *decoder.self_blocks]

    def prepare(self, batch: SceneBatch, generator: Generator) -> SegVggtSample:
        batch = self.data.sized(batch)
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
        for b in range(len(sample.images)):
            own = (mask_logits[b], outputs.class_logits[b].float(), attention[:, b].float())
            targets = scene_instances(sample.truth, b, (mask_logits.shape[-2], mask_logits.shape[-1]))
            with torch.no_grad():
                match = match_queries(segvggt_cost(own, targets))
            scenes.append(segvggt_losses(own, (targets.masks, targets.class_id, targets.visibility), match))
        terms = {name: torch.stack([terms[name] for terms in scenes]).mean() for name in scenes[0]}
        if self.settings.geometry == "none":
            return terms
        return with_geometry(terms, self._geometry_losses(outputs.geometry, sample))

    def _geometry_losses(self, geometry: VggtOutput, sample: SegVggtSample) -> dict[str, Tensor]:
        """`camera`, `depth` and their weighted `total`."""
        if self.settings.geometry == "teacher":
            with torch.no_grad():
                answer = self.teacher.to(sample.images.device)(sample.images, aggregator_dtype=self.dtype)
            return distillation_losses(geometry, answer)
        truth = geometry_targets(sample.truth)
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
        images = to_device(batch.images, next(model.parameters()).device)
        outputs = model(images, aggregator_dtype=self.dtype)
        thresholds = DecodingThresholds(min_pixels=MIN_MASK_PIXELS, nms_iou=0.5, class_agnostic=True)
        return ranked_masks(batch, outputs.geometry.depth[0], outputs.class_logits[0], outputs.mask_logits, thresholds)

    @torch.no_grad()
    def evaluate(self, model: SegVGGT, scenes: int) -> list[Figures]:
        model.eval()
        return [{**mask_figures(self._answer(model, index) for index in self.data.shown(scenes))}]

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
