"""A learnt scorer of grasps: trials in physics, a small network, its weight file and card."""

from training.grasps.shards import TrialsRequest, make_trials, read_trials

__all__ = ["TrialsRequest", "make_trials", "read_trials"]
