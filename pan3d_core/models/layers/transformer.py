"""Transformer parts shared by the model families.

Parameter names follow the official VGGT checkpoints. Without gradient tracking the residual stream
is updated in place and a block's second half works on slices of rows: the same numbers with less memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.runtime.exporting import is_functional

# From so many rows on a linear layer pays as a convolution.
CONVOLUTION_ROWS = 64
HAS_ONEDNN = torch.backends.mkldnn.is_available()
# Rows of an MLP's hidden layer that exist at one time during inference. On a CPU fewer: from 32 MiB on, the C library gets fresh
# pages for every tensor, and zeroing them takes a tenth of the time of the products.
MLP_ROWS = 4096
CPU_SLICE_BYTES = 16 * 2**20

LinearBuilder = Callable[..., nn.Module]  # (in_features, out_features) -> module
LoraRows = Literal["all", "none", "second half"]


class LayerScale(nn.Module):
    """Residual addition with a learned factor per channel."""

    def __init__(self, dim: int, init: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), init))

    def forward(self, residual: Tensor, update: Tensor) -> Tensor:
        """residual + gamma * update; without gradient tracking `residual` itself is changed."""
        if is_functional():
            return torch.addcmul(residual, update, self.gamma)
        return residual.addcmul_(update, self.gamma)


class Dense(nn.Linear):
    """Linear layer. In float32 on a CPU without gradient tracking it is computed as a 1x1 convolution of a picture in
    channels-last order, which is the same sums by another library: on AMD EPYC oneDNN was measured to need 6 to 16 % less time
    than MKL."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        rows = x.numel() // self.in_features
        if is_functional() or rows < CONVOLUTION_ROWS or not _convolution_is_faster(x, self.weight):
            return super().forward(x)
        picture = x.reshape(1, rows, 1, self.in_features).permute(0, 3, 1, 2)
        result = F.conv2d(picture, self.weight[:, :, None, None], self.bias)
        return result.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)


def _convolution_is_faster(x: Tensor, weight: Tensor) -> bool:
    if not HAS_ONEDNN or torch.compiler.is_compiling() or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    return x.dtype == weight.dtype == torch.float32


