"""Trainers of tiny runs in this process."""

from dataclasses import replace
from typing import Any

import torch

from training.families import build_family, run_config
from training.run.loop import Trainer
from training.run.ranks import Ranks

ALONE = Ranks(0, 1, torch.device("cpu"), "ddp")


def trainer_of(values: dict[str, Any], **changes: Any) -> Trainer:
    """The trainer of a run's settings, with `changes` of the fields of `TrainConfig`."""
    config = replace(run_config(values), **changes)
    config.out.mkdir(parents=True, exist_ok=True)
    return Trainer(config, build_family(config), ALONE)
