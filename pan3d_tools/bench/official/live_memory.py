"""How much memory a forward pass holds at its worst, without the work of computing it.

Under `LiveMemory` every operation on large floating-point tensors only allocates its result (untouched
virtual memory), and the bytes of all living tensors are added up. The count is exact for tensors, the same
on any machine, and takes seconds for a network that runs for many minutes; scratch space inside library
kernels and what an allocator keeps for later are not in it. The results of the pass are meaningless, unless everything is asked
to be computed: needed where what is done depends on values, as in rendering.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# Smaller tensors are really computed: positions, sizes and other values that a program may look at.
SMALL_ELEMENTS = 100_000
# Results that share their argument's storage although the operation is not declared as a view.
UNDECLARED_VIEWS = ("aten::_unsafe_view", "aten::_reshape_alias")


class LiveMemory(TorchDispatchMode):
    """Context manager; `peak_bytes` is the highest sum of living tensors made inside it.

    Use it under `torch.no_grad()`, not in inference mode, where composite operations hide their parts. With `compute` every
    operation is done as usual and only counted.
    """

    def __init__(self, *, compute: bool = False) -> None:
        super().__init__()
        self._compute = compute
        self.live_bytes = 0
        self.peak_bytes = 0
        self._living: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage(), 0)  # made before: weights and inputs
        cheap = func.is_view or func._schema.name in UNDECLARED_VIEWS
        if self._compute or cheap or not any(is_large(leaf) for leaf in tree_leaves((args, kwargs))):
            result = func(*args, **kwargs)
        elif func._schema.is_mutable:
            result = kwargs.get("out", args[0])
        elif func._schema.name == "aten::convolution" and args[0].is_contiguous(memory_format=torch.channels_last):
            # The meta device forgets this order, and what follows would copy.
            result = allocate_result(func, args, kwargs)
            result = torch.empty_like(result, memory_format=torch.channels_last)
        else:
            result = allocate_result(func, args, kwargs)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage(), leaf.untyped_storage().nbytes())
        return result

    def _count(self, storage: torch.UntypedStorage, size: int) -> None:
        identity = storage._cdata
        if identity in self._living:
            return
        self._living[identity] = weakref.finalize(storage, self._forget, identity, size)
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _forget(self, identity: int, size: int) -> None:
        del self._living[identity]
        self.live_bytes -= size


def is_large(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.numel() > SMALL_ELEMENTS


def allocate_result(func: Any, args: tuple, kwargs: dict) -> Any:
    """Tensors as `func` would return them, not computed: shapes come from the meta device."""

    def on_meta(leaf: object) -> object:
        if isinstance(leaf, Tensor):
            return torch.empty_strided(leaf.shape, leaf.stride(), dtype=leaf.dtype, device="meta")
        return torch.device("meta") if isinstance(leaf, torch.device) else leaf

    def on_cpu(leaf: object) -> object:
        if isinstance(leaf, Tensor):
            return torch.empty_strided(leaf.shape, leaf.stride(), dtype=leaf.dtype, device="cpu")
        return leaf

    return tree_map(on_cpu, func(*tree_map(on_meta, args), **tree_map(on_meta, kwargs)))
