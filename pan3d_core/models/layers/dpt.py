"""Dense prediction head (DPT, Ranftl et al. 2021) as VGGT and Depth Anything 3 use it.

Numbers to keep in mind when comparing with a textbook DPT: the residual units' skip path carries
relu(x) in VGGT (trained that way), and a sine/cosine embedding of the pixel's place is added twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.runtime.exporting import is_functional

# Weight of the grid embedding beside the features.
GRID_EMBEDDING_SCALE = 0.1


def grid_embedding(grid_hw: tuple[int, int], channels: int, aspect: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Embedding of the pixel grid, as its two independent parts: (columns, channels / 2) and (rows, channels / 2).

    `aspect` is width / height of the image, also when the grid is coarser. Pixel centres lie on a
    rectangle with unit half diagonal; each part is [sines | cosines] over channels / 4 frequencies
    from 1 down to 1/100. Double precision inside (float32 where a device has none).
    """
    dtype = torch.float32 if device.type == "mps" else torch.float64
    quarter = channels // 4
    frequencies = 100.0 ** (-torch.arange(quarter, device=device, dtype=dtype) / quarter)
    diagonal = math.sqrt(aspect * aspect + 1)
    parts = []
    for count, half_extent in ((grid_hw[1], aspect / diagonal), (grid_hw[0], 1 / diagonal)):
        edge = half_extent * (count - 1) / count
        places = torch.linspace(-edge, edge, count, device=device, dtype=torch.float32)
        angles = places.to(dtype)[:, None] * frequencies
        parts.append(torch.cat([angles.sin(), angles.cos()], dim=-1).float())
    return parts[0], parts[1]


def add_grid_embedding(x: Tensor, aspect: float) -> Tensor:
    """Add the scaled embedding to (n, channels, h, w); without gradient tracking in place."""
    across, down = grid_embedding((x.shape[-2], x.shape[-1]), x.shape[1], aspect, x.device)
    across, down = across.T[:, None, :] * GRID_EMBEDDING_SCALE, down.T[:, :, None] * GRID_EMBEDDING_SCALE
    half = x.shape[1] // 2
    if is_functional():
        return torch.cat([x[:, :half] + across, x[:, half:] + down], dim=1)
    x[:, :half] += across
    x[:, half:] += down
    return x


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear with aligned corners."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


class ResidualUnit(nn.Module):
    """conv(relu(conv(relu(x)))) + relu(x), or + x when not `rectified_skip`."""

    def __init__(self, channels: int, *, rectified_skip: bool = True) -> None:
        super().__init__()
        self.rectified_skip = rectified_skip
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        rectified = F.relu(x)
        change: Tensor = self.conv2(F.relu_(self.conv1(rectified)))
        return change.add_(rectified if self.rectified_skip else x)


class Fusion(nn.Module):
    """Merge a finer level into the running map and resize it."""

    def __init__(self, channels: int, *, first: bool = False, rectified_skip: bool = True) -> None:
        super().__init__()
        if not first:
            self.resConfUnit1 = ResidualUnit(channels, rectified_skip=rectified_skip)
        self.resConfUnit2 = ResidualUnit(channels, rectified_skip=rectified_skip)
        self.out_conv = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, x: Tensor, level: Tensor | None, size: tuple[int, int]) -> Tensor:
        if level is not None:
            x = self.resConfUnit1(level).add_(x)
        # A 1x1 convolution commutes with the interpolation (its weights sum to 1): cheaper before it.
        return resize(self.out_conv(self.resConfUnit2(x)), size)


