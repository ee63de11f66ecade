"""DINOv2 with registers: one image -> patch tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.models.layers.transformer import Block


class PatchProjection(nn.Module):
    """Non-overlapping patches through one linear map."""

    def __init__(self, patch_size: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, H, W) -> (n, patches, dim), row by row."""
        grid: Tensor = self.proj(images)
        return grid.flatten(2).transpose(1, 2)


class PatchEncoder(nn.Module):
    """Vision transformer of DINOv2 (Oquab et al. 2023) with register tokens (Darcet et al. 2023)."""

    patch_size = 14
    num_registers = 4

    def __init__(self, *, native_grid: int = 37, dim: int = 1024, depth: int = 24, num_heads: int = 16) -> None:
        super().__init__()
        self.native_grid = native_grid
        self.patch_embed = PatchProjection(self.patch_size, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, native_grid**2 + 1, dim))
        self.register_tokens = nn.Parameter(torch.zeros(1, self.num_registers, dim))
        # Part of the checkpoints; only DINOv2's own pre-training reads it.
        self.mask_token = nn.Parameter(torch.zeros(1, dim), requires_grad=False)
        blocks = [Block(dim, num_heads, eps=1e-6, init_scale=1.0) for _ in range(depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self._fixed: tuple[int, int] | None = None  # the size that `_table` is for

    @torch.no_grad()
    def fix_size(self, image_hw: tuple[int, int]) -> None:
        """Keep the position table of one size, for inference: a graph then holds it as numbers instead of the resizing, which
        runtimes do in ways of their own."""
        self.register_buffer("_table", self.position_table(image_hw).clone(), persistent=False)
        self._fixed = image_hw

    def position_table(self, image_hw: tuple[int, int]) -> Tensor:
        """(1, 1 + patches, dim) for an image of this size: resized unless the image is the native square."""
        if image_hw == self._fixed:
            return self.get_buffer("_table")
        native = self.native_grid * self.patch_size
        if image_hw == (native, native):
            return self.pos_embed
        grid = self.pos_embed[:, 1:].float().unflatten(1, (self.native_grid, self.native_grid)).permute(0, 3, 1, 2)
        size = (image_hw[0] // self.patch_size, image_hw[1] // self.patch_size)
        grid = F.interpolate(grid, size=size, mode="bicubic", antialias=True, align_corners=False)
        resized = grid.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)
        return torch.cat([self.pos_embed[:, :1], resized], dim=1)

    def tokens(self, images: Tensor) -> Tensor:
        """(n, 3, H, W) normalised images -> (n, 1 + registers + patches, dim) after the final norm."""
        patches = self.patch_embed(images)
        table = self.position_table((images.shape[-2], images.shape[-1]))
        count = images.shape[0]
        x = torch.cat(
            [
                (self.cls_token + table[:, :1]).expand(count, -1, -1),
                self.register_tokens.expand(count, -1, -1),
                patches + table[:, 1:],
            ],
            dim=1,
        )
        for block in self.blocks:
            x = block(x)
        normed: Tensor = self.norm(x)
        return normed

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, H, W) normalised images -> (n, patches, dim)."""
        return self.tokens(images)[:, 1 + self.register_tokens.shape[1] :]
