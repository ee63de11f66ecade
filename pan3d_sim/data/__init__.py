"""What the cell is rendered into: scene folders, shards for training, bags and scenes to refine; knows the cell."""

from pan3d_core.runtime.lazy import attributes

# Loaded on first use: those who read records of scenes need no renderer, and those who render need no rosbags.
_NAMES = {
    "shard_rendering": ("RenderPlan", "render_data_set"),
    "scene_records": ("SceneRecord",),
    "shards": ("SceneSettings",),
    "bank": ("SceneStream",),
    "refine_scene": ("RefineSceneSettings", "render_refine_scene"),
    "recording": ("RecordingConfig", "record"),
    "scene_folders": ("cell_scene", "render_scene_folder"),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
