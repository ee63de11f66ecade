"""The training loop of every family: one rank's state and its steps.

A step is a function of the weights, the optimiser's state and the step's number: all chance is seeded from (seed, step, place),
so that a run resumed from any checkpoint gives bit for bit what an unbroken one gives.
"""

from __future__ import annotations

import logging
import math
import time
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pan3d_core.models.matching import NonFiniteCost
from training.data.sources.draws import generator_from, seed_from
from training.data.sources.stream_source import open_source
from training.families.family import AnyFamily
from training.run.averaging import AveragedModel
from training.run.devices import tensors_of, to_device
from training.run.progress import Moment
from training.run.ranks import Ranks
from training.run.schedules import average_decay, rate_factor
from training.run.whole_state import load_model_state, load_optimizer_state, model_state, optimizer_state, shard, whole
from training.settings import TrainConfig

_log = logging.getLogger("pan3d.training")

DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Objective(nn.Module):
    """Model and losses as one module, the unit that ranks share: a prepared sample and the run's progress in, scalars out."""

    def __init__(self, model: nn.Module, family: AnyFamily, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.model = model
        self.family, self.dtype = family, dtype

    def forward(self, sample: Any, progress: float) -> dict[str, Tensor]:
        outputs = self.family.forward(self.model, sample, self.dtype)
        try:
            terms = self.family.losses(outputs, sample, progress)
            return {name: value if name == "total" else value.detach() for name, value in terms.items()}
        except NonFiniteCost:
            # The gradient must become NaN on all ranks, so that they leave the step out together.
            tracked = [t for t in tensors_of(outputs) if t.requires_grad]
            return {"total": sum((t.sum() for t in tracked), torch.zeros(())) * math.nan}


class Trainer:
    """State of one rank."""

    def __init__(self, config: TrainConfig, family: AnyFamily, ranks: Ranks) -> None:
        self.config, self.family, self.ranks = config, family, ranks
        execution = config.execution
        if ranks.shards and execution.precision == "float16":
            raise ValueError("execution.precision: expected bfloat16 or float32 with strategy fsdp, got float16")
        torch.manual_seed(config.seed)
        self.model = family.build()
        if config.start_from:
            family.load(self.model, config.start_from)
        self.model.to(ranks.device)
        groups = family.groups(self.model, config.optimizer)
        copy = family.build().to(ranks.device)
        if execution.checkpoint_blocks:
            for block in family.blocks(self.model):
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        if execution.compile:
            self.model.compile()
        names = {id(p): name for name, p in self.model.named_parameters()}
        members = [[names[id(p)] for p in group.parameters] for group in groups]
        self.objective = ranks.distribute(Objective(self.model, family, DTYPES[execution.precision]), family.blocks(self.model))
        if ranks.shards:
            shard(copy, family.blocks(copy), ranks.device, ranks.world)
        self.averaged = AveragedModel(self.model, copy, sharded=ranks.shards)
        # Sharding replaces parameters, so they are looked up by name again.
        parameters = dict(self.model.named_parameters())
        self.groups = groups
        self.trained = [parameters[name] for group in members for name in group]
        options = config.optimizer
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [parameters[name] for name in own], "weight_decay": group.weight_decay}
                for own, group in zip(members, groups, strict=True)
            ],
            lr=options.learning_rate, betas=(options.beta1, options.beta2), fused=True,
        )  # fmt: skip
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=execution.precision == "float16")
        self.source = open_source(config, ranks.rank, ranks.world)
        self.step, self.samples, self.elapsed = 0, 0, 0.0
        self.bad_steps = self.bad_in_row = self.corrupt = self.ended = 0
        self.stop_wanted = False  # set by a signal; after a step it holds on all ranks if it held on one
        self._counted = time.monotonic()  # up to when `elapsed` counts: measuring and saving belong to a run's minutes

    def progress(self) -> float:
        """0 at the start of the run, 1 at its end."""
        if self.config.steps:
            return self.step / self.config.steps
        return self.elapsed / (60 * self.config.minutes)

    def moment(self) -> Moment:
        return Moment(self.step, self.samples, self.elapsed, min(self.progress(), 1.0))

    def learning_rates(self) -> dict[str, float]:
        """Rate of every group that decays or stands alone, by name."""
        rates = {group.name: own["lr"] for group, own in zip(self.groups, self.optimizer.param_groups, strict=True)}
        return {name: rate for name, rate in rates.items() if not name.endswith(", no decay")} or rates

    def notes(self) -> dict[str, int]:
        """Counts of what went wrong so far."""
        mixed = {"ended_sources": self.ended} if self.config.sampling.sources else {}
        return {"bad_steps": self.bad_steps, "corrupt_samples": self.corrupt, **mixed}

    def train_step(self) -> dict[str, float]:
        """One optimiser step -> loss terms (means of this rank's batches; `total` of all ranks') and the gradient's norm."""
        progress = self.progress()
        for group, own in zip(self.groups, self.optimizer.param_groups, strict=True):
            own["lr"] = group.learning_rate * rate_factor(self.config.schedule, self.step, progress, group.schedule)
        self.objective.train()
        for parameter in self.trained:  # a gradient of zero and none at all differ for the optimiser; resumed runs must agree
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.optimizer.zero_grad(set_to_none=False)
        self.source.begin_step(self.step)
        scenes = 0
        parts = []
        for part in range(self.config.execution.accumulate):
            parts.append(self._backward(part, progress))
            scenes += self.source.batch_size
        means = {name: sum(part.get(name, math.nan) for part in parts) / len(parts) for name in parts[0]}
        means["total"] = self._agree(means["total"])
        means["norm"] = self._update(progress)
        self.step += 1
        self.samples += scenes * self.ranks.world
        return means

    def _backward(self, part: int, progress: float) -> dict[str, float]:
        """Gradients of accumulated batch `part`; its loss terms."""
        accumulate = self.config.execution.accumulate
        place = part * self.ranks.world + self.ranks.rank
        sample = self.family.prepare(self.source.batch(part), generator_from(self.config.seed, self.step, 2, place))
        torch.manual_seed(seed_from(self.config.seed, self.step, 3, place))
        with self.ranks.gradient_sync(self.objective, wanted=part + 1 == accumulate):
            terms = self.objective(to_device(sample, self.ranks.device), progress)
            self.scaler.scale(terms["total"] / accumulate).backward()
        values = torch.stack([value.detach().float() for value in terms.values()]).tolist()
        return dict(zip(terms, values, strict=True))

    def _agree(self, total: float) -> float:
        """Rank 0's clock, the wish to stop and the count of bad samples for all ranks; mean of their losses."""
        now = time.monotonic()
        clock = self.elapsed + now - self._counted
        self._counted = now
        bad = [float(self.source.corrupt), float(self.source.ended)]
        own = [clock if self.ranks.leads else 0.0, float(self.stop_wanted), *bad, total]
        self.elapsed, stop, corrupt, ended, total = self.ranks.total(own)
        self.stop_wanted, self.corrupt, self.ended = stop > 0, int(corrupt), int(ended)
        return total / self.ranks.world

    def _update(self, progress: float) -> float:
        """Clip, step and average, unless the gradient is not finite; its norm."""
        options = self.config.optimizer
        self.scaler.unscale_(self.optimizer)
        gradient = torch.nn.utils.clip_grad_norm_(self.trained, options.clip_norm or math.inf)
        norm = float(whole(gradient))
        if math.isfinite(norm):
            self.bad_in_row = 0
            self.scaler.step(self.optimizer)
        else:
            self.bad_steps, self.bad_in_row = self.bad_steps + 1, self.bad_in_row + 1
            _log.warning("step %d: the gradient is not finite, step left out (%d in a row)", self.step, self.bad_in_row)
            if self.bad_in_row >= options.max_bad_steps:
                raise FloatingPointError(
                    f"optimizer.max_bad_steps: the gradient was not finite in {self.bad_in_row} steps in a row, the last one "
                    f"{self.step}; the newest checkpoint is from before: lower the learning rate or look at the data"
                )
        self.scaler.update()
        self.averaged.follow(average_decay(options.average_first, options.average_last, self.step, progress))
        return norm

    def state(self, log: dict) -> dict:
        """All of a run's state, complete on rank 0. Every rank must call it. `log`: the log's own state."""
        sharded = self.ranks.shards
        return {
            "format": 2, "family": self.config.family, "architecture": self.family.architecture,
            "model": model_state(self.model, sharded=sharded), "ema": self.averaged.state(),
            "optimizer": optimizer_state(self.model, self.optimizer, sharded=sharded), "scaler": self.scaler.state_dict(),
            "step": self.step, "samples": self.samples, "elapsed": self.elapsed, "bad_steps": self.bad_steps,
            "bad_in_row": self.bad_in_row, "scenes": self.source.scenes, "ranks": self.ranks.gather(self.source.state()),
            "config": self.config.to_dict(), "log": log, "device": self.ranks.device_name(),
        }  # fmt: skip

    def restore(self, state: dict) -> None:
        """Go on where `state` was taken, also with another number of ranks or another strategy."""
        if state.get("format") != 2 or state["family"] != self.config.family:
            raise ValueError(
                f"out: expected a checkpoint of {self.config.family}, got one of {state.get('family', 'an earlier version')}; "
                "a new run can start from its weights with --start-from"
            )
        if state["architecture"] != self.family.architecture:
            raise ValueError(f"model: expected the checkpoint's {state['architecture']}, got {self.family.architecture}")
        sharded = self.ranks.shards
        load_model_state(self.model, state["model"], sharded=sharded)
        self.averaged.load(state["ema"])
        load_optimizer_state(self.model, self.optimizer, state["optimizer"], sharded=sharded)
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.samples, self.elapsed = state["step"], state["samples"], state["elapsed"]
        self.bad_steps, self.bad_in_row = state["bad_steps"], state["bad_in_row"]
        self.source.restore(state["ranks"])
        self._counted = time.monotonic()

    def measured_model(self) -> nn.Module | None:
        """The averaged model, whole, on rank 0; None on the others. Every rank must call it."""
        if not self.ranks.shards:
            return self.averaged.module if self.ranks.leads else None
        state = self.averaged.state()
        if not self.ranks.leads:
            return None
        whole = self.family.build()
        whole.load_state_dict(state)
        return whole.to(self.ranks.device)
