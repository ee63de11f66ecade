"""FAST3DIS's anchors on a frozen MapAnything, whose geometry is metric and takes whatever is known of cameras and depth.

As on Depth Anything 3: the geometry pass is MapAnything untouched, the feature pass has low-rank corrections in the blocks in
which views see each other, and what comes before is computed once for both. The paper knows Depth Anything 3 alone; which levels
of MapAnything anchors look at is chosen here: four of its shared blocks, about evenly deep.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from pan3d_core.models.da3.network import Da3Output
from pan3d_core.models.fast3dis.anchor_decoder import AnchorDecoder, AnchorSettings
from pan3d_core.models.fast3dis.network import Fast3disOutput, PixelDecoder, described, scene_geometry
from pan3d_core.models.layers.transformer import LoraLinear, lora_rows
from pan3d_core.models.mapanything import MapAnything, MapAnythingOutput, MapAnythingSizes
from pan3d_core.models.mapanything.cameras import cameras_of_output, known_of_scenes, z_depth_of_output

NEAREST_M = 1e-3  # of points that anchors are told of; surfaces are farther away


@dataclass(frozen=True)
class MapAnchorsSettings:
    """One network."""

    base: MapAnythingSizes
    decoder: AnchorSettings = field(default_factory=AnchorSettings)
    lora_rank: int = 16
    lora_alpha: float = 16.0

    @property
    def taps(self) -> tuple[int, int, int]:
        """Shared blocks that anchors look at, beside the last one: those of the dense head, and one half as deep."""
        first, second = self.base.taps
        return max((first + 1) // 2 - 1, 0), first, second


class MapAnchors(nn.Module):
    """The whole network. `map_anything` is frozen but for its low-rank corrections."""

    def __init__(self, settings: MapAnchorsSettings) -> None:
        super().__init__()
        base = settings.base
        if len(base.channels) != 4:
            raise ValueError(f"MapAnythingSizes.channels: expected four levels, got {len(base.channels)}")
        linear = partial(LoraLinear, rank=settings.lora_rank, alpha=settings.lora_alpha)
        self.settings = settings
        self.map_anything = MapAnything(base, linear).requires_grad_(False)
        for layer in self.lora_layers():
            layer.lora.requires_grad_(True)
        first, second, third, last = base.channels
        self.pixels = PixelDecoder(base.shared_dim, settings.decoder.dim, (first, second, third, last))
        self.decoder = AnchorDecoder(settings.decoder)

    def lora_layers(self) -> list[LoraLinear]:
        """The adapted layers of MapAnything."""
        return [module for module in self.map_anything.modules() if isinstance(module, LoraLinear)]

    def blocks(self) -> list[nn.Module]:
        """Blocks, in the order in which they run, that may be computed again in a backward pass."""
        base = self.map_anything
        encoder = base.encoder.get_submodule("model.blocks")
        return [*encoder.children(), *base.info_sharing.self_attention_blocks.children(), *self.decoder.layers.children()]

    def forward(
        self,
        images: Tensor,
        *,
        cameras: tuple[Tensor, Tensor] | None = None,
        depth: Tensor | None = None,
        backbone_dtype: torch.dtype | None = None,
    ) -> Fast3disOutput:
        """Find objects.

        Args:
            images: (B, S, 3, H, W) RGB 0..1, sides in multiples of 14.
            cameras: `cam_from_world` (B, S, 4, 4) in metres and intrinsics (B, S, 3, 3) in pixels counted from their centres, or
                None. Known ones also take the place of the predicted ones where anchors are projected.
            depth: (B, S, H, W) z-depth in metres, 0 = not measured; told only where cameras are known.
            backbone_dtype: Precision of MapAnything's blocks under autocast; None = float32.

        Returns:
            Predictions, of which depth and cameras are in metres; depth is 0 where no surface is seen.
        """
        base, image_hw = self.map_anything, (images.shape[-2], images.shape[-1])
        cam_from_world, intrinsics = (None, None) if cameras is None else cameras
        known = known_of_scenes(image_hw, intrinsics, cam_from_world, None if cameras is None else depth)
        with torch.no_grad():
            tokens = base.view_tokens(images, known, backbone_dtype)
            with lora_rows(base.info_sharing, "none"):
                levels, scale = base.mixed(tokens, base.sizes.taps, backbone_dtype)
            found = base.read(tokens.patches, levels, scale, image_hw)
            geometry = geometry_of(found)
            scene = scene_geometry(geometry_of(found, everywhere=True), cameras)
        del levels  # as large as what the next step makes
        taps, _ = base.mixed(tokens, self.settings.taps, backbone_dtype)
        layers, mask_features = described(self.pixels, self.decoder, (taps, scene), image_hw)
        return Fast3disOutput(geometry, layers, mask_features, scene.unit)


def geometry_of(output: MapAnythingOutput, *, everywhere: bool = False) -> Da3Output:
    """Say what MapAnything found as Depth Anything 3 does, in metres.

    Args:
        output: Of B scenes.
        everywhere: Depth also where no surface is seen; points must be somewhere.

    Returns:
        The same, without rays.
    """
    cam_from_world, intrinsics = cameras_of_output(output)
    from_corner = intrinsics.clone()
    from_corner[..., :2, 2] += 0.5
    depth = (output.distance * output.rays[..., 2]).clamp_min(NEAREST_M) if everywhere else z_depth_of_output(output)
    return Da3Output(depth, output.confidence, cam_from_world, from_corner)
