"""Held-out figures and pictures of networks in training; knows models and metrics, not the loop."""

from training.judge.gaussians import Eps3dFigures, evaluate_eps3d
from training.judge.objects import MiniFigures, answered, measured
from training.judge.pictures import label_picture

__all__ = ["Eps3dFigures", "MiniFigures", "answered", "evaluate_eps3d", "label_picture", "measured"]
