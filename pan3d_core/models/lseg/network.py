"""The image encoder of LSeg (Li et al. 2022): a vision transformer, and the head of DPT down to one vector a pixel.

Parameter names are those of the official checkpoints without their Lightning prefix, and weights are loaded strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.models.layers import PatchProjection, PlainBlock
from pan3d_core.runtime.weights import assign_weights, read_weights

PATCH = 16
MULTIPLE = 32  # of the pictures' sides: the coarsest level has half the patches of a side
HEAD_CHANNELS = 64
LEVELS = 4
WRAPPER = "net."  # of the Lightning module
# The text tower, the unused class head of the vision transformer, and what training alone needed.
NOT_OF_THE_IMAGE = ("clip_pretrained.", "pretrained.model.head.", "auxlayer.", "logit_scale")
_TELLING = ("pretrained.model.pos_embed", "pretrained.model.blocks.0.mlp.fc1.weight", "scratch.head1.weight")


@dataclass(frozen=True)
class LsegSizes:
    """Which network; the defaults are those of the published one."""

    dim: int = 1024
    depth: int = 24
    native_grid: int = 24  # patches on a side of the pictures that the position table was learnt for
    channels: tuple[int, ...] = (256, 512, 1024, 1024)  # of the four levels, finest first
    features: int = 256  # of the head
    out: int = 512  # of a pixel's vector

    @property
    def taps(self) -> tuple[int, ...]:
        """Blocks whose tokens become levels, evenly to the last one."""
        return tuple(self.depth * (level + 1) // LEVELS - 1 for level in range(LEVELS))

    @classmethod
    def of_weights(cls, found: Mapping[str, Tensor], origin: str | Path) -> LsegSizes:
        """Read off the tensors of a file; `ValueError` where those that tell are missing."""
        levels = [f"pretrained.act_postprocess{level}.3.weight" for level in range(1, LEVELS + 1)]
        missing = [name for name in (*_TELLING, *levels) if name not in found]
        if missing:
            raise ValueError(f"weights: expected LSeg's image encoder with {missing[0]}, got none in {origin}")
        table, head = found[_TELLING[0]], found[_TELLING[2]]
        depth = len({name.split(".")[3] for name in found if name.startswith("pretrained.model.blocks.")})
        channels = tuple(len(found[name]) for name in levels)
        return cls(table.shape[-1], depth, round((table.shape[1] - 1) ** 0.5), channels, head.shape[1], head.shape[0])


class _VisionTransformer(nn.Module):
    """Tokens of a picture after the tapped blocks, each (B, 1 + patches, dim); no other norm is applied to them."""

    def __init__(self, sizes: LsegSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + sizes.native_grid**2, sizes.dim))
        self.patch_embed = PatchProjection(PATCH, sizes.dim)
        heads = sizes.dim // HEAD_CHANNELS
        blocks = [PlainBlock(sizes.dim, heads, scaled=False, gated=False) for _ in range(sizes.depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(sizes.dim, eps=1e-6)  # part of the checkpoints; the taps come before it

    def forward(self, images: Tensor) -> list[Tensor]:
        rows, columns = images.shape[-2] // PATCH, images.shape[-1] // PATCH
        grid = self.pos_embed[:, 1:].unflatten(1, (self.sizes.native_grid, self.sizes.native_grid)).permute(0, 3, 1, 2)
        places = F.interpolate(grid, size=(rows, columns), mode="bilinear").flatten(2).transpose(1, 2)
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(images), -1, -1)
        x = torch.cat([first, self.patch_embed(images) + places], dim=1)
        tapped = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.sizes.taps:
                tapped.append(x)
        return tapped


class _Readout(nn.Module):
    """Patch tokens that have seen the first token."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * dim, dim), nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        patches: Tensor = self.project(torch.cat([tokens[:, 1:], tokens[:, :1].expand_as(tokens[:, 1:])], dim=-1))
        return patches


