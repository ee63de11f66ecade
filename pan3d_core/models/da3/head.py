"""Dense heads of Depth Anything 3: depth, rays and sky from the four taps of the backbone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pan3d_core.models.layers.dpt import DPT, add_grid_embedding, dense_output, resize

AUXILIARY_STAGES = 4  # stages 0 to 2 are part of the checkpoints and served training only
NECK_CONVOLUTIONS = 5


@dataclass(frozen=True)
class HeadSettings:
    """Sizes of one member of the family."""

    features: int
    channels: tuple[int, int, int, int]


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (n, channels, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def frames_of(taps: list[Tensor]) -> Iterator[list[Tensor]]:
    """The taps (n, patches, dim) one frame after the other, since full-size maps are large; all at once for a graph, which a loop
    would fix the number of frames of."""
    if torch.compiler.is_exporting():
        yield taps
        return
    for frame in range(len(taps[0])):
        yield [tap[frame : frame + 1] for tap in taps]


def ray_neck(features: int) -> nn.Sequential:
    """3x3 convolutions without activations between them, to features / 2 channels."""
    half = features // 2
    sizes = [(features, half) if index % 2 == 0 else (half, features) for index in range(NECK_CONVOLUTIONS)]
    return nn.Sequential(*[nn.Conv2d(inputs, outputs, 3, padding=1) for inputs, outputs in sizes])


def ray_output(features: int, norm: ChannelNorm) -> nn.Sequential:
    """features / 2 channels -> six numbers of the ray and the logit of its confidence. Indices as in the checkpoints."""
    return nn.Sequential(
        nn.Conv2d(features // 2, 32, 3, padding=1), nn.Identity(), norm, nn.Identity(), nn.ReLU(), nn.Conv2d(32, 7, 1)
    )


class DualHead(DPT):
    """Depth at image size and, when asked for, a ray map at 8/14 of it, from one pyramid with two fusion chains."""

    def __init__(self, dim: int, settings: HeadSettings) -> None:
        features = settings.features
        super().__init__(
            dim=dim,
            features=features,
            out_channels=settings.channels,
            layers=(0, 1, 2, 3),
            rectified_skip=False,
            output_conv2=dense_output(features, 32, 2),
        )
        self.add_fusion_chain("_aux", features, rectified_skip=False)
        self.scratch.output_conv1_aux = nn.ModuleList(ray_neck(features) for _ in range(AUXILIARY_STAGES))
        norm = ChannelNorm(32)  # one object in all stages
        self.scratch.output_conv2_aux = nn.ModuleList(ray_output(features, norm) for _ in range(AUXILIARY_STAGES))

    def depth_of(self, maps: list[Tensor], image_hw: tuple[int, int]) -> Tensor:
        """Pyramid -> (n, 2, H, W): logarithm of depth, logit of confidence. Empties `maps`."""
        fused = resize(self.scratch.output_conv1(self.fuse(maps)), image_hw)
        raw: Tensor = self.scratch.output_conv2(add_grid_embedding(fused, image_hw[1] / image_hw[0]))
        return raw

    def rays_of(self, maps: list[Tensor], image_hw: tuple[int, int]) -> Tensor:
        """Pyramid -> (n, 7, 8 rows, 8 columns). Empties `maps`."""
        neck = self.scratch.output_conv1_aux[-1](self.fuse(maps, "_aux"))
        raw: Tensor = self.scratch.output_conv2_aux[-1](add_grid_embedding(neck, image_hw[1] / image_hw[0]))
        return raw

    def predict(self, taps: list[Tensor], image_hw: tuple[int, int], *, rays: bool) -> tuple[Tensor, Tensor | None]:
        """Four taps (n, patches, dim) -> raw depth (n, 2, H, W) and raw rays (n, 7, 8 rows, 8 columns) or None, one frame at a
        time."""
        grid_hw, aspect = (image_hw[0] // 14, image_hw[1] // 14), image_hw[1] / image_hw[0]
        depth, ray = [], []
        for levels in frames_of(taps):
            maps = self.pyramid(levels, grid_hw, aspect)
            if rays:
                ray.append(self.rays_of(list(maps), image_hw))
            depth.append(self.depth_of(maps, image_hw))
        return torch.cat(depth), torch.cat(ray) if rays else None


class MonocularHead(DPT):
    """Depth and sky of single views; no norm at the input, no embedding of place."""

    def __init__(self, dim: int, settings: HeadSettings) -> None:
        super().__init__(
            dim=dim,
            features=settings.features,
            out_channels=settings.channels,
            layers=(0, 1, 2, 3),
            plain=True,
            rectified_skip=False,
            output_conv2=dense_output(settings.features, 32, 1),
            sky_output_conv2=dense_output(settings.features, 32, 1),
        )

    def predict(self, taps: list[Tensor], image_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Four taps (n, patches, dim) -> logarithm of depth and sky value, (n, H, W) each, frame by frame."""
        grid_hw, aspect = (image_hw[0] // 14, image_hw[1] // 14), image_hw[1] / image_hw[0]
        depth, sky = [], []
        for levels in frames_of(taps):
            fused = resize(self(levels, grid_hw, aspect), image_hw)
            depth.append(self.scratch.output_conv2(fused)[:, 0])
            sky.append(self.scratch.sky_output_conv2(fused)[:, 0].relu())
        return torch.cat(depth), torch.cat(sky)
