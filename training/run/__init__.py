"""The loop and what it rests on: ranks, schedules, averaging, checkpoints and the log; knows families by their protocol alone."""

from training.run.checkpoints import read_state
from training.run.loop import Trainer
from training.run.ranks import Ranks
from training.run.schedules import rate_factor

__all__ = ["Ranks", "Trainer", "rate_factor", "read_state"]
