"""FAST3DIS: instances by 3D anchors on a frozen Depth Anything 3, in one forward pass.

The geometry pass is Depth Anything 3 untouched, the feature pass has low-rank corrections (LoRA). Here the corrections begin at
the first cross-view block, so that everything before it is computed once for both, and the rest of both runs as one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.models.anchor_decoder import AnchorDecoder, AnchorPrediction, AnchorSettings, SceneViews
from pan3d_core.models.da3 import AnyViewDa3, Da3Output, Da3Settings, imagenet_normalised
from pan3d_core.models.da3_backbone import PATCH_SIZE, BackboneTokens
from pan3d_core.models.dpt import Fusion, TapPyramid
from pan3d_core.models.layers import LoraLinear, lora_rows
from pan3d_core.models.vggt import require_images


@dataclass(frozen=True)
class Fast3disSettings:
    """One network. What the paper leaves open is marked as assumed."""

    base: Da3Settings
    decoder: AnchorSettings = field(default_factory=AnchorSettings)
    lora_rank: int = 16  # assumed
    lora_alpha: float = 16.0  # assumed


@dataclass(frozen=True)
class Fast3disOutput:
    """Raw predictions for (B, S) views; masks are products, made only for the queries that are wanted."""

    geometry: Da3Output
    layers: Sequence[AnchorPrediction]  # the last one is the answer
    mask_features: Tensor  # (B, S, C, h, w) at 2/7 of the image
    unit: Tensor  # (B,) median depth: what anchors are measured in

    @property
    def class_logits(self) -> Tensor:
        """(B, Q, 2) object, nothing."""
        return self.layers[-1].class_logits

    def mask_logits(self, queries: Tensor | slice = slice(None), layer: int = -1) -> Tensor:
        """(B, n, S, h, w) of some queries, all by default (Eq. 6)."""
        return torch.einsum("bqc,bschw->bqshw", self.layers[layer].mask_embedding[:, queries], self.mask_features)


class PixelDecoder(TapPyramid):
    """Taps of the feature pass and the point map of the geometry pass -> maps at 1/28, 1/14 and 1/7, mask features at 2/7."""

    def __init__(self, dim: int, features: int, channels: tuple[int, int, int, int]) -> None:
        super().__init__(dim, features, channels)
        self.inject = nn.Conv2d(3, features, kernel_size=1)
        self.fusions = nn.ModuleList(Fusion(features, first=number == 0, rectified_skip=False) for number in range(3))
        self.mask_output = nn.Conv2d(features, features, kernel_size=3, padding=1)

    def forward(self, taps: list[Tensor], points: Tensor, image_hw: tuple[int, int]) -> tuple[list[Tensor], Tensor]:
        """Taps (n, patches, dim) and points (n, 3, H, W) -> three maps (n, features, h, w) from coarse to fine, and the mask
        features."""
        grid_hw = (image_hw[0] // PATCH_SIZE, image_hw[1] // PATCH_SIZE)
        finest, fine, middle, coarse = self.pyramid(taps, grid_hw, image_hw[1] / image_hw[0])
        x = coarse + self.inject(F.interpolate(points, size=coarse.shape[-2:], mode="bilinear"))
        maps = [x]
        for fusion, level, target in zip(self.fusions, (None, middle, fine), (middle, fine, finest), strict=True):
            x = fusion(x, level, (target.shape[-2], target.shape[-1]))
            maps.append(x)
        return maps[:3], self.mask_output(x + finest)


class Fast3dis(nn.Module):
    """The whole network. `da3` is frozen but for its low-rank corrections."""

    def __init__(self, settings: Fast3disSettings) -> None:
        super().__init__()
        linear = partial(LoraLinear, rank=settings.lora_rank, alpha=settings.lora_alpha)
        self.settings = settings
        self.da3 = AnyViewDa3(settings.base, linear).requires_grad_(False)
        for layer in self.lora_layers():
            layer.lora.requires_grad_(True)
        self.pixels = PixelDecoder(2 * settings.base.backbone.dim, settings.decoder.dim, settings.base.head.channels)
        self.decoder = AnchorDecoder(settings.decoder)

    def lora_layers(self) -> list[LoraLinear]:
        """The adapted layers of the backbone."""
        return [module for module in self.da3.modules() if isinstance(module, LoraLinear)]

    def forward(
        self,
        images: Tensor,
        *,
        cameras: tuple[Tensor, Tensor] | None = None,
        backbone_dtype: torch.dtype | None = None,
    ) -> Fast3disOutput:
        """`images` (B, S, 3, H, W) RGB 0..1, H and W multiples of 14; `cameras`, `backbone_dtype`: see `AnyViewDa3.forward`."""
        require_images(images, PATCH_SIZE)
        image_hw = (images.shape[-2], images.shape[-1])
        with torch.autocast(images.device.type, dtype=backbone_dtype, enabled=backbone_dtype is not None):
            plain, adapted = self.dual_pass(images, cameras)
        with torch.no_grad():
            geometry = self.da3.predict(plain, image_hw)
            unit, points, cam_from_first = self._geometry(geometry)
        taps = [tap.flatten(0, 1).float() for tap in adapted.taps]
        maps, mask_features = self.pixels(taps, points.flatten(0, 1), image_hw)
        leading = images.shape[:2]
        deepest = maps[0].unflatten(0, leading)
        size = images.new_tensor([image_hw[1], image_hw[0]])
        k = geometry.intrinsics
        focal_center = torch.stack([k[..., 0, 0], k[..., 1, 1], k[..., 0, 2], k[..., 1, 2]], dim=-1) / torch.cat([size, size])
        views = SceneViews(tuple(m.unflatten(0, leading) for m in maps), deepest.mean((1, 3, 4)), cam_from_first, focal_center)
        return Fast3disOutput(geometry, self.decoder(views), mask_features.unflatten(0, leading), unit)

    def dual_pass(self, images: Tensor, cameras: tuple[Tensor, Tensor] | None) -> tuple[BackboneTokens, BackboneTokens]:
        """Tokens of the geometry pass and of the feature pass. While training, the frozen pass keeps nothing for gradients."""
        backbone = self.da3.backbone.pretrained
        grid_hw = (images.shape[-2] // PATCH_SIZE, images.shape[-1] // PATCH_SIZE)
        with torch.no_grad():
            known = self.da3.camera_tokens(images, cameras)
            shared, order = backbone.single_view_tokens(imagenet_normalised(images), known, "saddle_balanced")
        if torch.is_grad_enabled():
            with torch.no_grad(), lora_rows(backbone, "none"):
                plain = backbone.cross_view_tokens([x.clone() for x in shared], order, grid_hw)
            return plain, backbone.cross_view_tokens(shared, order, grid_hw)
        with lora_rows(backbone, "second half"):
            both = backbone.cross_view_tokens([torch.cat([x, x]) for x in shared], torch.cat([order, order]), grid_hw)
        return _half(both, 0), _half(both, 1)

    @staticmethod
    def _geometry(geometry: Da3Output) -> tuple[Tensor, Tensor, Tensor]:
        """Median depth (B,), point map (B, S, 3, H, W) and cameras (B, S, 4, 4) in that unit and the first camera's frame."""
        unit = geometry.depth.flatten(1).median(dim=1).values
        cam_from_first = geometry.cam_from_world @ invert_rigid(geometry.cam_from_world[:, :1])
        cam_from_first[..., :3, 3] /= unit[:, None, None]
        depth = geometry.depth / unit[:, None, None, None]
        return unit, unproject_depth(depth, geometry.intrinsics, cam_from_first).movedim(-1, 2), cam_from_first


def _half(tokens: BackboneTokens, which: int) -> BackboneTokens:
    return BackboneTokens(
        tuple(tap.chunk(2)[which] for tap in tokens.taps), tokens.camera.chunk(2)[which], tokens.reference.chunk(2)[which]
    )