class TokenProjection(nn.Conv2d):
    """A 1x1 convolution of a grid of tokens, computed as a linear map: that leaves its result in channels-last order, which the
    following convolutions work fastest in."""

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__(dim, channels, kernel_size=1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, patches, dim) -> (n, patches, channels)."""
        return F.linear(tokens, self.weight.flatten(1), self.bias)


class Scratch(nn.Module):
    """Modules that the checkpoints keep under `scratch`, by their names there. A head has those that it was built with."""

    output_conv1: nn.Conv2d
    output_conv2: nn.Sequential
    sky_output_conv2: nn.Sequential
    output_instance: nn.Sequential
    output_conv1_aux: nn.ModuleList
    output_conv2_aux: nn.ModuleList


class TapPyramid(nn.Module):
    """Four token levels of one transformer -> four maps of `features` channels at 4, 2, 1 and 1/2 of the token grid.

    `plain`: neither a norm at the input nor embeddings of place.
    """

    def __init__(self, dim: int, features: int, out_channels: tuple[int, int, int, int], *, plain: bool = False) -> None:
        super().__init__()
        self.plain = plain
        self.norm = nn.Identity() if plain else nn.LayerNorm(dim)
        self.projects = nn.ModuleList([TokenProjection(dim, channels) for channels in out_channels])
        first, second, _, last = out_channels
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(first, first, kernel_size=4, stride=4),
                nn.ConvTranspose2d(second, second, kernel_size=2, stride=2),
                nn.Identity(),
                nn.Conv2d(last, last, kernel_size=3, stride=2, padding=1),
            ]
        )
        self.scratch = Scratch()
        for level, channels in enumerate(out_channels, start=1):
            convolution = nn.Conv2d(channels, features, kernel_size=3, padding=1, bias=False)
            self.scratch.add_module(f"layer{level}_rn", convolution)

    def level(self, index: int, tokens: Tensor, grid_hw: tuple[int, int], aspect: float) -> Tensor:
        """Patch tokens (n, patches, dim) of one layer -> (n, features, h', w') of pyramid level `index` (0 = finest)."""
        x: Tensor = self.projects[index](self.norm(tokens))
        x = x.unflatten(1, grid_hw).permute(0, 3, 1, 2)
        x = self.resize_layers[index](x if self.plain else add_grid_embedding(x, aspect))
        x = self.scratch.get_submodule(f"layer{index + 1}_rn")(x)
        return x

    def pyramid(self, levels: list[Tensor], grid_hw: tuple[int, int], aspect: float) -> list[Tensor]:
        """Patch tokens (n, patches, dim) of the four layers -> maps (n, features, h', w') from fine to coarse."""
        return [self.level(index, tokens, grid_hw, aspect) for index, tokens in enumerate(levels)]


class DPT(TapPyramid):
    """Four token levels -> one map of `features / 2` channels at 8/14 of the image size.

    `outputs` are further modules of the head, registered under `scratch` as the checkpoints name them. `plain`: see
    `TapPyramid`; `rectified_skip`: see `ResidualUnit`.
    """

    def __init__(
        self,
        *,
        dim: int = 2048,
        features: int = 256,
        out_channels: tuple[int, int, int, int] = (256, 512, 1024, 1024),
        layers: tuple[int, int, int, int] = (4, 11, 17, 23),
        plain: bool = False,
        rectified_skip: bool = True,
        frames_per_chunk: int = 1,
        **outputs: nn.Module,
    ) -> None:
        super().__init__(dim, features, out_channels, plain=plain)
        self.layers = layers
        self.frames_per_chunk = frames_per_chunk
        self.add_fusion_chain("", features, rectified_skip=rectified_skip)
        self.scratch.output_conv1 = nn.Conv2d(features, features // 2, kernel_size=3, padding=1)
        for name, module in outputs.items():
            self.scratch.add_module(name, module)

    def add_fusion_chain(self, suffix: str, features: int, *, rectified_skip: bool) -> None:
        """Modules `refinenet1` to `refinenet4` with `suffix`, for `fuse`."""
        for level in range(1, len(self.projects) + 1):
            fusion = Fusion(features, first=level == len(self.projects), rectified_skip=rectified_skip)
            self.scratch.add_module(f"refinenet{level}{suffix}", fusion)

    def forward(self, levels: list[Tensor], grid_hw: tuple[int, int], aspect: float) -> Tensor:
        """Patch tokens (n, patches, dim) of the four layers -> (n, features / 2, 8 rows, 8 columns)."""
        result: Tensor = self.scratch.output_conv1(self.fuse(self.pyramid(levels, grid_hw, aspect)))
        return result

    def fuse(self, maps: list[Tensor], suffix: str = "") -> Tensor:
        """The pyramid's maps, from coarse to fine -> (n, features, 8 rows, 8 columns). Empties `maps`, so each is freed early."""
        x = maps.pop()
        size = (maps[-1].shape[-2], maps[-1].shape[-1])
        x = self.scratch.get_submodule(f"refinenet4{suffix}")(x, None, size)
        for number in (3, 2):
            finer = maps.pop()
            size = (maps[-1].shape[-2], maps[-1].shape[-1])
            x = self.scratch.get_submodule(f"refinenet{number}{suffix}")(x, finer, size)
        finer = maps.pop()
        size = (2 * finer.shape[-2], 2 * finer.shape[-1])
        finest: Tensor = self.scratch.get_submodule(f"refinenet1{suffix}")(x, finer, size)
        return finest


def fused_chunks(head: DPT, features: dict[int, Tensor], grid_hw: tuple[int, int], aspect: float) -> Iterator[Tensor]:
    """Run the head a few frames at a time: frames are independent, and full-size maps are large.

    Args:
        head: Takes `frames_per_chunk` frames at once.
        features: Layer -> (B, S, tokens, dim), special tokens first.
        grid_hw: Rows and columns of patches.
        aspect: Width of the image over its height.

    Yields:
        (n, features / 2, 8 rows, 8 columns) of n frames.
    """
    patches = grid_hw[0] * grid_hw[1]
    levels = [features[layer].flatten(0, 1)[:, -patches:] for layer in head.layers]
    if torch.compiler.is_exporting():  # a loop would fix the number of frames
        yield head(levels, grid_hw, aspect)
        return
    for start in range(0, len(levels[0]), head.frames_per_chunk):
        chunk = slice(start, start + head.frames_per_chunk)
        yield head([tokens[chunk] for tokens in levels], grid_hw, aspect)


def dense_output(features: int, hidden: int, channels: int) -> nn.Sequential:
    """Make the last convolutions of a depth or point head, applied at full size.

    Args:
        features: Of the head, which gives half of them.
        hidden: Channels between the two convolutions.
        channels: Of the result.

    Returns:
        (n, features / 2, H, W) -> (n, channels, H, W).
    """
    return nn.Sequential(
        nn.Conv2d(features // 2, hidden, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, channels, kernel_size=1),
    )


def dense_maps(head: DPT, features: dict[int, Tensor], image_hw: tuple[int, int], grid_hw: tuple[int, int]) -> Tensor:
    """Compute raw per-pixel outputs of a head with `output_conv2`.

    Args:
        head: Takes `frames_per_chunk` frames at once.
        features: Layer -> (B, S, tokens, dim), special tokens first.
        image_hw: H and W, pixels.
        grid_hw: Rows and columns of patches.

    Returns:
        (B * S, channels, H, W).
    """
    aspect = image_hw[1] / image_hw[0]
    maps = [
        head.scratch.output_conv2(add_grid_embedding(resize(fused, image_hw), aspect))
        for fused in fused_chunks(head, features, grid_hw, aspect)
    ]
    return torch.cat(maps)
