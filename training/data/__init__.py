"""From stored or rendered scenes to batches with truth, whatever they are read from; knows no model of a run."""

from training.data.arrays import SceneBatch, ShardSet
from training.data.augment import AugmentConfig, augment
from training.data.sources.stream_source import open_source
from training.data.targets.teachers import FileTeacher, Teacher
from training.data.targets.text import TextTargets

__all__ = ["AugmentConfig", "FileTeacher", "SceneBatch", "ShardSet", "Teacher", "TextTargets", "augment", "open_source"]