def row_slices(x: Tensor, bytes_per_row: int) -> Iterator[Tensor]:
    """Views (rows, dim) of (batch, tokens, dim), equal in size but for one row, for work that makes `bytes_per_row` of
    temporary tensors. A short last slice would waste a full pass over the weights."""
    limit = max(1, CPU_SLICE_BYTES // bytes_per_row) if x.device.type == "cpu" else MLP_ROWS
    for rows in (x.flatten(0, 1),) if x.is_contiguous() else x:
        yield from rows.tensor_split(-(-len(rows) // limit))


class Mlp(nn.Module):
    """Linear, exact (erf) GELU, linear."""

    def __init__(self, dim: int, hidden: int, dim_out: int | None = None) -> None:
        super().__init__()
        self.fc1 = Dense(dim, hidden)
        self.fc2 = Dense(hidden, dim_out or dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc2(F.gelu(self.fc1(x)))
        return x


class SwiGlu(nn.Module):
    """Gated linear unit (Shazeer 2020): w3(silu(a) * b), where w12 gives a and b."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w12 = Dense(dim, 2 * hidden)
        self.w3 = Dense(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        x = self.w3(F.silu(gate) * value)
        return x


class LowRank(nn.Module):
    """The two factors of a low-rank correction, which is zero at first; names as in the checkpoints."""

    def __init__(self, dim_in: int, dim_out: int, rank: int) -> None:
        super().__init__()
        self.lora_A = nn.Linear(dim_in, rank, bias=False)
        self.lora_B = nn.Linear(rank, dim_out, bias=False)
        nn.init.zeros_(self.lora_B.weight)


class LoraLinear(nn.Module):
    """Linear layer with a low-rank correction: linear(x) + alpha / rank * B(A(x)); the base is frozen.

    `rows` says which samples of a batch are corrected; `lora_rows` changes it for a while.
    """

    def __init__(self, dim_in: int, dim_out: int, *, rank: int, alpha: float) -> None:
        super().__init__()
        self.linear: nn.Linear = Dense(dim_in, dim_out).requires_grad_(False)
        self.lora = LowRank(dim_in, dim_out, rank)
        self.scaling = alpha / rank
        self.rows: LoraRows = "all"

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear(x)
        if self.rows == "none":
            return result
        if is_functional() and self.rows == "all":
            return torch.add(result, self.lora.lora_B(self.lora.lora_A(x)), alpha=self.scaling)
        first = len(x) // 2 if self.rows == "second half" else 0
        low_rank = self.lora.lora_A(x[first:]).flatten(0, -2)
        # In one step and in place: neither the correction nor a second result is stored.
        result[first:].flatten(0, -2).addmm_(low_rank, self.lora.lora_B.weight.T.to(result.dtype), alpha=self.scaling)
        return result

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One plain linear layer that computes the same up to rounding."""
        self.linear.weight.add_(self.lora.lora_B.weight @ self.lora.lora_A.weight, alpha=self.scaling)
        return self.linear


@contextmanager
def lora_rows(module: nn.Module, rows: LoraRows) -> Iterator[None]:
    """Correct only some samples of every batch, for the time of a `with` block.

    Args:
        module: Its `LoraLinear` layers below are told; each gets back what it had.
        rows: Which samples: "all", "none" or "second half".
    """
    layers = [child for child in module.modules() if isinstance(child, LoraLinear)]
    before = [layer.rows for layer in layers]
    for layer in layers:
        layer.rows = rows
    try:
        yield
    finally:
        for layer, earlier in zip(layers, before, strict=True):
            layer.rows = earlier


def add_lora(module: nn.Module, *, rank: int, alpha: float) -> None:
    """Replace every linear layer below `module`, in place, by itself with a low-rank correction, which is zero at first.

    Args:
        module: Whose layers are replaced; their own weights are frozen.
        rank: Of the correction.
        alpha: The correction is multiplied by alpha / rank.
    """
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            corrected = LoraLinear(child.in_features, child.out_features, rank=rank, alpha=alpha)
            corrected.linear = child.requires_grad_(False)
            setattr(module, name, corrected)
        else:
            add_lora(child, rank=rank, alpha=alpha)


def merge_lora(module: nn.Module) -> None:
    """Replace every `LoraLinear` below `module` by its merged linear layer, in place, for inference.

    Afterwards the parameter names are those of the model without LoRA.
    """
    for name, child in list(module.named_children()):
        if isinstance(child, LoraLinear):
            setattr(module, name, child.merged())
        else:
            merge_lora(child)


@dataclass(frozen=True)
class Rope2d:
    """Rotary position table for tokens on a (rows, columns) grid after unrotated special tokens.

    The first half of a head's channels turns with the row, the second half with the column; within a
    half channel j pairs with channel j + d / 2. Positions count from 1; special tokens have position 0.
    """

    cos: Tensor  # (P, 1, 2, d / 2): token, any head, row or column, frequency
    sin: Tensor
    every: int = 1  # only each so-many-th token is rotated, by the table's rows in turn

    @classmethod
    def for_grid(cls, grid_hw: tuple[int, int], head_dim: int, *, num_special: int, like: Tensor) -> Rope2d:
        """Table for the tokens of one frame, with dtype and device of `like`."""
        rows = torch.arange(1, grid_hw[0] + 1, device=like.device)
        columns = torch.arange(1, grid_hw[1] + 1, device=like.device)
        positions = torch.cartesian_prod(rows, columns)
        return cls.for_positions(torch.cat([positions.new_zeros(num_special, 2), positions]), head_dim, like)

    @classmethod
    def for_positions(cls, positions: Tensor, head_dim: int, like: Tensor, base: float = 100.0) -> Rope2d:
        """Table for tokens at (P, 2) rows and columns, with dtype and device of `like`."""
        half = head_dim // 2
        frequencies = base ** (-torch.arange(0, half, 2, device=like.device, dtype=torch.float32) / half)
        angles = (positions[:, None, :, None].float() * frequencies).to(like.dtype)
        return cls(angles.cos(), angles.sin())

    def repeated(self, times: int) -> Rope2d:
        """The table for `times` frames of tokens one after another."""
        return Rope2d(self.cos.repeat(times, 1, 1, 1), self.sin.repeat(times, 1, 1, 1))

    def rotate(self, x: Tensor) -> Tensor:
        """Rotate (batch, P, heads, head_dim); without gradient tracking in place."""
        if self.every > 1:
            x = x.clone() if is_functional() else x
            x[:, :: self.every] = Rope2d(self.cos, self.sin).rotate(x[:, :: self.every])
            return x
        first, second = x.unflatten(-1, (2, 2, -1)).unbind(-2)
        if is_functional():
            turned = [first * self.cos - second * self.sin, second * self.cos + first * self.sin]
            return torch.stack(turned, dim=-2).flatten(-3)
        turned_first = (first * self.cos).addcmul_(second, self.sin, value=-1)
        second.mul_(self.cos).addcmul_(first, self.sin)
        first.copy_(turned_first)
        return x


def normalised(norm: nn.Module, x: Tensor) -> Tensor:
    """norm(x); without gradient tracking stored in `x` itself."""
    result: Tensor = norm(x)
    if is_functional() or isinstance(norm, nn.Identity):
        return result
    return x.copy_(result)


class Attention(nn.Module):
    """Multi-head self-attention with optional normalised queries and keys and optional rotary positions."""

    def __init__(self, dim: int, num_heads: int, *, qk_norm: bool = False, linear: LinearBuilder = Dense) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = linear(dim, 3 * dim)
        self.q_norm = nn.LayerNorm(dim // num_heads) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(dim // num_heads) if qk_norm else nn.Identity()
        self.proj = linear(dim, dim)

    def forward(self, x: Tensor, rope: Rope2d | None = None, norm: nn.Module | None = None) -> Tensor:
        """(batch, tokens, dim) -> same shape. `norm` is applied first; its result is freed before the attention itself."""
        joined = self.qkv(x if norm is None else norm(x))
        q, k, v = joined.unflatten(-1, (3, self.num_heads, -1)).unbind(2)  # (batch, tokens, heads, head_dim)
        del joined
        q, k = normalised(self.q_norm, q), normalised(self.k_norm, k)
        if rope is not None:
            q, k = rope.rotate(q), rope.rotate(k)
        mixed = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        del q, k, v  # three times the size of the result that follows
        output: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return output


class Block(nn.Module):
    """Pre-norm transformer block; without gradient tracking the input is updated in place and returned.

    `eps` is that of the two block norms; `mlp` maps (..., dim) to itself, by default an `Mlp` four times as wide.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        qk_norm: bool = False,
        eps: float = 1e-5,
        init_scale: float = 0.01,
        mlp: nn.Module | None = None,
        linear: LinearBuilder = Dense,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, num_heads, qk_norm=qk_norm, linear=linear)
        self.ls1 = LayerScale(dim, init_scale)
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = mlp or Mlp(dim, 4 * dim)
        self.ls2 = LayerScale(dim, init_scale)

    def forward(self, x: Tensor, rope: Rope2d | None = None) -> Tensor:
        """(batch, tokens, dim) -> same shape."""
        x = self.ls1(x, self.attn(x, rope, self.norm1))
        if is_functional():
            x = self.ls2(x, self.mlp(self.norm2(x)))
            return x
        for rows in row_slices(x, 4 * x.shape[-1] * x.element_size()):
            self.ls2(rows, self.mlp(self.norm2(rows)))
        return x
