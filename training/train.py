"""Train `pan3d-mini` on rendered scenes.

    python -m training.train --data DIR --out RUN --minutes 90          # resumes when RUN/last.pt exists

DIR holds train/ and val/ with shard folders, and text_embeddings.npz (made on first use). Each rank is one
process with one thread, which on a CPU gives more samples per second than threads do. The learning
rate follows the share of the minutes that are used up, so a run always ends annealed.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from pan3d_core.models.mini import PanMini
from training.augment import AugmentConfig, augment
from training.datasets import Sampler, SceneBatch, ShardSet
from training.evaluate import evaluate
from training.losses.mini import mini_losses
from training.targets import batch_targets
from training.text_targets import TextTargets, encode_descriptions, load_text_targets, save_text_targets

_log = logging.getLogger("pan3d.training")


@dataclass(frozen=True)
class TrainConfig:
    """One run."""

    data: Path
    out: Path
    minutes: float = 90.0  # training time of the whole run, resumed parts together
    steps: int | None = None  # schedule and end by steps instead of minutes
    ranks: int = 2
    batch: int = 4  # scenes per rank
    learning_rate: float = 1e-3
    seed: int = 0
    evaluate_minutes: float = 6.0
    evaluate_scenes: int = 48
    save_minutes: float = 3.0
    bfloat16: bool = True


WARMUP_STEPS = 100
WEIGHT_DECAY = 0.05
CLIP_NORM = 2.0
VIEW_COUNTS, VIEW_WEIGHTS = (2, 3, 4), (0.2, 0.25, 0.55)


class Trainer:
    """State of one rank: model, averaged model, optimiser, samplers, clocks."""

    def __init__(self, config: TrainConfig, rank: int, architecture: dict | None = None) -> None:
        self.config, self.rank = config, rank
        self.architecture = architecture or {}
        torch.manual_seed(config.seed)
        self.model = PanMini(**self.architecture).to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.model).requires_grad_(False)
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)
        self.shards = ShardSet(config.data / "train")
        self.text = load_text_targets(config.data / "text_embeddings.npz")
        self.sampler = Sampler(self.shards, config.seed, rank, config.ranks)
        self.shared = torch.Generator().manual_seed(config.seed)  # alike on all ranks: number of views
        self.own = torch.Generator().manual_seed(config.seed * 1000 + rank + 1)
        self.step, self.elapsed, self.samples = 0, 0.0, 0
        self._counted = time.monotonic()  # up to when `elapsed` counts; evaluating and saving belong to a run's minutes

    def progress(self) -> float:
        """0 at the start of the run, 1 at its end."""
        if self.config.steps is not None:
            return self.step / self.config.steps
        return self.elapsed / (60 * self.config.minutes)

    def _batch(self) -> SceneBatch:
        views = VIEW_COUNTS[int(torch.multinomial(torch.tensor(VIEW_WEIGHTS), 1, generator=self.shared))]
        indices = self.sampler.next(self.config.batch)
        chosen = [torch.randperm(self.shards.num_views, generator=self.own)[:views].numpy() for _ in indices]
        return self.shards.batch(indices, chosen)

    def _set_learning_rate(self) -> None:
        warm = min(1.0, (self.step + 1) / WARMUP_STEPS)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress())))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * warm * max(cosine, 1e-3)

    def _average_gradients(self, elapsed: float) -> float:
        """Mean gradient over ranks; rank 0's clock for all."""
        if self.config.ranks == 1:
            return elapsed
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        clock = torch.tensor([elapsed if self.rank == 0 else 0.0])
        flat = torch.cat([g.flatten() for g in gradients] + [clock * self.config.ranks])
        dist.all_reduce(flat)
        flat /= self.config.ranks
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return float(flat[-1])

    @torch.no_grad()
    def _average_model(self) -> None:
        decay = min(0.995 + 0.004 * self.progress(), 0.999, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.model.parameters()), 1 - decay)
        for mean, buffer in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
            mean.copy_(buffer)

    def train_step(self) -> dict[str, float]:
        """One optimiser step; the loss terms."""
        self._set_learning_rate()
        self.model.train()
        batch, inputs = augment(self._batch(), AugmentConfig(), self.own)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bfloat16):
            outputs = self.model(inputs)
        targets = batch_targets(batch, outputs.plane_from_world)
        terms = mini_losses(outputs, targets, inputs.posed, self.text.draw(self.own))
        self.optimizer.zero_grad(set_to_none=False)
        terms["total"].backward()
        now = time.monotonic()
        self.elapsed, self._counted = self._average_gradients(self.elapsed + now - self._counted), now
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        if torch.isfinite(norm):
            self.optimizer.step()
        else:
            _log.warning("step %d: gradient is not finite, step left out", self.step)
        self.step += 1
        self.samples += self.config.batch * self.config.ranks
        self._average_model()
        return {**{name: float(value.detach()) for name, value in terms.items()}, "norm": float(norm)}

    def state(self) -> dict:
        """All of a run's state. Every rank must call it: the random states of all are gathered."""
        own = {"rng": self.own.get_state(), "sampler": self.sampler.state(), "torch": torch.get_rng_state()}
        ranks: list[dict | None] = [own]
        if self.config.ranks > 1:
            ranks = [None] * self.config.ranks
            dist.all_gather_object(ranks, own)
        return {
            "architecture": self.architecture, "model": self.model.state_dict(), "ema": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(), "step": self.step, "elapsed": self.elapsed, "samples": self.samples,
            "shared": self.shared.get_state(), "ranks": ranks, "scenes": len(self.shards),
            "config": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self.config).items()},
        }  # fmt: skip

    def restore(self, state: dict) -> None:
        """Continue where `state` was taken."""
        if len(state["ranks"]) != self.config.ranks:
            raise ValueError(f"ranks: expected {len(state['ranks'])} as in the checkpoint, got {self.config.ranks}")
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed, self.samples = state["step"], state["elapsed"], state["samples"]
        self.shared.set_state(state["shared"])
        own = state["ranks"][self.rank]
        self.own.set_state(own["rng"])
        torch.set_rng_state(own["torch"])
        self.sampler.restore(own["sampler"])
        self._counted = time.monotonic()


