"""What MapAnything (Keetha et al. 2025) is made of: encoders of pictures and of known geometry, blocks, heads; official names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.models.layers import Dense, Fusion, LinearBuilder, PatchProjection, PlainBlock

PATCH = 14
EPS = 1e-6  # of all norms
GRID_OFFSET = 0.1  # with which DINOv2 resizes its position table


class PictureEncoder(nn.Module):
    """DINOv2 without registers: the first token and those of patches."""

    def __init__(self, dim: int, depth: int, heads: int, native_grid: int, *, gated: bool, normed: bool) -> None:
        super().__init__()
        self.native_grid = native_grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + native_grid**2, dim))
        self.patch_embed = PatchProjection(PATCH, dim)
        self.blocks = nn.ModuleList([PlainBlock(dim, heads, scaled=True, gated=gated) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, eps=EPS) if normed else nn.Identity()
        self._fixed: tuple[int, int] | None = None

    def fix_grid(self, grid_hw: tuple[int, int]) -> None:
        """Keep the table of places for pictures of so many patches: no runtime resizes it as torch does."""
        self.register_buffer("_table", self.places(grid_hw).detach().clone(), persistent=False)
        self._fixed = grid_hw

    def places(self, grid_hw: tuple[int, int]) -> Tensor:
        """(1, patches, dim) of a grid of patches."""
        if grid_hw == self._fixed:
            return self.get_buffer("_table")
        places = self.pos_embed[:, 1:]
        if grid_hw == (self.native_grid, self.native_grid):
            return places
        grid = places.float().unflatten(1, (self.native_grid, self.native_grid)).permute(0, 3, 1, 2)
        factors = [(count + GRID_OFFSET) / self.native_grid for count in grid_hw]
        return F.interpolate(grid, scale_factor=factors, mode="bicubic").flatten(2).transpose(1, 2).to(places.dtype)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, H, W) normalised -> (n, 1 + patches, dim)."""
        places = self.places((images.shape[-2] // PATCH, images.shape[-1] // PATCH))
        first = (self.cls_token + self.pos_embed[:, :1]).expand(images.shape[0], -1, -1)  # `len` would fix it in a graph
        x = torch.cat([first, self.patch_embed(images) + places], dim=1)
        for block in self.blocks:
            x = block(x)
        tokens: Tensor = self.norm(x)
        return tokens


class _Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.conv2(F.gelu(self.conv1(x))) + self.shortcut(x))


class MapEncoder(nn.Module):
    """Known maps (rays, depth) to a vector for each patch."""

    def __init__(self, channels: int, dim: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels * PATCH**2, widths[0], 3, padding=1)
        layers = [_Residual(before, after) for before, after in zip(widths, widths[1:], strict=False)]
        self.encoder = nn.Sequential(*layers, nn.Conv2d(widths[-1], dim, 1))
        self.norm_layer = nn.LayerNorm(dim, eps=EPS)

    def forward(self, maps: Tensor) -> Tensor:
        """(n, channels, H, W) -> (n, patches, dim)."""
        # As `F.pixel_unshuffle`, which would fix the number of maps of a graph.
        cut = maps.unflatten(-1, (-1, PATCH)).unflatten(-3, (-1, PATCH)).permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
        found: Tensor = self.norm_layer(self.encoder(self.conv_in(cut)).flatten(2).transpose(1, 2))
        return found


class NumberEncoder(nn.Module):
    """Known numbers of a view (turn, place, a scale) to a vector."""

    def __init__(self, numbers: int, dim: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        encoder = nn.Sequential(nn.Linear(numbers, widths[0]), nn.GELU())
        for before, after in zip(widths, widths[1:], strict=False):
            encoder = nn.Sequential(encoder, nn.Linear(before, after), nn.GELU())
        self.encoder = nn.Sequential(encoder, nn.Linear(widths[-1], dim))
        self.norm_layer = nn.LayerNorm(dim, eps=EPS)

    def forward(self, numbers: Tensor) -> Tensor:
        """(..., numbers) -> (..., dim)."""
        found: Tensor = self.norm_layer(self.encoder(numbers))
        return found


class SharedTokens(nn.Module):
    """Blocks in which the tokens of all views, and those of each view, see each other by turns."""

    view_pos_table: Tensor

    def __init__(
        self, dim_in: int, dim: int, depth: int, heads: int, *, scaled: bool, gated: bool, linear: LinearBuilder = Dense
    ) -> None:
        super().__init__()
        self.proj_embed = nn.Linear(dim_in, dim) if dim_in != dim else nn.Identity()
        blocks = [PlainBlock(dim, heads, scaled=scaled, gated=gated, linear=linear) for _ in range(depth)]
        self.self_attention_blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim, eps=EPS)
        # What tells the first view from the others: sines and cosines of place 0.
        self.register_buffer("view_pos_table", torch.tensor([0.0, 1.0]).repeat(1, dim // 2))

    def forward(self, views: Tensor, scale: Tensor, taps: tuple[int, ...]) -> tuple[list[Tensor], Tensor]:
        """Mix tokens.

        Args:
            views: (B, S, T, dim_in).
            scale: (B, 1, dim_in), a token that belongs to no view.
            taps: Blocks whose tokens are wanted.

        Returns:
            Tokens of the views after these blocks and after the last one, each (B, S, T, dim) and normalised; and the scale's
            (B, 1, dim).
        """
        batch, count, tokens = views.shape[:3]
        own, scale = self.proj_embed(views), self.proj_embed(scale)
        mark = (torch.arange(count, device=own.device) == 0).to(own.dtype)[None, :, None, None]
        x, found = (own + mark * self.view_pos_table[0].to(own.dtype)).flatten(1, 2), []
        for index, block in enumerate(self.self_attention_blocks):
            if index % 2:
                x = block(x.reshape(batch * count, tokens, x.shape[-1])).reshape(batch, count * tokens, x.shape[-1])
            else:
                joined = block(torch.cat([x, scale], dim=1))
                x, scale = joined[:, :-1], joined[:, -1:]
            if index in taps:
                found.append(self.norm(x).unflatten(1, (count, tokens)))
        return [*found, self.norm(x).unflatten(1, (count, tokens))], self.norm(scale)


class Pyramid(nn.Module):
    """Four levels of tokens to one map at eight times the patches' rows and columns."""

    def __init__(self, dims: tuple[int, ...], channels: tuple[int, ...], features: int) -> None:
        super().__init__()
        first, second, third, last = (nn.Conv2d(dim, own, 1) for dim, own in zip(dims, channels, strict=True))
        levels = [
            nn.Sequential(first, nn.ConvTranspose2d(channels[0], channels[0], 4, 4)),
            nn.Sequential(second, nn.ConvTranspose2d(channels[1], channels[1], 2, 2)),
            nn.Sequential(third),
            nn.Sequential(last, nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1)),
        ]
        named = [nn.Conv2d(own, features, 3, padding=1, bias=False) for own in channels]
        self.input_process = nn.ModuleList([nn.Sequential(level, conv) for level, conv in zip(levels, named, strict=True)])
        self.scratch = nn.ModuleDict(
            {f"refinenet{level}": Fusion(features, first=level == 4, rectified_skip=False) for level in (1, 2, 3, 4)}
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Four maps (n, dim, h, w) -> (n, features, 8 h, 8 w)."""
        made = [process(level) for process, level in zip(self.input_process, levels, strict=True)]
        running: Tensor = self.scratch["refinenet4"](made[3], None, _twice(made[3]))
        # Odd numbers of patches are rounded up at the coarsest level.
        running = running[:, :, : levels[2].shape[-2], : levels[2].shape[-1]]
        for level in (3, 2, 1):
            running = self.scratch[f"refinenet{level}"](running, made[level - 1], _twice(running))
        return running


def _twice(maps: Tensor) -> tuple[int, int]:
    return 2 * maps.shape[-2], 2 * maps.shape[-1]


class DenseValues(nn.Module):
    """A map to values of every pixel."""

    def __init__(self, features: int, values: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.conv2 = nn.Sequential(
            nn.Conv2d(features // 2, features // 2, 3, padding=1), nn.ReLU(), nn.Conv2d(features // 2, values, 1)
        )

    def forward(self, features: Tensor, image_hw: tuple[int, int]) -> Tensor:
        """(n, features, h, w) -> (n, values, H, W)."""
        found: Tensor = self.conv2(F.interpolate(self.conv1(features), size=image_hw, mode="bilinear", align_corners=True))
        return found


class _PointResidual(nn.Module):
    """Three 1x1 convolutions beside what goes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.res_conv1, self.res_conv2, self.res_conv3 = (nn.Conv2d(channels, channels, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.res_conv3(F.relu(self.res_conv2(F.relu(self.res_conv1(x))))))


class PoseHead(nn.Module):
    """Patches of a view to its place and turn."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = 4 * PATCH**2
        self.proj = nn.Conv2d(dim, hidden, 1)
        self.res_conv = nn.ModuleList([_PointResidual(hidden) for _ in range(2)])
        self.more_mlps = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.fc_t, self.fc_rot = nn.Linear(hidden, 3), nn.Linear(hidden, 4)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """(n, dim, h, w) -> places (n, 3), and unit quaternions, scalar last (n, 4)."""
        x = self.proj(patches)
        for block in self.res_conv:
            x = block(x)
        x = self.more_mlps(x.mean((-2, -1)))
        return self.fc_t(x), F.normalize(self.fc_rot(x), dim=-1, eps=1e-8)


class ScaleHead(nn.Module):
    """The scale's token to the metres of one unit."""

    def __init__(self, dim: int, hidden: int = 196) -> None:
        super().__init__()
        self.proj, self.output_proj = nn.Linear(dim, hidden), nn.Linear(hidden, 1)
        self.mlp = nn.ModuleList([nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU()) for _ in range(2)])

    def forward(self, token: Tensor) -> Tensor:
        """(B, 1, dim) -> (B,)."""
        x = self.proj(token)
        for layer in self.mlp:
            x = layer(x)
        found: Tensor = self.output_proj(x)[:, 0, 0].exp().clamp_min(1e-8)
        return found
