"""What the cell is rendered into: scene folders, shards for training, bags and scenes to refine; knows the cell."""

from pan3d_core.runtime.lazy import attributes

# Loaded on first use: those who read records of scenes need no renderer, and those who render need no rosbags.
_HOMES = {
    "RenderPlan": "shard_rendering",
    "SceneRecord": "scene_records",
    "SceneSettings": "shards",
    "SceneStream": "bank",
    "RefineSceneSettings": "refine_scene",
    "RecordingConfig": "recording",
    "cell_scene": "scene_folders",
    "record": "recording",
    "render_data_set": "shard_rendering",
    "render_refine_scene": "refine_scene",
    "render_scene_folder": "scene_folders",
}
__all__ = list(_HOMES)
__getattr__ = attributes(__name__, _HOMES)