def save_checkpoint(state: dict, path: Path) -> None:
    """Write completely or not at all."""
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    os.replace(partial, path)


class RunLog:
    """Lines of JSON in RUN/log.jsonl: means of the loss terms, and held-out figures."""

    def __init__(self, out: Path) -> None:
        self.path = out / "log.jsonl"
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, terms: dict[str, float]) -> None:
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def flush(self, trainer: Trainer, rate: float) -> None:
        means = {name: round(value / self._count, 5) for name, value in self._sums.items()}
        self.write("train", trainer, {"samples_per_s": round(rate, 2), "lr": trainer.optimizer.param_groups[0]["lr"], **means})
        self._sums, self._count = {}, 0

    def write(self, what: str, trainer: Trainer, values: dict) -> None:
        head = {"what": what, "step": trainer.step, "samples": trainer.samples, "minutes": round(trainer.elapsed / 60, 2)}
        with self.path.open("a") as stream:
            stream.write(json.dumps({**head, **values}) + "\n")
        _log.info("%s", json.dumps({**head, **values}))


def _log_figures(trainer: Trainer, log: RunLog, validation: ShardSet, text: TextTargets, scenes: int) -> None:
    for posed in (True, False):
        figures = evaluate(trainer.averaged, validation, text, scenes=scenes, posed=posed)
        log.write("eval", trainer, {"posed": posed, **{k: round(v, 4) for k, v in asdict(figures).items()}})


def train_rank(rank: int, config: TrainConfig) -> None:
    """One process of a run."""
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    if config.ranks > 1:
        dist.init_process_group("gloo", rank=rank, world_size=config.ranks)
    trainer, last = Trainer(config, rank), config.out / "last.pt"
    if last.exists():
        trainer.restore(torch.load(last, map_location="cpu", weights_only=True))
        _log.info("resumed at step %d, minute %.1f", trainer.step, trainer.elapsed / 60)
    log, validation = RunLog(config.out), ShardSet(config.data / "val")
    saved = evaluated = flushed = trainer.elapsed
    flushed_samples = trainer.samples
    while trainer.progress() < 1:
        log.add(trainer.train_step())
        if rank == 0 and trainer.step % 20 == 0:
            log.flush(trainer, (trainer.samples - flushed_samples) / max(trainer.elapsed - flushed, 1e-6))
            flushed, flushed_samples = trainer.elapsed, trainer.samples
        # The clock is the same on all ranks, so all take these branches together.
        if trainer.elapsed - saved > 60 * config.save_minutes:
            saved, state = trainer.elapsed, trainer.state()
            if rank == 0:
                save_checkpoint(state, last)
        if trainer.elapsed - evaluated > 60 * config.evaluate_minutes:
            evaluated = trainer.elapsed
            if rank == 0:
                _log_figures(trainer, log, validation, trainer.text, config.evaluate_scenes)
    state = trainer.state()
    if rank == 0:
        save_checkpoint(state, last)
        _log_figures(trainer, log, validation, trainer.text, 2 * config.evaluate_scenes)
    if config.ranks > 1:
        dist.barrier()
        dist.destroy_process_group()


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=TrainConfig.minutes)
    parser.add_argument("--steps", type=int, default=None, help="end and schedule by steps instead of minutes")
    parser.add_argument("--ranks", type=int, default=TrainConfig.ranks)
    parser.add_argument("--batch", type=int, default=TrainConfig.batch)
    parser.add_argument("--learning-rate", type=float, default=TrainConfig.learning_rate)
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    parser.add_argument("--evaluate-minutes", type=float, default=TrainConfig.evaluate_minutes)
    parser.add_argument("--evaluate-scenes", type=int, default=TrainConfig.evaluate_scenes)
    parser.add_argument("--save-minutes", type=float, default=TrainConfig.save_minutes)
    parser.add_argument("--no-bfloat16", dest="bfloat16", action="store_false")
    config = TrainConfig(**vars(parser.parse_args()))
    config.out.mkdir(parents=True, exist_ok=True)
    text_file = config.data / "text_embeddings.npz"
    if not text_file.exists():
        save_text_targets(encode_descriptions(ShardSet(config.data / "train").vocabulary()), text_file)
    if config.ranks == 1:
        train_rank(0, config)
        return
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(20000 + np.random.default_rng().integers(20000)))
    torch.multiprocessing.spawn(train_rank, (config,), nprocs=config.ranks)


if __name__ == "__main__":
    main()
