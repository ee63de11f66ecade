"""Scene folders that commands write."""

from __future__ import annotations

from pathlib import Path

from pan3d_core.runtime.files import free_path, written_whole
from pan3d_core.views.scene_folder import Scene, write_scene


def write_new_scene(out: Path, scene: Scene) -> Path:
    """Write a scene folder, whole or not at all.

    Args:
        out: Folder of scene folders.
        scene: Its name becomes the folder's, or where that is taken, with the next number.

    Returns:
        The folder.

    Raises:
        OSError: The disk is full; nothing of the scene is left.
    """
    folder = free_path(out / scene.name.replace("/", "_"))
    with written_whole(folder) as part:
        write_scene(part, scene)
    return folder
