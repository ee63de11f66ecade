"""FAST3DIS: instances by 3D anchors on a frozen Depth Anything 3, in one forward pass.

The geometry pass is Depth Anything 3 untouched, the feature pass has low-rank corrections (LoRA). Here the corrections begin at
the first cross-view block, so that everything before it is computed once for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.models.da3.backbone import PATCH_SIZE, BackboneTokens
from pan3d_core.models.da3.cameras import pixel_centred
from pan3d_core.models.da3.network import AnyViewDa3, Da3Output, Da3Settings
from pan3d_core.models.fast3dis.anchor_decoder import AnchorDecoder, AnchorPrediction, AnchorSettings, SceneViews
from pan3d_core.models.layers.dpt import Fusion, TapPyramid
from pan3d_core.models.layers.transformer import LoraLinear, lora_rows
from pan3d_core.models.vggt.network import imagenet_normalized, require_images
from pan3d_core.runtime.exporting import is_functional
from pan3d_core.structures import present


@dataclass(frozen=True)
class Fast3disSettings:
    """One network. What the paper leaves open is marked as assumed."""

    base: Da3Settings
    decoder: AnchorSettings = field(default_factory=AnchorSettings)
    lora_rank: int = 16  # assumed
    lora_alpha: float = 16.0  # assumed
    # Which blocks of the backbone have corrections: those from the first cross-view one on, so that both passes share what comes
    # before, or "all", for which the paper can be read and which costs a second pass through these.
    lora_blocks: Literal["cross_view", "all"] = "cross_view"

    def __post_init__(self) -> None:
        if self.lora_blocks not in ("cross_view", "all"):
            raise ValueError(f"Fast3disSettings.lora_blocks: expected cross_view or all, got {self.lora_blocks!r}")


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


@dataclass(frozen=True)
class SceneGeometry:
    """Points and cameras in the frame of the first view, in units of the median depth."""

    unit: Tensor  # (B,) median depth
    points: Tensor  # (B, S, 3, H, W)
    cam_from_first: Tensor  # (B, S, 4, 4)
    focal_center: Tensor  # (B, S, 4) as `SceneViews` has it


class PixelDecoder(TapPyramid):
    """Taps of the feature pass and the point map of the geometry pass -> maps at 1/28, 1/14 and 1/7, mask features at 2/7."""

    def __init__(self, dim: int, features: int, channels: tuple[int, int, int, int]) -> None:
        super().__init__(dim, features, channels)
        self.inject = nn.Conv2d(3, features, kernel_size=1)
        self.fusions = nn.ModuleList(Fusion(features, first=number == 0, rectified_skip=False) for number in range(3))
        self.mask_output = nn.Conv2d(features, features, kernel_size=3, padding=1)

    def forward(self, taps: list[Tensor], points: Tensor, image_hw: tuple[int, int]) -> tuple[list[Tensor], Tensor]:
        """Taps (n, patches, dim) and points (n, 3, H, W) -> three maps (n, features, h, w) from coarse to fine, and the mask
        features. Without gradient tracking one frame at a time."""
        if is_functional() or len(points) == 1:  # and a graph all at once, since a loop would fix their number
            *maps, mask_features = self._decoded(taps, points, image_hw)
        else:
            each = [self._decoded([tap[n : n + 1] for tap in taps], points[n : n + 1], image_hw) for n in range(len(points))]
            *maps, mask_features = [torch.cat(level) for level in zip(*each, strict=True)]
        return maps, mask_features

    def _decoded(self, taps: list[Tensor], points: Tensor, image_hw: tuple[int, int]) -> list[Tensor]:
        """The three maps and the mask features."""
        grid_hw = (image_hw[0] // PATCH_SIZE, image_hw[1] // PATCH_SIZE)
        finest, fine, middle, coarse = self.pyramid(taps, grid_hw, image_hw[1] / image_hw[0])
        x = coarse + self.inject(F.interpolate(points, size=coarse.shape[-2:], mode="bilinear"))
        maps = [x]
        for fusion, level, target in zip(self.fusions, (None, middle, fine), (middle, fine, finest), strict=True):
            x = fusion(x, level, (target.shape[-2], target.shape[-1]))
            maps.append(x)
        return [*maps[:3], self.mask_output(x + finest)]


class Fast3dis(nn.Module):
    """The whole network. `da3` is frozen but for its low-rank corrections."""

    def __init__(self, settings: Fast3disSettings) -> None:
        super().__init__()
        linear = partial(LoraLinear, rank=settings.lora_rank, alpha=settings.lora_alpha)
        self.settings = settings
        self.da3 = AnyViewDa3(settings.base, linear, adapt_all=settings.lora_blocks == "all").requires_grad_(False)
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
        """`images` (B, S, 3, H, W) RGB 0..1, H and W multiples of 14; `cameras`, `backbone_dtype`: see `AnyViewDa3.forward`.

        Known cameras also take the place of the predicted ones where anchors are projected and points are made, which the
        paper, that knows none, leaves open. Integer pixels of their intrinsics are pixel centres."""
        require_images(images, PATCH_SIZE)
        image_hw = (images.shape[-2], images.shape[-1])
        with torch.autocast(images.device.type, dtype=backbone_dtype, enabled=backbone_dtype is not None):
            plain, adapted = self.dual_pass(images, cameras)
        with torch.no_grad():
            geometry = self.da3.predict(plain, image_hw)
            scene = scene_geometry(geometry, cameras)
        del plain  # as large as what the next step makes
        layers, mask_features = self.described(adapted, scene, image_hw)
        return Fast3disOutput(geometry, layers, mask_features, scene.unit)

    def blocks(self) -> list[nn.Module]:
        """Blocks, in the order in which they run, that may be computed again in a backward pass."""
        return [*self.da3.backbone.pretrained.blocks.children(), *self.decoder.layers.children()]

    def described(
        self, adapted: BackboneTokens, scene: SceneGeometry, image_hw: tuple[int, int]
    ) -> tuple[list[AnchorPrediction], Tensor]:
        """Tokens of the feature pass and the geometry -> predictions of every layer, and mask features (B, S, C, h, w)."""
        return described(self.pixels, self.decoder, (adapted.taps, scene), image_hw)

    def dual_pass(
        self, images: Tensor, cameras: tuple[Tensor, Tensor] | None, *, batched: bool | None = None
    ) -> tuple[BackboneTokens, BackboneTokens]:
        """Tokens of the geometry pass and of the feature pass. While training, the frozen pass keeps nothing for gradients.

        `cameras` as in `forward`; `batched` as in `both_passes`.
        """
        with torch.no_grad():
            known = self.da3.camera_tokens(images, cameras)
        return self.both_passes(images, known, batched=batched)

    def both_passes(
        self, images: Tensor, known: Tensor | None, posed: Tensor | None = None, *, batched: bool | None = None
    ) -> tuple[BackboneTokens, BackboneTokens]:
        """The same from the tokens of known cameras; `posed` as in `Da3Backbone.single_view_tokens`.

        `batched` (not while training): what differs runs as one batch, with half as many calls and twice the memory; by default
        where calls cost something, which is not on a CPU.
        """
        backbone = self.da3.backbone.pretrained
        grid_hw = (images.shape[-2] // PATCH_SIZE, images.shape[-1] // PATCH_SIZE)
        if self.settings.lora_blocks == "all":  # the passes share nothing
            with torch.no_grad(), lora_rows(backbone, "none"):
                tokens = backbone.single_view_tokens(imagenet_normalized(images), known, "saddle_balanced", posed)
                plain = backbone.cross_view_tokens(*tokens, grid_hw)
            tokens = backbone.single_view_tokens(imagenet_normalized(images), known, "saddle_balanced", posed)
            return plain, backbone.cross_view_tokens(*tokens, grid_hw)
        with torch.no_grad():
            shared, order = backbone.single_view_tokens(imagenet_normalized(images), known, "saddle_balanced", posed)
        if is_functional() or not (images.device.type != "cpu" if batched is None else batched):
            with torch.no_grad(), lora_rows(backbone, "none"):
                plain = backbone.cross_view_tokens([*shared[:-1], shared[-1].clone()], order, grid_hw)
            return plain, backbone.cross_view_tokens(shared, order, grid_hw)
        with lora_rows(backbone, "second half"):
            both = backbone.cross_view_tokens([torch.cat([x, x]) for x in shared], torch.cat([order, order]), grid_hw)
        return _half(both, 0), _half(both, 1)


def described(
    pixels: PixelDecoder, decoder: AnchorDecoder, seen: tuple[Sequence[Tensor], SceneGeometry], image_hw: tuple[int, int]
) -> tuple[list[AnchorPrediction], Tensor]:
    """Four taps (B, S, patches, dim) and the geometry -> predictions of every layer, and mask features (B, S, C, h, w)."""
    taps, scene = seen
    leading = taps[0].shape[:2]
    maps, mask_features = pixels([tap.flatten(0, 1).float() for tap in taps], scene.points.flatten(0, 1), image_hw)
    deepest = maps[0].unflatten(0, leading).mean((1, 3, 4))
    maps = tuple(m.unflatten(0, leading) for m in maps)
    layers = decoder(SceneViews(maps, deepest, scene.cam_from_first, scene.focal_center))
    return layers, mask_features.unflatten(0, leading)


def scene_geometry(geometry: Da3Output, cameras: tuple[Tensor, Tensor] | None, posed: Tensor | None = None) -> SceneGeometry:
    """What the decoder is told of predicted depth, in predicted or, where known, given `cameras` (see `Fast3dis.forward`).

    `posed` (B,) 1 or 0 is for graphs: `cameras` are there in any case, and count where it is 1."""
    height, width = geometry.depth.shape[-2:]
    unit = lower_median(geometry.depth.flatten(1))
    predicted = geometry.cam_from_world @ invert_rigid(geometry.cam_from_world[:, :1])
    cam_from_first, intrinsics = predicted, pixel_centred(geometry.intrinsics)
    if cameras is not None:
        known = in_unit_of(cameras[0] @ invert_rigid(cameras[0][:, :1]), predicted), cameras[1]
        counts = (torch.ones_like(unit) if posed is None else posed)[:, None, None, None] > 0
        cam_from_first, intrinsics = torch.where(counts, known[0], predicted), torch.where(counts, known[1], intrinsics)
    scaled = cam_from_first[..., :3, 3:] / unit[:, None, None, None]
    cam_from_first = torch.cat([torch.cat([cam_from_first[..., :3, :3], scaled], -1), cam_from_first[..., 3:, :]], -2)
    points = unproject_depth(geometry.depth / unit[:, None, None, None], intrinsics, cam_from_first).movedim(-1, 2)
    size = intrinsics.new_tensor([width, height])
    focal = torch.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], dim=-1)
    center = intrinsics[..., :2, 2] + 0.5  # shares of the image count from its edge
    return SceneGeometry(unit, points, cam_from_first, torch.cat([focal / size, center / size], dim=-1))


def in_unit_of(given: Tensor, predicted: Tensor) -> Tensor:
    """Given cameras (B, S, 4, 4) with translations in the unit of the predicted ones, by the median ratio of the distances
    between them, so that badly predicted cameras change little. Without any distance they stay as they are."""
    centers, wanted = invert_rigid(given)[..., :3, 3], invert_rigid(predicted)[..., :3, 3]
    apart = distances(centers).flatten(1)
    known = apart > 1e-4 * apart.amax(dim=1, keepdim=True).clamp_min(1e-9)
    ratios = torch.where(known, distances(wanted).flatten(1) / apart.clamp_min(1e-12), torch.inf).sort(dim=1).values
    count = known.sum(dim=1, keepdim=True)
    ratio = torch.where(count > 0, ratios.gather(1, (count - 1).clamp_min(0) // 2), 1.0)
    scaled = given[..., :3, 3:] * ratio[:, :, None, None]
    return torch.cat([torch.cat([given[..., :3, :3], scaled], dim=-1), given[..., 3:, :]], dim=-2)


def distances(points: Tensor) -> Tensor:
    """(B, N, 3) -> (B, N, N) between all of them; `torch.cdist` has no place in a graph."""
    apart: Tensor = (points[:, :, None] - points[:, None]).norm(dim=-1)
    return apart


def lower_median(values: Tensor) -> Tensor:
    """(B, N) -> (B,) as `median` has it; by sorting where a graph is written, which knows no other way."""
    if not torch.compiler.is_exporting():
        return values.median(dim=1).values
    return values.sort(dim=1).values[:, (values.shape[1] - 1) // 2]


def _half(tokens: BackboneTokens, which: int) -> BackboneTokens:
    camera = present("BackboneTokens.camera", tokens.camera)
    return BackboneTokens(
        tuple(tap.chunk(2)[which] for tap in tokens.taps), camera.chunk(2)[which], tokens.reference.chunk(2)[which]
    )
