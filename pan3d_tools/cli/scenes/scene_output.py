"""Scene folders that commands write."""

from __future__ import annotations

from pathlib import Path

from pan3d_core.runtime.ending.result_folder import ResultFolder
from pan3d_core.runtime.files import free_path, written_whole
from pan3d_core.views.scene_folder import Scene, write_scene


def write_keyframes(folder: Path, scene: Scene) -> None:
    """Write views that were chosen of a bag as a scene folder, in the place of those of an older run, and say where.

    Args:
        folder: Of the scene.
        scene: The views.
    """
    with ResultFolder(folder, "keyframes").replaced() as part:
        write_scene(part, scene)
    print(f"{len(scene.views)} keyframes of the bag: {folder}", flush=True)


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
