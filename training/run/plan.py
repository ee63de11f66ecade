"""What a step of a run needs, found without computing it: the forward and backward pass on tensors that have shapes alone.

Nothing is allocated, so a laptop plans for the GPUs of another machine. What losses keep is not among it: they look at values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from training.data.arrays import SceneBatch
from training.data.sources.draws import generator_from
from training.data.sources.stream_source import open_source
from training.families.family import AnyFamily
from training.run.devices import mapped, tensors_of
from training.settings import TrainConfig

BYTES = 4  # of a weight, its gradient, each of its two moments and its mean: float32 whatever the products are computed in
MOMENTS = 2
PER_VIEW = ("images", "depth", "ids", "intrinsics", "cam_from_world")


class SavedBytes:
    """Bytes that backward passes will need, of the tensors that autograd keeps while this is entered; each is counted once."""

    def __init__(self, model: nn.Module) -> None:
        """`model`: whose weights are not counted, since they are there anyway."""
        self._own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
        # The tensors are held, so that a storage's number stays its own.
        self._kept: dict[int, tuple[int, Tensor]] = {}

    def keep(self, tensor: Tensor) -> Tensor:
        """Count a tensor; it is handed back as it is."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._own:
            self._kept[storage._cdata] = (storage.nbytes(), tensor)
        return tensor

    @property
    def total(self) -> int:
        """Of all that were kept so far."""
        return sum(size for size, _ in self._kept.values())

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Inside, what autograd keeps is counted."""
        with torch.autograd.graph.saved_tensors_hooks(self.keep, lambda tensor: tensor):
            yield


@dataclass(frozen=True)
class BlockCost:
    """One of the repeated parts."""

    weights: int
    kept_bytes: int  # for its backward pass
    input_bytes: int  # which alone are kept when it is recomputed
    operations: float  # of its forward pass


@dataclass(frozen=True)
class StepPlan:
    """One step of one rank: what it is made of."""

    weights: int
    trained: int
    pictures: int  # of the rank's batch
    blocks: tuple[BlockCost, ...]
    kept_bytes: int  # for the backward pass, without recomputation
    operations: float  # a multiplication and an addition are two; forward and backward pass, without recomputation

    def memory(self, ranks: int, *, shards: bool, recomputes: bool) -> dict[str, float]:
        """Bytes that one rank needs, by what for.

        Args:
            ranks: Of the run.
            shards: Whether they share one copy (fsdp), or have one each (ddp).
            recomputes: Whether blocks are recomputed in the backward pass.

        Returns:
            Bytes by name.
        """
        share = 1 / ranks if shards else 1.0
        largest = max((block.weights for block in self.blocks), default=0)
        rest = self.weights - sum(block.weights for block in self.blocks)
        # The block that works and the one that is fetched meanwhile; what is no block stays whole through the step.
        gathered = BYTES * (rest + 2 * largest) if shards and ranks > 1 else 0
        buckets = BYTES * self.trained if ranks > 1 and not shards else 0
        kept = self.kept_bytes
        if recomputes and self.blocks:
            saved = sum(block.kept_bytes - block.input_bytes for block in self.blocks)
            kept = kept - saved + max(block.kept_bytes for block in self.blocks)
        return {
            "weights": BYTES * self.weights * share + gathered,
            "gradients": BYTES * self.trained * share + buckets,
            "moments": MOMENTS * BYTES * self.trained * share,
            "averaged weights": BYTES * (self.weights * share if shards else self.trained),
            "for the backward pass": float(kept),
        }

    def work(self, *, recomputes: bool) -> float:
        """Operations of the step."""
        return self.operations + (sum(block.operations for block in self.blocks) if recomputes else 0.0)


def plan_step(config: TrainConfig, family: AnyFamily, views: int = 0) -> StepPlan:
    """Find what a step of a run needs.

    Args:
        config: The run. Its first batch is read, for its shapes.
        family: Of the run.
        views: Of a sample; 0 = the most that the run draws and the data have. More than there are repeat some.

    Returns:
        The plan.

    Raises:
        ValueError: The network's shapes depend on values, so that nothing can be known without computing it.
    """
    sampling = replace(config.sampling, view_counts=(max(config.sampling.view_counts),), view_weights=(1.0,))
    source = open_source(replace(config, sampling=sampling), 0, 1)
    source.begin_step(0)
    batch = source.batch(0)
    if views:
        batch = of_views(batch, views, config.sampling.images)
    sample = family.prepare(batch, generator_from(config.seed, 0, 2, 0))
    scenes, count = batch.images.shape[:2]
    try:
        with FakeTensorMode() as mode:
            return _planned(family, family.build(), mapped(sample, mode.from_tensor), scenes * count, config)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise ValueError(
            f"family {config.family}: expected a network whose work follows from the pictures' shapes, got one in which it "
            f"depends on values ({type(error).__name__}); measure it instead"
        ) from error


def of_views(batch: SceneBatch, views: int, pictures: int = 0) -> SceneBatch:
    """A batch with so many views, its own and where they are too few again from the first one on; of as many scenes as so many
    pictures allow, 0 = all."""
    rows, scenes = torch.arange(views) % batch.images.shape[1], max(1, pictures // views) if pictures else len(batch.images)
    chosen = {name: getattr(batch, name)[:scenes] for name in ("kinds", "support_height")}
    return replace(batch, teacher=None, **chosen, **{name: getattr(batch, name)[:scenes, rows] for name in PER_VIEW})


def _planned(family: AnyFamily, model: nn.Module, sample: Any, pictures: int, config: TrainConfig) -> StepPlan:
    saved, blocks = SavedBytes(model), family.blocks(model)
    before: dict[int, tuple[int, float]] = {}
    found: list[BlockCost] = []
    with FlopCounterMode(display=False) as counter:

        def enter(block: nn.Module, _: Any) -> None:
            before[id(block)] = (saved.total, counter.get_total_flops())

        def leave(block: nn.Module, inputs: Any, outputs: Any) -> None:
            kept, operations = before[id(block)]
            size = sum(item.numel() * item.element_size() for item in tensors_of(list(inputs)))
            weights = sum(item.numel() for item in block.parameters())
            found.append(BlockCost(weights, saved.total - kept, size, counter.get_total_flops() - operations))

        for block in blocks:
            block.register_forward_pre_hook(enter)
            block.register_forward_hook(leave)
        with saved.counting():
            outputs = family.forward(model.train(), sample, config.execution.dtype)
            # Losses are some function of all outputs; the backward pass needs as much work whichever it is.
            total = sum((item.float().sum() for item in tensors_of(outputs) if item.requires_grad), torch.zeros(()))
        total.backward()
        operations = float(counter.get_total_flops())
    parameters = list(model.parameters())
    trained = sum(item.numel() for item in parameters if item.requires_grad)
    return StepPlan(sum(item.numel() for item in parameters), trained, pictures, tuple(found), saved.total, operations)
