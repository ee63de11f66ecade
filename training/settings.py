"""All settings of a training run, with their defaults, in one place; YAML files and the command line fill them in.

A family names what it wants otherwise (`FAMILIES[name].defaults`), and its preset what its paper does
(`training.families.presets`); a file overrides both, `--set` overrides the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from pan3d_core.settings import SHARE, Checked, setting, to_plain
from pan3d_core.settings import read_yaml as read_yaml_file


@dataclass(frozen=True)
class OptimizerConfig(Checked):
    """AdamW (Loshchilov & Hutter 2019) on groups of parameters, and the averaged weights."""

    learning_rate: float = setting(1e-3, "of what is trained from scratch", range=(0.0, 10.0))
    lora_learning_rate: float | None = setting(None, "of low-rank corrections; none = learning_rate", range=(0.0, 10.0))
    pretrained_learning_rate: float | None = setting(None, "of pretrained parts; none = learning_rate", range=(0.0, 10.0))
    beta1: float = setting(0.9, "decay of the first moment", range=SHARE)
    beta2: float = setting(0.98, "decay of the second moment", range=SHARE)
    weight_decay: float = setting(0.05, "of matrices and convolutions; vectors have none", range=(0.0, 10.0))
    clip_norm: float = setting(2.0, "largest norm of the whole gradient; 0 = any", range=(0.0, 1e9))
    average_first: float = setting(0.995, "decay of the averaged weights at the start of the run", range=SHARE)
    average_last: float = setting(0.999, "decay of the averaged weights at its end", range=SHARE)
    max_bad_steps: int = setting(20, "steps in a row with a gradient that is not finite before the run ends", range=(1, 10**9))


@dataclass(frozen=True)
class ScheduleConfig(Checked):
    """Factor on the learning rates over the share of the run (steps or minutes) that is used up."""

    kind: str = setting("cosine", "shape after the warm-up", choices=("cosine", "constant", "step", "exponential", "polynomial"))
    warmup_steps: int = setting(100, "steps of linear rise from zero", range=(0, 10**9))
    final: float = setting(1e-3, "lowest factor; where exponential ends", range=SHARE)
    milestones: tuple[float, ...] = setting((0.6, 0.85), "step: shares of the run after which the factor drops")
    gamma: float = setting(0.1, "step: factor of each drop", range=SHARE)
    power: float = setting(0.9, "polynomial: exponent", range=(0.0, 100.0))


@dataclass(frozen=True)
class ExecutionConfig(Checked):
    """How the steps are computed; nothing here changes what is learnt beyond rounding, except precision."""

    ranks: int = setting(1, "processes that this command starts itself; under torchrun its own number counts", range=(1, 1024))
    strategy: str = setting("ddp", "several ranks: ddp copies the model, fsdp shards it", choices=("ddp", "fsdp"))
    device: str = setting("auto", "auto, cpu, cuda or cuda:N")
    threads: int = setting(1, "CPU threads per rank; 0 = torch's choice", range=(0, 256))
    precision: str = setting("bfloat16", "of matrix products", choices=("float32", "bfloat16", "float16"))
    accumulate: int = setting(1, "batches per rank whose gradients make one step", range=(1, 10**6))
    batches_per_step: int = setting(
        0,
        "of all ranks together, so that a run goes on alike when ranks are lost or added; 0 = ranks x accumulate",
        range=(0, 10**6),
    )
    restarts: int = setting(
        0, "times that this command goes on from the newest checkpoint after a rank was lost; torchrun has --max-restarts",
        range=(0, 1000),
    )  # fmt: skip
    checkpoint_blocks: bool = setting(False, "recompute transformer blocks in the backward pass: less memory, more time")
    compile: bool = setting(False, "torch.compile the model")

    def of_ranks(self, world: int) -> ExecutionConfig:
        """With the accumulated batches that `batches_per_step` asks of so many ranks; `ValueError` where it is no multiple."""
        if not self.batches_per_step:
            return self
        if self.batches_per_step % world:
            raise ValueError(f"execution.batches_per_step: expected a multiple of the {world} ranks, got {self.batches_per_step}")
        return replace(self, accumulate=self.batches_per_step // world)

    @property
    def dtype(self) -> torch.dtype | None:
        """Of matrix products under autocast; None = float32."""
        return {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.precision]


@dataclass(frozen=True)
class SamplingConfig(Checked):
    """What a batch is made of."""

    batch: int = setting(4, "scenes per rank and accumulated batch", range=(1, 10**6))
    view_counts: tuple[float, ...] = setting((2, 3, 4), "numbers of views, one of which is drawn per step")
    view_weights: tuple[float, ...] = setting((0.2, 0.25, 0.55), "how often each number of views is drawn")
    augment: bool = setting(True, "vary colours, frames and calibration of the samples")
    max_corrupt: int = setting(1000, "unreadable samples before the run ends; each is named and replaced", range=(0, 10**9))
    stream: str = setting(
        "",
        "scenes to stream instead of data/train: a folder or URL of tar shards, a folder of scene folders or of recordings in a "
        "public layout, or cell (rendered)",
    )
    sources: Mapping[str, float] = field(
        default_factory=dict,
        metadata={"description": "several of these, or folders of arrays, with weights: each batch is of one, drawn by weight"},
    )
    images: int = setting(
        0, "most pictures of a batch, which then has as many scenes as these allow; 0 = batch", range=(0, 10**6)
    )
    aspects: tuple[float, ...] = setting(
        (), "lowest and highest height of the pictures in widths, of which each step draws one and cuts them to it; empty = uncut"
    )
    size: tuple[int, int] = setting((518, 392), "of a stream of recordings: width and height of the pictures")
    interval: int = setting(20, "of a stream of recordings: images from one view of a sample to the next", range=(1, 10**6))
    stretches: int = setting(4, "of a stream of recordings: samples of each, evenly from its begin to its end", range=(1, 10**6))
    workers: int = setting(1, "processes per rank that read and decode a stream; 0 = the rank itself", range=(0, 1024))
    buffer: int = setting(1000, "scenes of a stream among which each of these shuffles", range=(1, 10**7))

    def __post_init__(self) -> None:
        super().__post_init__()
        for place, weight in self.sources.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < math.inf:
                raise ValueError(f"SamplingConfig.sources: {place}: expected a weight above 0, got {weight!r}")
        if self.sources and self.stream:
            raise ValueError(f"SamplingConfig.stream: expected none beside sources, got {self.stream!r}")
        if self.aspects and not (len(self.aspects) == 2 and 0.1 <= self.aspects[0] <= self.aspects[1] <= 10):
            raise ValueError(f"SamplingConfig.aspects: expected lowest and highest, 0.1 to 10, got {self.aspects}")
        if len(self.view_counts) != len(self.view_weights) or not self.view_counts or min(self.view_weights) < 0:
            raise ValueError(
                f"SamplingConfig.view_weights: expected one weight for each of {self.view_counts}, got {self.view_weights}"
            )


@dataclass(frozen=True)
class RecordConfig(Checked):
    """When a run saves, measures and reports; "every" is 0 = never by that clock."""

    save_minutes: float = setting(3.0, "minutes between checkpoints", range=(0.0, 1e9))
    save_steps: int = setting(0, "steps between checkpoints", range=(0, 10**12))
    keep: int = setting(2, "newest checkpoints kept, beside the best one", range=(1, 10**6))
    evaluate_minutes: float = setting(6.0, "minutes between held-out figures", range=(0.0, 1e9))
    evaluate_steps: int = setting(0, "steps between held-out figures", range=(0, 10**12))
    evaluate_scenes: int = setting(48, "held-out scenes per measurement; twice as many at the end", range=(0, 10**9))
    log_steps: int = setting(20, "steps between lines of the log", range=(1, 10**9))
    tensorboard: bool = setting(True, "write scalars and pictures for TensorBoard where it is installed")
    pictures: int = setting(2, "held-out scenes shown in TensorBoard at every measurement", range=(0, 64))


@dataclass(frozen=True)
class TrainConfig:
    """One run. `model` holds the family's own settings (its module documents them)."""

    family: str
    data: Path  # folder with train/ and val/
    out: Path  # the run's folder
    minutes: float = 90.0  # training time of the whole run, resumed parts together
    steps: int = 0  # schedule and end by steps instead of minutes; 0 = by minutes
    seed: int = 0
    preset: str = "ours"  # or "published": the paper's settings where ours differ, below what is set here
    start_from: str = ""  # weights to begin with: a training checkpoint of the family, or what the family's module says
    model: Mapping[str, Any] = field(default_factory=dict)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    record: RecordConfig = field(default_factory=RecordConfig)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.minutes) and self.minutes > 0):
            raise ValueError(f"minutes: expected a positive number, got {self.minutes}")
        if self.steps < 0:
            raise ValueError(f"steps: expected 0 or more, got {self.steps}")

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dict that `read_settings` reads back."""
        plain: dict[str, Any] = to_plain(self)
        return plain


def merge_settings(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested settings.

    Args:
        base: Nested names with values.
        changes: Entries that win.

    Returns:
        A new nested dict.
    """
    merged = dict(base)
    for name, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge_settings(merged[name], value) if both else value
    return merged


def read_yaml(path: Path) -> dict[str, Any]:
    """The nested settings of a YAML file."""
    return read_yaml_file(path, "settings of a run")


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """["optimizer.learning_rate=2e-4"] -> nested dict; values are read as YAML."""
    nested: dict[str, Any] = {}
    for text in assignments:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise ValueError(f"set: expected NAME=VALUE, got {text!r}")
        *groups, last = path.split(".")
        inner = nested
        for group in groups:
            inner = inner.setdefault(group, {})
            if not isinstance(inner, dict):
                raise ValueError(f"set: {path}: expected {group} to be a group or a value, got both")
        try:
            parsed = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(f"set: {path}: expected a value as YAML, got {value!r}") from error
        inner[last] = _as_number(parsed) if isinstance(parsed, str) else parsed
    return nested


def _as_number(text: str) -> float | str:
    """YAML 1.1 reads 2e-4 as text, people mean the number."""
    try:
        return float(text)
    except ValueError:
        return text
