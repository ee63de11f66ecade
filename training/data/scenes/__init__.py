"""Scenes read one after the other, from shards, folders, recordings and the renderer; knows no model of a run."""

from training.data.scenes.folder_shards import open_scene_folders
from training.data.scenes.recording_shards import holds_recordings, open_recordings
from training.data.scenes.recordings import SamplePlan
from training.data.scenes.shards import SceneShards, open_tar_shards
from training.data.scenes.stream import SceneReader

__all__ = [
    "SamplePlan",
    "SceneReader",
    "SceneShards",
    "holds_recordings",
    "open_recordings",
    "open_scene_folders",
    "open_tar_shards",
]
