"""`pan3d-mini`: depth and object instances of a few small views of a tabletop, in one forward pass.

A small relative of SegVGGT (alternating frame-wise and global attention over the tokens of all views, a
camera token per view, object queries that decode one mask over all views). It departs from the published
network where that makes a small model learn: a convolutional stem and a feature pyramid instead of a
pretrained ViT and DPT; calibration as input (the support plane met by every pixel's ray, rotary positions
on that plane in the global attention); depth as a factor on the plane's depth; queries seeded by votes;
a text-aligned vector per query instead of class logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.geometry.transforms import invert_rigid, transform_points
from pan3d_core.models.mini.calibration import GEOMETRY_CHANNELS, TOKEN_GEOMETRY, Calibration, MiniInputs, calibrate
from pan3d_core.models.mini.image_stem import JoinImageStem
from pan3d_core.models.mini.layers import Block, ConvStem, Pyramid
from pan3d_core.models.mini.plane import points_from_rays
from pan3d_core.models.mini.queries import QueryDecoder, QueryOutputs, SceneFeatures
from pan3d_core.models.mini.sweep import HEIGHTS_M, HeightSweep
from pan3d_core.settings import read_settings, refuse_unknown, to_plain
from pan3d_core.structures import present

MAX_LOG_RATIO = 2.5
FIRST_CROSS_VIEW = 1  # the block from which on views meet: odd blocks see all of them

B = TypeVar("B", bound="MiniBasedSettings")
N = TypeVar("N", bound="OnPanMini")


@dataclass(frozen=True)
class DenseOutputs:
    """Raw outputs but for objects: what `PanMini.dense` gives. Strides are relative to (H, W)."""

    log_ratio: Tensor  # (B, S, H/2, W/2) log of depth over `plane_depth`
    log_error: Tensor  # (B, S, H/2, W/2) log of the expected |error| of log_ratio
    foreground_logits: Tensor  # (B, S, H/2, W/2) shows an object
    plane_depth: Tensor  # (B, S, H, W) metres: the support plane's z-depth (the reference depth without poses)
    center_offset: Tensor  # (B, S, H/4, W/4, 3) metres, plane frame: from a pixel's point to its object's centre
    plane_from_world: Tensor  # (B, 4, 4) identity without poses
    view1_from_cam: Tensor  # (B, S, 9) camera head: 6D rotation (first two columns) and translation
    dense_text: Tensor  # (B, S, H/8, W/8, text_dim) per-pixel text-aligned vectors, not normalised; only in training, else empty

    def depth(self) -> Tensor:
        """(B, S, H, W) z-depth in metres."""
        log_ratio = F.interpolate(self.log_ratio, size=self.plane_depth.shape[-2:], mode="bilinear")
        return self.plane_depth * log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()


@dataclass(frozen=True)
class MiniOutputs(DenseOutputs):
    """All raw outputs."""

    queries: QueryOutputs


@dataclass(frozen=True)
class SingleViews:
    """What the network knows before the views meet, and the calibration that it goes on to use."""

    calibration: Calibration
    stem: tuple[Tensor, Tensor, Tensor, Tensor]  # (B S, c, H/s, W/s) at strides 2, 4, 8, 16
    tokens: Tensor  # (B, S, 1 + h16 w16, dim) camera token first


def plain_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `MiniArchitecture` from plain values, whose lists are tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


@dataclass(frozen=True)
class MiniBasedSettings:
    """What settings of networks on a `PanMini` share; `base` is its architecture, empty = the first one."""

    base: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls: type[B], values: Mapping[str, Any]) -> B:
        """Of plain values as `to_dict` gives them, any of them left out. `ValueError` names an unknown one."""
        return read_settings(cls(), {**values, "base": plain_arguments(values.get("base", {}))}, "model")

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        values: dict[str, Any] = to_plain(self)
        return values


@dataclass(frozen=True)
class MiniWidths:
    """Channels of a `PanMini` that heads beside its own need to know."""

    dim: int  # of the tokens
    stem: tuple[int, int, int]  # at strides 2, 4, 8
    pyramid: tuple[int, int, int]  # at strides 2, 4, 8
    text_dim: int


@dataclass(frozen=True)
class MiniArchitecture:
    """Which network a `PanMini` is. Checkpoints say in what they differ from these values, those of the first one."""

    dim: int = 192
    heads: int = 6
    blocks: int = 8
    stem: tuple[int, int, int] = (24, 48, 96)
    pyramid: tuple[int, int, int] = (32, 64, 96)
    queries: int = 20
    decoder_layers: int = 3
    text_dim: int = 384
    sweep_heights: tuple[float, ...] = HEIGHTS_M  # above the support, metres
    image_stem: bool = False  # features learnt from photographs join those of the stem

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> MiniArchitecture:
        """Of plain values, any of them left out, whose lists are tuples; `ValueError` names an unknown one."""
        refuse_unknown(values, sorted(item.name for item in fields(cls)), "model.")
        return cls(**plain_arguments(values))


class PanMini(nn.Module):
    """The network; see the module docstring."""

    def __init__(self, architecture: MiniArchitecture | None = None) -> None:
        super().__init__()
        own = architecture or MiniArchitecture()
        dim, heads, stem, pyramid = own.dim, own.heads, own.stem, own.pyramid
        self.widths = MiniWidths(dim, stem, pyramid, own.text_dim)
        channels = (*stem, dim)
        self.stem = ConvStem(channels, GEOMETRY_CHANNELS)
        self.sweep = HeightSweep(stem[0], stem[1], own.sweep_heights)
        self.token_geometry = nn.Linear(TOKEN_GEOMETRY, dim)
        self.image_position = nn.Parameter(torch.randn(1, dim, 7, 9) * 0.02)
        self.camera_token = nn.Parameter(torch.randn(dim) * 0.02)
        self.camera_geometry = nn.Linear(17, dim)
        self.first_view = nn.Parameter(torch.randn(dim) * 0.02)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(own.blocks))
        self.norm = nn.LayerNorm(dim)
        self.head_dim = dim // heads
        self.camera = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, 9))
        self.pyramid = Pyramid(dim, channels, pyramid)
        self.dense4 = nn.Conv2d(pyramid[1], 6, 1)  # log_ratio, log_error, foreground, centre offset (3)
        self.dense2 = nn.Conv2d(pyramid[0], 3, 1)
        self.dense_text = nn.Linear(pyramid[2], own.text_dim, bias=False)
        self.decoder = QueryDecoder(dim, heads, pyramid, own.queries, own.decoder_layers, own.text_dim)
        self.apply(_initialise)
        for head in (self.dense4, self.dense2):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(present("bias", head.bias))
        self.image_stem = JoinImageStem(channels[1:]) if own.image_stem else None

    def forward(self, inputs: MiniInputs, calibration: Calibration | None = None) -> MiniOutputs:
        """B scenes, and what `calibrate` gives for them where that is known -> all raw outputs."""
        return self.perceive(inputs.images, calibration or self.calibrate(inputs))

    def calibrate(self, inputs: MiniInputs) -> Calibration:
        """Compute what depends on cameras, support plane and picture size alone."""
        return calibrate(inputs, self.sweep.levels, self.head_dim)

    def perceive(self, images: Tensor, calibration: Calibration) -> MiniOutputs:
        """Images (B, S, 3, H, W) RGB 0..1 of calibrated views -> all raw outputs."""
        single = self.single_views(images, calibration)
        dense, scene = self.dense(single, self.cross_views(single.tokens, calibration.rotation))
        return MiniOutputs(**vars(dense), queries=self.decoder(scene))

    def single_views(self, images: Tensor, calibration: Calibration) -> SingleViews:
        """Stem, tokens and the blocks in which every view is alone. The sweep compares views by their calibration already."""
        pictures = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        f2 = self.stem.start((pictures - 0.45) / 0.25)
        swept = self.sweep(f2, calibration.sweep, calibration.posed)
        extra = None if self.image_stem is None else self.image_stem(pictures)
        stem = self.stem(f2, calibration.geometry.flatten(0, 1), swept, extra)
        x = self._tokens(stem[3], calibration)
        for block in self.blocks[:FIRST_CROSS_VIEW]:
            x = block(x.flatten(0, 1)).view_as(x)
        return SingleViews(calibration, stem, x)

    def _tokens(self, features: Tensor, calibration: Calibration) -> Tensor:
        """Stem features (B S, dim, h, w) -> tokens (B, S, 1 + h w, dim)."""
        leading = calibration.camera_numbers.shape[:2]
        position = F.interpolate(self.image_position, size=features.shape[-2:], mode="bilinear", align_corners=True)
        tokens = (features + position).flatten(2).transpose(1, 2).unflatten(0, leading)
        tokens = tokens + self.token_geometry(calibration.token_geometry).flatten(2, 3)
        camera = self.camera_token + self.camera_geometry(calibration.camera_numbers)
        camera = camera + calibration.first_view[..., None] * self.first_view
        return torch.cat([camera[:, :, None], tokens], dim=2)

    def cross_views(self, tokens: Tensor, rotation: Tensor) -> Tensor:
        """The other blocks, by turns over all views and within each, and the norm: tokens (B, S, 1 + h w, dim) -> the same."""
        batch, views, count, _ = tokens.shape
        x, of_all = tokens, rotation.flatten(2, 3)[:, :, None]
        for number, block in enumerate(self.blocks[FIRST_CROSS_VIEW:], start=FIRST_CROSS_VIEW):
            if number % 2 == 0:
                x = block(x.reshape(batch * views, count, -1))
            else:
                x = block(x.reshape(batch, views * count, -1), of_all)
        normed: Tensor = self.norm(x.reshape(batch, views, count, -1))
        return normed

    def dense(self, single: SingleViews, x: Tensor) -> tuple[DenseOutputs, SceneFeatures]:
        """Outputs of `cross_views` -> everything but the queries, and what those look at."""
        tokens = x[:, :, 1:]
        batch, views = tokens.shape[:2]
        known = single.calibration
        posed, rays, cam_from_plane = known.posed, known.rays, known.cam_from_plane
        grid = tokens.flatten(0, 1).transpose(1, 2).unflatten(2, single.stem[3].shape[-2:])
        p2, p4, p8 = self.pyramid(grid, single.stem)
        dense4 = self.dense4(p4).float()
        dense2 = (F.interpolate(dense4[:, :3], size=p2.shape[-2:], mode="bilinear") + self.dense2(p2)).float()
        dense4, dense2, p2, p4, p8 = (maps.unflatten(0, (batch, views)) for maps in (dense4, dense2, p2, p4, p8))
        offset = dense4[:, :, 3:].permute(0, 1, 3, 4, 2)
        depth4 = rays[4].plane_depth * dense4[:, :, 0].clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
        points4 = points_from_rays(rays[4], depth4.detach(), cam_from_plane) * posed[:, None, None, None, None]
        scene = SceneFeatures(
            tokens16=tokens.flatten(1, 2), p8=p8, p4=p4, p2=p2, points4=points4, centers4=points4 + offset.detach(),
            foreground4=dense4[:, :, 2].detach().sigmoid(), posed=posed,
        )  # fmt: skip
        dense_text = self.dense_text(p8.permute(0, 1, 3, 4, 2)) if self.training else p8.new_zeros(0)
        outputs = DenseOutputs(
            log_ratio=dense2[:, :, 0], log_error=dense2[:, :, 1] - 3.0, foreground_logits=dense2[:, :, 2],
            plane_depth=rays[1].plane_depth, center_offset=offset, plane_from_world=known.plane_from_world,
            view1_from_cam=self.camera(x[:, :, 0]).float(), dense_text=dense_text,
        )  # fmt: skip
        return outputs, scene


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5 * 0.8)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def world_points(outputs: DenseOutputs, points_plane: Tensor) -> Tensor:
    """Plane-frame points (B, N, 3) in the world frame."""
    return transform_points(invert_rigid(outputs.plane_from_world), points_plane)


class OnPanMini(nn.Module):
    """A network on a `PanMini`, which is frozen."""

    def __init__(self, base: Mapping[str, Any]) -> None:
        super().__init__()
        self.base = PanMini(MiniArchitecture.of(base)).requires_grad_(False)

    def calibrate(self, inputs: MiniInputs) -> Calibration:
        """As the base."""
        return self.base.calibrate(inputs)

    def train(self: N, mode: bool = True) -> N:
        """The base stays in evaluation mode: its statistics are frozen like its weights."""
        super().train(mode)
        self.base.eval()
        return self
