"""Scenes with truth: scene folders, shards of training data and public data sets as published; they know the views' room."""

from pan3d_eval.datasets.published_files import DEFAULT_VIEWS, ViewSelection
from pan3d_eval.datasets.scenes import SceneReference, find_scenes, list_scenes, paraphrases
from pan3d_eval.datasets.table import DATASETS, dataset_of, read_dataset_scene

__all__ = [
    "DATASETS",
    "DEFAULT_VIEWS",
    "SceneReference",
    "ViewSelection",
    "dataset_of",
    "find_scenes",
    "list_scenes",
    "paraphrases",
    "read_dataset_scene",
]
