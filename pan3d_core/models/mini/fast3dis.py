"""`pan3d-mini-fast3dis`: FAST3DIS at the size of `pan3d-mini`, whose network takes the place of Depth Anything 3.

The geometry pass is `pan3d-mini` untouched: depth, votes for centres and, where poses are unknown, cameras. The feature pass has
low-rank corrections from the first cross-view block on; what comes before is computed once, the rest of both passes as one batch.
The pixel decoder that is given the points of the geometry pass, anchors that look at every view where they project to, and masks
follow the paper. Departures, all to learn from few samples: anchors start at votes for centres, masks fall off with the distance
from their anchor, the last mask is finer, and each query has a text-aligned vector and an expected IoU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.models.fast3dis.anchor_decoder import AnchorDecoder, AnchorPrediction, AnchorSettings, SceneViews
from pan3d_core.models.layers.transformer import LoraLinear, add_lora, lora_rows
from pan3d_core.models.mini.calibration import Calibration, MiniInputs
from pan3d_core.models.mini.geometry import SceneGeometry, scene_geometry
from pan3d_core.models.mini.layers import Pyramid
from pan3d_core.models.mini.network import (
    FIRST_CROSS_VIEW,
    MiniBasedSettings,
    MiniOutputs,
    OnPanMini,
    SingleViews,
)
from pan3d_core.models.mini.plane import fourier_features
from pan3d_core.models.mini.queries import (
    POINT_WAVELENGTHS_M,
    QueryOutputs,
    QueryPrediction,
    anchor_distance,
    mask_facts,
    pool_grid,
    select_seeds,
    under_masks,
)
from pan3d_core.runtime.exporting import is_functional

UNIT_M = 0.1  # anchors are measured in decimetres: what stands on a table is about one of them
_POINT_FEATURES = 2 * 3 * len(POINT_WAVELENGTHS_M)
_DECODER = AnchorSettings(
    queries=32, dim=128, heads=4, feed_forward=512, layers=6, bands=32, bandwidth=0.5,
    first_low=(-3.0, -3.0, 0.0), first_high=(3.0, 3.0, 1.5), start="seeds",
)  # fmt: skip


@dataclass(frozen=True)
class Fast3disMiniSettings(MiniBasedSettings):
    """One network."""

    decoder: AnchorSettings = _DECODER
    lora_rank: int = 16
    lora_alpha: float = 16.0
    falloff: bool = True  # masks fall off with the distance of their points from the anchor


@dataclass(frozen=True)
class Fast3disMiniOutputs(MiniOutputs):
    """Raw outputs; `queries` as those of `pan3d-mini`, one prediction per decoder layer."""

    mask_features: Tensor  # (B, S, dim, H/4, W/4) what the contrastive loss compares
    anchors: Tensor  # (B, Q, 3) metres after the last layer; in the frame of `SceneGeometry`


@dataclass(frozen=True)
class PixelMaps:
    """What the pixel decoder gives of B scenes of S views."""

    maps: tuple[Tensor, Tensor, Tensor]  # (B, S, dim, h, w) at strides 16, 8, 4
    mask_features: Tensor  # (B, S, dim, h4, w4)
    p8: Tensor  # (B, S, c8, h8, w8)
    p2: Tensor  # (B, S, c2, h2, w2)


class MiniPixelDecoder(nn.Module):
    """Tokens of the feature pass and points of the geometry pass -> maps to sample from and mask features."""

    def __init__(self, dim: int, stem: tuple[int, int, int], channels: tuple[int, int, int], out: int) -> None:
        super().__init__()
        c2, c4, c8 = channels
        self.inject = nn.Linear(_POINT_FEATURES, dim)
        self.pyramid = Pyramid(dim, (*stem, dim), (c2, c4, c8))
        self.to_maps = nn.ModuleList(nn.Conv2d(width, out, 1) for width in (dim, c8, c4))
        self.mask4 = nn.Conv2d(c4, out, 1)
        self.mask_position = nn.Linear(_POINT_FEATURES, out, bias=False)

    def forward(self, tokens: Tensor, stem: tuple[Tensor, Tensor, Tensor, Tensor], points4: Tensor) -> PixelMaps:
        """Tokens (B, S, 1 + h16 w16, dim), stem features (B S, c, h, w), points (B, S, h4, w4, 3) metres."""
        leading = tokens.shape[:2]
        features4 = fourier_features(points4, POINT_WAVELENGTHS_M)
        # As in the paper, geometry joins at the deepest level; masks are compared point by point besides.
        tokens = tokens[:, :, 1:] + self.inject(pool_grid(features4, 4)).flatten(2, 3)
        grid = tokens.flatten(0, 1).transpose(1, 2).unflatten(2, stem[3].shape[-2:])
        p2, p4, p8 = self.pyramid(grid, stem)
        maps = [project(level) for project, level in zip(self.to_maps, (grid, p8, p4), strict=True)]
        mask_features = self.mask4(p4) + self.mask_position(features4).flatten(0, 1).permute(0, 3, 1, 2)
        m16, m8, m4, mask_features, p8, p2 = (x.unflatten(0, leading) for x in (*maps, mask_features, p8, p2))
        return PixelMaps((m16.float(), m8.float(), m4.float()), mask_features.float(), p8, p2)


class Fast3disMini(OnPanMini):
    """The whole network. `base` is frozen but for its low-rank corrections."""

    def __init__(self, settings: Fast3disMiniSettings | None = None) -> None:
        settings = settings or Fast3disMiniSettings()
        super().__init__(settings.base)
        self.settings = settings
        for block in self.base.blocks[FIRST_CROSS_VIEW:]:
            add_lora(block.get_submodule("attention"), rank=settings.lora_rank, alpha=settings.lora_alpha)
        widths, out = self.base.widths, settings.decoder.dim
        c2, _, c8 = widths.pyramid
        self.pixels = MiniPixelDecoder(widths.dim, widths.stem, widths.pyramid, out)
        self.decoder = AnchorDecoder(settings.decoder)
        if settings.decoder.start == "seeds":
            self.seed = nn.Linear(c8, out)
        if settings.falloff:
            self.falloff = nn.Linear(out, 1)
        self.mask_bias = nn.Parameter(torch.tensor(-2.0))
        self.to_mask2 = nn.Sequential(nn.Linear(out, out), nn.GELU(), nn.Linear(out, c2))
        self.pooled = nn.Linear(c8, out)
        self.to_quality = nn.Sequential(nn.Linear(out + 2, out), nn.GELU(), nn.Linear(out, 1))
        self.to_text = nn.Sequential(nn.LayerNorm(out), nn.Linear(out, 3 * out), nn.GELU(), nn.Linear(3 * out, widths.text_dim))

    def lora_layers(self) -> list[LoraLinear]:
        """The adapted layers of the base."""
        return [module for module in self.base.modules() if isinstance(module, LoraLinear)]

    def forward(self, inputs: MiniInputs, calibration: Calibration | None = None) -> Fast3disMiniOutputs:
        """B scenes, and what `calibrate` gives for them where that is known -> all raw outputs."""
        with torch.no_grad():
            single = self.base.single_views(inputs.images, calibration or self.calibrate(inputs))
        plain, adapted = self.dual_pass(single)
        with torch.no_grad():
            dense, scene = self.base.dense(single, plain)
            geometry = scene_geometry(self.base, inputs, single, (dense, scene))
        pixels = self.pixels(adapted, single.stem, geometry.points4)
        with torch.autocast(inputs.images.device.type, enabled=False):  # half precision cannot say where an anchor projects to
            predictions = self.decoder(self._scene_views(inputs, pixels, geometry), self._seeds(pixels, geometry))
            layers = tuple(self._masked(prediction, pixels, geometry) for prediction in predictions)
            queries = self._finish(layers, predictions[-1], pixels)
        anchors = UNIT_M * predictions[-1].anchors
        return Fast3disMiniOutputs(**vars(dense), queries=queries, mask_features=pixels.mask_features, anchors=anchors)

    def dual_pass(self, single: SingleViews) -> tuple[Tensor, Tensor]:
        """Tokens (B, S, 1 + h16 w16, dim) of the geometry pass and of the feature pass."""
        tokens, rotation = single.tokens, single.calibration.rotation
        if is_functional():
            with torch.no_grad(), lora_rows(self.base, "none"):
                plain = self.base.cross_views(tokens, rotation)
            return plain, self.base.cross_views(tokens, rotation)
        with lora_rows(self.base, "second half"):
            both = self.base.cross_views(torch.cat([tokens, tokens]), torch.cat([rotation, rotation], dim=1))
        plain, adapted = both.chunk(2)
        return plain, adapted

    @staticmethod
    def _scene_views(inputs: MiniInputs, pixels: PixelMaps, geometry: SceneGeometry) -> SceneViews:
        height, width = inputs.images.shape[-2:]
        k = inputs.intrinsics
        # Integer pixels are centres; the image's outer corners are 0 and 1.
        across = torch.stack([k[..., 0, 0], k[..., 0, 2] + 0.5], dim=-1) / width
        down = torch.stack([k[..., 1, 1], k[..., 1, 2] + 0.5], dim=-1) / height
        focal_center = torch.stack([across[..., 0], down[..., 0], across[..., 1], down[..., 1]], dim=-1)
        moved = geometry.cam_from_scene
        cam_from_scene = torch.cat([moved[..., :3], torch.cat([moved[..., :3, 3:] / UNIT_M, moved[..., 3:, 3:]], dim=-2)], dim=-1)
        return SceneViews(pixels.maps, pixels.maps[0].mean((1, 3, 4)), cam_from_scene, focal_center)

    def _seeds(self, pixels: PixelMaps, geometry: SceneGeometry) -> tuple[Tensor, Tensor] | None:
        """Places in units and features of what many pixels vote for."""
        if self.settings.decoder.start == "learned":
            return None
        weights = pool_grid(geometry.foreground4[..., None], 2).flatten(1)
        centers = pool_grid(geometry.centers4, 2).flatten(1, 3)
        index = select_seeds(weights, centers, self.settings.decoder.queries)[..., None]
        features = pixels.p8.permute(0, 1, 3, 4, 2).flatten(1, 3).float()
        seeds = self.seed(features.gather(1, index.expand(-1, -1, features.shape[-1])))
        return centers.gather(1, index.expand(-1, -1, 3)) / UNIT_M, seeds

    def _masked(self, prediction: AnchorPrediction, pixels: PixelMaps, geometry: SceneGeometry) -> QueryPrediction:
        """Masks at stride 4 and objectness of one layer (Eq. 6, with the falloff)."""
        logits = torch.einsum("bqc,bschw->bqshw", prediction.mask_embedding, pixels.mask_features)
        logits = logits / prediction.mask_embedding.shape[-1] ** 0.5 + self.mask_bias
        if self.settings.falloff:
            strength = F.softplus(self.falloff(prediction.content))[..., None, None]
            logits = logits - strength * anchor_distance(UNIT_M * prediction.anchors, geometry.points4)
        return QueryPrediction(logits, prediction.class_logits[..., 0] - prediction.class_logits[..., 1])

    def _finish(self, layers: tuple[QueryPrediction, ...], last: AnchorPrediction, pixels: PixelMaps) -> QueryOutputs:
        """The finer mask, the expected IoU and the text-aligned vector of every query."""
        coarse, p2 = layers[-1].mask_logits, pixels.p2.float()
        fine = torch.einsum("bqc,bschw->bqshw", self.to_mask2(last.content), p2) / p2.shape[2] ** 0.5
        upsampled = F.interpolate(coarse.flatten(0, 1), size=p2.shape[-2:], mode="bilinear").unflatten(0, coarse.shape[:2])
        mask_logits = upsampled + fine
        content8 = pixels.p8.permute(0, 1, 3, 4, 2).flatten(1, 3).float()
        described = last.content + self.pooled(under_masks(coarse, content8))
        quality = self.to_quality(torch.cat([described.detach(), mask_facts(mask_logits)], dim=-1))[..., 0]
        return QueryOutputs(layers, mask_logits, quality, F.normalize(self.to_text(described), dim=-1))
