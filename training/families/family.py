"""What the loop asks of a model family, and the grouping of parameters that families share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pan3d_core.models.layers.transformer import LoraLinear
from training.data.arrays import SceneBatch
from training.settings import OptimizerConfig, TrainConfig

Figures = dict[str, float | int | bool]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    learning_rate: float
    weight_decay: float
    schedule: str | None = None  # shape of its own instead of `ScheduleConfig.kind`


M = TypeVar("M", bound=nn.Module)  # the network
S = TypeVar("S")  # a prepared sample
A = TypeVar("A")  # what the network answers


class Family(Protocol[M, S, A]):
    """One kind of model: how it is built, fed, judged and shown. The loop knows nothing else about it."""

    architecture: dict[str, Any]  # plain values that say which network it is; stored in every checkpoint

    def build(self) -> M:
        """The network with its first weights, on the CPU; the same for the same torch seed."""

    def load(self, model: M, path: str) -> None:
        """Give `model` the weights that a run starts from; `ValueError` for a file that does not fit."""

    def groups(self, model: M, optimizer: OptimizerConfig) -> list[ParameterGroup]:
        """All parameters that are trained, each in one group; the others are frozen."""

    def blocks(self, model: M) -> list[nn.Module]:
        """The repeated large parts: units of gradient checkpointing and of sharding."""

    def prepare(self, batch: SceneBatch, generator: Generator) -> S:
        """A batch (CPU) -> what `losses` needs: augmented inputs and their truth. All chance comes from `generator`."""

    def forward(self, model: M, sample: S, dtype: torch.dtype | None) -> A:
        """Outputs of the model for a prepared sample on its device; `dtype` of matrix products under autocast, None = float32."""

    def losses(self, outputs: A, sample: S, progress: float) -> dict[str, Tensor]:
        """Scalars, `total` being what is minimised, at `progress` 0..1 of the run, the same on all ranks. Raises `NonFiniteCost`
        for outputs of a diverged model."""

    def evaluate(self, model: M, scenes: int) -> list[Figures]:
        """Held-out figures, one dict per case (`posed` or other words first, then numbers); leaves `model` in evaluation mode."""

    def score(self, figures: list[Figures]) -> float:
        """One number of those figures; the checkpoint with the highest is kept as the best."""

    def pictures(self, model: M, scenes: int) -> dict[str, np.ndarray]:
        """Pictures (H, W, 3) uint8 of held-out scenes with the model's answer, by name."""


AnyFamily: TypeAlias = Family[Any, Any, Any]  # what the loop holds: it hands on what the family itself has made


@dataclass(frozen=True)
class FamilyEntry:
    """How to make a family, and where its settings differ from `TrainConfig`'s defaults."""

    build: Callable[[TrainConfig], AnyFamily]
    defaults: Mapping[str, Any]


def require_patches(height: int, width: int, patch: int) -> None:
    """Raise `ValueError` for a network size that is not made of whole patches."""
    for name, value in (("height", height), ("width", width)):
        if value < patch or value % patch:
            raise ValueError(f"model.{name}: expected a multiple of {patch}, got {value}")


def split_by_decay(name: str, parameters: Iterable[nn.Parameter], rate: float, decay: float) -> list[ParameterGroup]:
    """Matrices and convolutions decay, vectors and scalars do not; empty groups are left out."""
    wanted = [p for p in parameters if p.requires_grad]
    matrices = tuple(p for p in wanted if p.ndim > 1)
    vectors = tuple(p for p in wanted if p.ndim <= 1)
    groups = [ParameterGroup(name, matrices, rate, decay), ParameterGroup(f"{name}, no decay", vectors, rate, 0.0)]
    return [group for group in groups if group.parameters]


def groups_by_origin(model: nn.Module, is_pretrained: Callable[[str], bool], optimizer: OptimizerConfig) -> list[ParameterGroup]:
    """Groups "new", "lora" and "pretrained" with their own rates; `is_pretrained` judges parameter names."""
    rate = optimizer.learning_rate
    rates = {
        "new": rate,
        "lora": rate if optimizer.lora_learning_rate is None else optimizer.lora_learning_rate,
        "pretrained": rate if optimizer.pretrained_learning_rate is None else optimizer.pretrained_learning_rate,
    }
    low_rank = {id(p) for m in model.modules() if isinstance(m, LoraLinear) for p in m.lora.parameters()}
    members: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    for name, parameter in model.named_parameters():
        origin = "lora" if id(parameter) in low_rank else "pretrained" if is_pretrained(name) else "new"
        members[origin].append(parameter)
    return [g for name, own in members.items() for g in split_by_decay(name, own, rates[name], optimizer.weight_decay)]


def best_of(figures: Sequence[Figures], name: str) -> float:
    """`name` of the first case."""
    return float(figures[0][name]) if figures else float("-inf")
