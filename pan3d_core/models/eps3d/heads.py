"""Heads of AnySplat (Jiang et al. 2025) and EPS3D (Zhu et al. 2026): pixels to raw Gaussians, semantics and instance features.

Parameter names within a module are those of the official checkpoints; `network.official_name` maps the modules themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.language.text_space import text_cosines
from pan3d_core.models.layers.dpt import DPT, add_grid_embedding, dense_output, fused_chunks, resize
from pan3d_core.structures import present

if TYPE_CHECKING:
    from typing_extensions import Unpack

LOGIT_SCALE = 1 / 0.07  # of the cosine with a text, a constant of the text encoder that the semantics are distilled from


class PyramidSizes(TypedDict, total=False):
    """Sizes of a `DPT` that may differ from the published ones."""

    dim: int
    out_channels: tuple[int, int, int, int]
    layers: tuple[int, int, int, int]
    frames_per_chunk: int


class ImageDpt(DPT):
    """DPT at image size to which a shallow convolution of the image itself is added, so that fine texture is not lost.

    `channels` of raw output per pixel; `features` and the sizes in `pyramid` as in `DPT`.
    """

    def __init__(self, channels: int, *, features: int = 256, **pyramid: Unpack[PyramidSizes]) -> None:
        width = features // 2
        super().__init__(features=features, output_conv2=dense_output(features, width, channels), **pyramid)
        self.channels = channels
        self.input_merger = nn.Sequential(nn.Conv2d(3, width, kernel_size=7, padding=3), nn.ReLU(inplace=True))

    def chunks(self, tokens: dict[int, Tensor], images: Tensor, grid_hw: tuple[int, int]) -> Iterator[Tensor]:
        """Tokens {layer: (1, S, P, dim)}, images (S, 3, H, W) RGB 0..1 -> (n, channels, H, W), `frames_per_chunk` at a time."""
        image_hw = (images.shape[-2], images.shape[-1])
        aspect = image_hw[1] / image_hw[0]
        start = 0
        for fused in fused_chunks(self, tokens, grid_hw, aspect):
            # A graph has all frames at once, and its code must not look at how many.
            frames = images if torch.compiler.is_exporting() else images[start : start + len(fused)]
            x = resize(fused, image_hw).add_(self.input_merger(frames))
            raw: Tensor = self.scratch.output_conv2(add_grid_embedding(x, aspect))
            yield raw
            start += 0 if torch.compiler.is_exporting() else len(fused)


class Sem2Ins(nn.Module):
    """Semantics refine instance features (EPS3D Eq. 6), added through a learned gate that the text leaves out."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.w_1 = nn.Parameter(torch.tensor(0.1))
        self.proj_instance = nn.Linear(channels, channels)
        self.proj_semantic = nn.Linear(channels, channels)
        self.fusion = nn.Sequential(nn.Linear(2 * channels, channels), nn.ReLU(), nn.Linear(channels, channels))

    def forward(self, instance: Tensor, semantic: Tensor) -> Tensor:
        """Both (..., channels) -> instance features (..., channels)."""
        both = torch.cat([self.proj_instance(instance), self.proj_semantic(semantic)], dim=-1)
        change: Tensor = self.fusion(both)
        return instance + self.w_1 * change


class TextDecoder(nn.Module):
    """Rendered semantics -> the space of a text encoder, at half the size."""

    def __init__(self, channels: int = 32, text_channels: int = 512) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, text_channels, kernel_size=1)

    @property
    def _bias(self) -> Tensor:
        return present("TextDecoder.expand.bias", self.expand.bias)  # a convolution may have none, this one has

    def forward(self, rendered: Tensor) -> Tensor:
        """(V, channels, H, W) -> (V, text channels, H // 2, W // 2), not normalised."""
        features: Tensor = self.expand(half_size(rendered))
        return features

    def cosines(self, features: Tensor, text_features: Tensor) -> Tensor:
        """(..., channels) semantics and one (text channels,) row per text -> (..., T), without making the text-space features."""
        return text_cosines(features, text_features, self.expand.weight.flatten(1), self._bias)

    def logits(self, rendered: Tensor, text_features: Tensor) -> Tensor:
        """(V, channels, H, W) and one (text channels,) row per text, of any length but 0 -> (V, T, H, W) scaled cosines.

        The text-space map of 512 channels is never made, see `text_space.text_cosines`, whose errors these are. Where nothing
        was rendered the bias of the decoder speaks.
        """
        cosines = self.cosines(half_size(rendered).movedim(1, -1), text_features)
        return resize(LOGIT_SCALE * cosines.movedim(-1, 1), (rendered.shape[-2], rendered.shape[-1]))


def half_size(maps: Tensor) -> Tensor:
    """(V, channels, H, W) -> (V, channels, H // 2, W // 2), bilinear; for even sizes the mean of 2 x 2 pixels."""
    if min(maps.shape[-2:]) < 2:
        raise ValueError(f"rendered: expected at least 2 x 2 pixels, got shape {tuple(maps.shape)}")
    return F.interpolate(maps, scale_factor=0.5, mode="bilinear", align_corners=False)