class _Level(nn.ModuleList):
    """Tokens to a map of one level; places 1 and 2 of the official sequence have no parameters."""

    def __init__(self, dim: int, channels: int, level: int) -> None:
        parts: list[nn.Module] = [_Readout(dim), nn.Identity(), nn.Identity(), nn.Conv2d(dim, channels, 1)]
        if level < 2:
            factor = 4 // 2**level
            parts.append(nn.ConvTranspose2d(channels, channels, factor, factor))
        elif level == 3:
            parts.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1))
        super().__init__(parts)

    def forward(self, tokens: Tensor, hw: tuple[int, int]) -> Tensor:
        """(B, 1 + patches, dim) -> (B, channels, rows, columns), with `hw` patches."""
        found: Tensor = self[0](tokens).transpose(1, 2).unflatten(2, hw)
        for part in list(self)[3:]:
            found = part(found)
        return found


class _Residual(nn.Module):
    """x + norm(conv(relu(norm(conv(relu(x))))))."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(features), nn.BatchNorm2d(features)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(F.relu(x))))))
        return y


class _Refine(nn.Module):
    """A level joined to what comes from the coarser ones, at twice the size."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        self.resConfUnit1, self.resConfUnit2 = _Residual(features), _Residual(features)

    def forward(self, x: Tensor, finer: Tensor | None = None) -> Tensor:
        x = x if finer is None else x + self.resConfUnit1(finer)
        x = F.interpolate(self.resConfUnit2(x), scale_factor=2, mode="bilinear", align_corners=True)
        y: Tensor = self.out_conv(x)
        return y


class LsegImageEncoder(nn.Module):
    """Pictures to a vector for each pixel of half their size."""

    def __init__(self, sizes: LsegSizes | None = None) -> None:
        super().__init__()
        sizes = sizes or LsegSizes()
        self.sizes = sizes
        self.pretrained, self.scratch = nn.Module(), nn.Module()
        self.pretrained.model = _VisionTransformer(sizes)
        for level, channels in enumerate(sizes.channels):
            setattr(self.pretrained, f"act_postprocess{level + 1}", _Level(sizes.dim, channels, level))
            setattr(self.scratch, f"layer{level + 1}_rn", nn.Conv2d(channels, sizes.features, 3, padding=1, bias=False))
            setattr(self.scratch, f"refinenet{level + 1}", _Refine(sizes.features))
        self.scratch.head1 = nn.Conv2d(sizes.features, sizes.out, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Describe every pixel.

        Args:
            images: (B, 3, H, W) as `prepared_picture` makes them, sides in multiples of 32.

        Returns:
            (B, out, H / 2, W / 2) vectors of length 1.
        """
        hw = (images.shape[-2] // PATCH, images.shape[-1] // PATCH)
        levels = []
        encoder, head = self.pretrained.get_submodule, self.scratch.get_submodule
        for index, tokens in enumerate(encoder("model")(images), start=1):
            levels.append(head(f"layer{index}_rn")(encoder(f"act_postprocess{index}")(tokens, hw)))
        found = head("refinenet4")(levels[3])
        for index in (3, 2, 1):
            found = head(f"refinenet{index}")(found, levels[index - 1])
        return F.normalize(head("head1")(found), dim=1)


def prepared_picture(image: Tensor, longest: int = 480) -> Tensor:
    """Bring a picture to what the network takes.

    Args:
        image: (3, H, W) RGB 0..1.
        longest: Pixels of the longer side, about.

    Returns:
        (1, 3, h, w) in -1..1, sides in multiples of 32, nearly the picture's shape.
    """
    scale = longest / max(image.shape[-2:])
    size = [max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in image.shape[-2:]]
    return F.interpolate(image[None], size=size, mode="bilinear", antialias=True) * 2 - 1


def read_lseg_image_encoder(path: Path | str) -> LsegImageEncoder:
    """Read the image encoder of an official checkpoint.

    Args:
        path: A checkpoint of LSeg with a vision transformer in patches of 16, such as `demo_e200.ckpt`.

    Returns:
        The network, for inference.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no checkpoint of LSeg, or names or shapes differ.
    """
    found = {name.removeprefix(WRAPPER): value for name, value in read_weights(path).items()}
    with torch.device("meta"):
        model = LsegImageEncoder(LsegSizes.of_weights(found, path))
    assign_weights(model, found, origin=path, ignored_prefixes=NOT_OF_THE_IMAGE)
    return model.eval()
