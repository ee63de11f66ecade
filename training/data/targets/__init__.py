"""What networks should have answered, from a batch's truth or from 2D models of others; knows batches, and no model of a run."""

from training.data.targets.geometry import geometry_targets
from training.data.targets.mini import BatchTargets, SceneTargets, batch_targets, scene_targets
from training.data.targets.teachers import CellTeacher, FileTeacher, Teacher, taught
from training.data.targets.text import TextTargets, load_text_targets

__all__ = [
    "BatchTargets",
    "CellTeacher",
    "FileTeacher",
    "SceneTargets",
    "Teacher",
    "TextTargets",
    "batch_targets",
    "geometry_targets",
    "load_text_targets",
    "scene_targets",
    "taught",
]
