"""The processes of a run: how they find each other, share the model, and agree.

One process per rank, started by torchrun or by `--ranks`. `ddp` copies the model to every rank (DistributedDataParallel),
`fsdp` shards parameters, gradients and optimiser state (FSDP2's `fully_shard`). On a CPU both talk over gloo.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pan3d_core.runtime.device import select_device
from training.run.whole_state import shard
from training.settings import ExecutionConfig

# Rank 0 measures and saves alone while the others wait for it.
WAIT = timedelta(hours=2)


@runtime_checkable
class ShardedModule(Protocol):
    """What `fully_shard` makes of a module, whose package takes too long to load to be named here."""

    def set_requires_gradient_sync(self, requires_gradient_sync: bool) -> None:
        """Whether backward passes exchange gradients."""


@dataclass(frozen=True)
class Ranks:
    """This process among all."""

    rank: int
    world: int
    device: torch.device
    strategy: str

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @property
    def shards(self) -> bool:
        return self.world > 1 and self.strategy == "fsdp"

    def device_name(self) -> str:
        """The name of the GPU, "cpu" without one."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"

    def distribute(self, module: nn.Module, blocks: list[nn.Module]) -> nn.Module:
        """`module` (on this rank's device) as a part of all ranks' one model; `blocks` are units of sharding."""
        if self.world == 1:
            return module
        if self.shards:
            shard(module, blocks, self.device, self.world)
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        # Scenes without objects leave heads without gradient, hence the search for unused parameters.
        return DistributedDataParallel(module, device_ids=devices, forward_sync_buffers=False, find_unused_parameters=True)

    @contextlib.contextmanager
    def gradient_sync(self, module: nn.Module, *, wanted: bool) -> Iterator[None]:
        """Gradients of backward passes inside are exchanged only if `wanted` (the last accumulated batch)."""
        if isinstance(module, DistributedDataParallel) and not wanted:
            with module.no_sync():
                yield
            return
        if isinstance(module, ShardedModule):
            module.set_requires_gradient_sync(wanted)
        yield

    def total(self, values: list[float]) -> list[float]:
        """Sums over all ranks, in double precision."""
        if self.world == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(summed)
        return summed.tolist()

    def gather(self, own: dict) -> list[dict]:
        """`own` of every rank, in their order. All ranks must call it."""
        if self.world == 1:
            return [own]
        found: list[dict] = [{}] * self.world
        dist.all_gather_object(found, own)
        return found

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.world > 1:
            dist.barrier()


@contextlib.contextmanager
def joined(config: ExecutionConfig, rank: int | None = None) -> Iterator[Ranks]:
    """This process as one of the run's ranks: `rank` when the command spawned it, else torchrun's environment decides."""
    world = config.ranks if rank is not None else int(os.environ.get("WORLD_SIZE", "1"))
    own = rank if rank is not None else int(os.environ.get("RANK", "0"))
    device = select_device(config.device)
    if device.type == "cuda" and world > 1:
        device = torch.device("cuda", own if rank is not None else int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)  # set_device wants a number
        torch.cuda.set_device(device)
    if config.threads:
        torch.set_num_threads(config.threads)
    if world > 1:
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, rank=own, world_size=world, timeout=WAIT)
    try:
        yield Ranks(own, world, device, config.strategy)
    finally:
        if world > 1:
            dist.destroy_process_group()
