"""The loop and what it rests on: ranks, schedules, averaging, checkpoints and the log; knows families by their protocol alone."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from training.run.checkpoints import read_state as read_state
    from training.run.loop import Trainer as Trainer
    from training.run.ranks import Ranks as Ranks
    from training.run.schedules import rate_factor as rate_factor

# Loaded on first use: families read checkpoints and move batches to devices, and the loop knows families.
_NAMES = {
    "checkpoints": ("read_state",),
    "loop": ("Trainer",),
    "ranks": ("Ranks",),
    "schedules": ("rate_factor",),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
