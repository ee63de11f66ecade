"""Backbone of Depth Anything 3 (Lin et al. 2025): a DINOv2 whose later blocks look, by turns, at one view and at all views.

Parameter names are those of the official checkpoints below `backbone.pretrained`. Slot 0 of a view's tokens is the class
token before the first cross-view block and the camera token from there on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.models.layers.patch_encoder import PatchProjection
from pan3d_core.models.layers.transformer import CPU_SLICE_BYTES, Block, Dense, LinearBuilder, Rope2d, SwiGlu
from pan3d_core.runtime.exporting import is_functional

PATCH_SIZE = 14
NATIVE_GRID = 37
# The published weights were trained with positions sampled at this offset.
POSITION_OFFSET = 0.1
UNPOSED_REFERENCE_FROM = 3  # views; of fewer the first is the reference
REFERENCE_RULES = ("saddle_balanced", "saddle_sim_range", "first", "middle")


@dataclass(frozen=True)
class BackboneSettings:
    """Sizes of one member of the family."""

    dim: int
    depth: int
    num_heads: int
    taps: tuple[int, int, int, int]  # blocks whose tokens the heads read
    first_cross_view: int | None  # from this block on odd blocks see all views; None: views never meet
    swiglu_hidden: int | None = None  # None: plain MLP of 4 dim


@dataclass(frozen=True)
class BackboneTokens:
    """Tokens of B scenes of S views in the order of the input."""

    taps: tuple[
        Tensor, ...
    ]  # four (B, S, N, C) or, where views meet, (B, S, N, 2 C): within the view, then across; normed last C
    camera: Tensor | None  # (B, S, 2 C) slot 0 of the last tap, not normed; None where views never meet
    reference: Tensor  # (B,) index of the view that stood first


def select_reference(slots: Tensor, rule: str) -> Tensor:
    """Index (B,) of the reference view, from slot 0 (B, S, C) of the tokens that enter the last within-view block.

    `saddle_balanced` takes the view that is most ordinary in likeness to the others, length and variance; `saddle_sim_range`
    the one with the widest range of likeness; `first` and `middle` go by order. Raises `ValueError` for another rule.
    """
    batch, views = slots.shape[:2]
    if rule not in REFERENCE_RULES:
        raise ValueError(f"reference: expected one of {', '.join(REFERENCE_RULES)}, got {rule!r}")
    if rule in ("first", "middle"):
        return torch.full((batch,), 0 if rule == "first" else views // 2, device=slots.device)
    length: Tensor = slots.norm(dim=-1)
    direction = slots / length[..., None]
    likeness = direction @ direction.transpose(-1, -2)
    others = likeness - torch.eye(views, device=slots.device, dtype=slots.dtype)
    if rule == "saddle_sim_range":
        return (others.amax(-1) - others.amin(-1)).argmax(-1)
    statistics = torch.stack([others.sum(-1) / (views - 1), length, direction.var(-1)])
    low, high = statistics.amin(-1, keepdim=True), statistics.amax(-1, keepdim=True)
    scaled = (statistics - low) / (high - low + 1e-8)
    return (scaled - 0.5).abs().sum(0).argmin(-1)


def reference_first(reference: Tensor, views: int) -> Tensor:
    """Order (B, S) of the views with the reference in front and the others as they were."""
    rest = torch.arange(views, device=reference.device).expand(len(reference), -1)
    return torch.where(rest == reference[:, None], -1, rest).argsort(dim=1)


def order_in_graph(slots: Tensor, rule: str, posed: Tensor) -> Tensor:
    """Order (B, S) of the views as `single_view_tokens` decides it, by tensors alone: a graph knows neither the number of views
    nor, from `posed` (B,) 1 or 0, whether cameras are known."""
    views = slots.shape[1]
    as_given = torch.arange(views, device=slots.device).expand(len(slots), -1)
    chosen = reference_first(select_reference(slots, rule), views)
    enough = (as_given >= UNPOSED_REFERENCE_FROM - 1).any(dim=1, keepdim=True)
    return torch.where((posed == 0)[:, None] & enough, chosen, as_given)


def reordered(x: Tensor, order: Tensor) -> Tensor:
    """(B, S, ...) with view order[b, s] at place s."""
    return x[torch.arange(len(x), device=x.device)[:, None], order]


class Da3Backbone(nn.Module):
    """DINOv2 with cross-view blocks; without gradient tracking tokens are updated in place."""

    def __init__(self, settings: BackboneSettings, linear: LinearBuilder = Dense, *, adapt_all: bool = False) -> None:
        """`linear` builds the attention's projections of the blocks from the first cross-view one on, with `adapt_all` of all."""
        super().__init__()
        dim, start = settings.dim, settings.first_cross_view
        self.settings = settings
        self.patch_embed = PatchProjection(PATCH_SIZE, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, NATIVE_GRID**2 + 1, dim))
        if start is not None:
            self.camera_token = nn.Parameter(torch.zeros(1, 2, dim))
        self.blocks = nn.ModuleList(
            Block(
                dim,
                settings.num_heads,
                qk_norm=start is not None and index >= start,
                eps=1e-6,
                init_scale=1.0,
                mlp=None if settings.swiglu_hidden is None else SwiGlu(dim, settings.swiglu_hidden),
                linear=linear if adapt_all or (start is not None and index >= start) else Dense,
            )
            for index in range(settings.depth)
        )
        self.norm = nn.LayerNorm(dim)
        self._fixed: tuple[int, int] | None = None  # the grid that `_table` is for

    @torch.no_grad()
    def fix_grid(self, grid_hw: tuple[int, int]) -> None:
        """Keep the position table of one grid, for inference; see `PatchEncoder.fix_size`."""
        self.register_buffer("_table", self.position_table(grid_hw).clone(), persistent=False)
        self._fixed = grid_hw

    def position_table(self, grid_hw: tuple[int, int]) -> Tensor:
        """(1, 1 + patches, dim): resized by factors, not by size, unless the grid is the native one."""
        if grid_hw == self._fixed:
            return self.get_buffer("_table")
        if grid_hw == (NATIVE_GRID, NATIVE_GRID):
            return self.pos_embed
        grid = self.pos_embed[:, 1:].float().unflatten(1, (NATIVE_GRID, NATIVE_GRID)).permute(0, 3, 1, 2)
        factors = tuple((count + POSITION_OFFSET) / NATIVE_GRID for count in grid_hw)
        grid = F.interpolate(grid, scale_factor=factors, mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)], dim=1)

    def first_tokens(self, images: Tensor) -> Tensor:
        """(B, S, 3, H, W) normalised images -> (B, S, 1 + N, dim)."""
        patches = self.patch_embed(images.flatten(0, 1))
        table = self.position_table((images.shape[-2] // PATCH_SIZE, images.shape[-1] // PATCH_SIZE))
        slot = (self.cls_token + table[:, :1]).expand(patches.shape[0], -1, -1)
        tokens: Tensor = torch.cat([slot, patches + table[:, 1:]], dim=1).unflatten(0, images.shape[:2])
        return tokens

    def forward(
        self,
        images: Tensor,
        cameras: Tensor | None = None,
        reference_rule: str = "saddle_balanced",
        posed: Tensor | None = None,
    ) -> BackboneTokens:
        """`images` (B, S, 3, H, W) normalised, H and W multiples of 14; `cameras` (B, S, dim) of the camera encoder where
        poses are known. `reference_rule` (see `select_reference`) counts from three unposed views on. `posed`: see
        `single_view_tokens`."""
        tokens, order = self.single_view_tokens(images, cameras, reference_rule, posed)
        grid_hw = (images.shape[-2] // PATCH_SIZE, images.shape[-1] // PATCH_SIZE)
        return self.cross_view_tokens(tokens, order, grid_hw)

    def single_view_tokens(
        self, images: Tensor, cameras: Tensor | None, reference_rule: str, posed: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """The blocks before the first cross-view one.

        `posed` (B,) 1 or 0 is for graphs: `cameras` are there in any case, and count where it is 1.

        Returns the tokens that are still needed, (B, S, 1 + N, dim) each: those of the taps so far, then the state that enters
        the first cross-view block with its camera tokens in slot 0 and the reference view in front; and the order (B, S).
        """
        x = self.first_tokens(images)
        batch, views = x.shape[:2]
        order = torch.arange(views, device=x.device).expand(batch, -1)
        start = self.settings.first_cross_view
        kept = []
        for index in range(self.settings.depth if start is None else start):
            if start is not None and index == start - 1 and posed is not None:
                order = order_in_graph(x[:, :, 0], reference_rule, posed)
                x = reordered(x, order)
            elif start is not None and index == start - 1 and cameras is None and views >= UNPOSED_REFERENCE_FROM:
                order = reference_first(select_reference(x[:, :, 0], reference_rule), views)
                x = reordered(x, order)
            x = within_views(self.blocks[index], x)
            if index in self.settings.taps:
                kept.append(x.clone())
        if start is not None:
            slots = self._camera_slots(x) if cameras is None else cameras
            if posed is not None:
                slots = torch.where(posed[:, None, None] > 0, slots, self._camera_slots(x))
            kept.append(torch.cat([slots[:, :, None], x[:, :, 1:]], dim=2))
        return kept, order

    def _camera_slots(self, tokens: Tensor) -> Tensor:
        """Slot 0 (B, S, dim) of views whose cameras are unknown, for tokens (B, S, ...): the reference's, then the others'."""
        which = (torch.arange(tokens.shape[1], device=tokens.device) > 0).long()
        return self.camera_token.index_select(1, which).expand(len(tokens), -1, -1)

    def cross_view_tokens(self, kept: list[Tensor], order: Tensor, grid_hw: tuple[int, int]) -> BackboneTokens:
        """What is left after `single_view_tokens`; the last of `kept` is changed in place without gradient tracking."""
        start, reference = self.settings.first_cross_view, order[:, 0]
        if start is None:
            return BackboneTokens(tuple(self.norm(x[:, :, 1:]) for x in kept), None, reference)
        *early, x = kept
        back = order.argsort(dim=1)
        taps = [self._tap(tap, tap, back) for tap in early]
        batch, views, count, dim = x.shape
        head_dim = dim // self.settings.num_heads
        within = Rope2d.for_grid(grid_hw, head_dim, num_special=1, like=x)
        # Across views every patch has position (1, 1) and slot 0 has (0, 0): no place, only patch against slot. Attention knows
        # differences alone, so that turning the slots back by one is the same and leaves the patches as they are.
        slots = torch.full((views, 2), -1.0, device=x.device)
        across = replace(Rope2d.for_positions(slots, head_dim, x), every=count)
        latest = x  # after the latest within-view block
        for index in range(start, self.settings.depth):
            if index % 2 == 1:
                x = self.blocks[index](x.view(batch, views * count, dim), across).view(batch, views, count, dim)
            else:
                x = within_views(self.blocks[index], x, within)
                latest = x if is_functional() or index + 1 not in self.settings.taps else x.clone()
            if index in self.settings.taps:
                taps.append(self._tap(latest, x, back))
                camera = reordered(torch.cat([latest[:, :, 0], x[:, :, 0]], dim=-1), back)
        return BackboneTokens(tuple(taps), camera, reference)

    def _tap(self, within: Tensor, across: Tensor, back: Tensor) -> Tensor:
        """Patches (B, S, N, 2 C) in the order of the input from tokens (B, S, 1 + N, C) each; the second half is normed."""
        return torch.cat([reordered(within[:, :, 1:], back), self.norm(reordered(across[:, :, 1:], back))], dim=-1)


def within_views(block: nn.Module, x: Tensor, rope: Rope2d | None = None) -> Tensor:
    """`block` on the tokens (B, S, P, dim) of every view by itself, without gradient tracking in place.

    On a CPU one view after the other, where together they would need tensors that `CPU_SLICE_BYTES` tells to avoid."""
    views = x.shape[1]
    if is_functional() or x.device.type != "cpu" or 3 * x.numel() * x.element_size() <= CPU_SLICE_BYTES:
        together: Tensor = block(x.flatten(0, 1), rope)
        return together.view(x.shape)
    for view in range(views):
        block(x[:, view], rope)
    return x
