"""Which views of several a network can be given: every one is checked by itself and beside the others, so that a bad camera
harms no other. The node, bags, `pan3d doctor`, `pan3d eval` and `reconstruct` ask the same checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pan3d_core.config import PreprocessConfig
from pan3d_core.geometry.camera_checks import CameraFault, PoseRefused, code_of, used_of
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.structures import CameraView
from pan3d_core.views.preprocessing import require_usable
from pan3d_core.views.scene_folder import Scene


def usable_scene(scene: Scene, config: PreprocessConfig, most_m: float) -> Scene:
    """Leave out the cameras that no network could be given.

    Args:
        scene: As it was read, or of views in memory.
        config: What the views will be prepared for.
        most_m: Largest distance of two cameras, metres.

    Returns:
        The scene of the others and their truth; `left_out` names more.

    Raises:
        ValueError: No camera is left; says of each why.
    """
    faults: dict[int, CameraFault] = {}
    for index, view in enumerate(scene.views):
        try:
            require_usable(view, config)
        except ValueError as error:
            faults[index] = CameraFault(view.camera, code_of(error), str(error))
    rows = [index for index in range(len(scene.views)) if index not in faults]
    for row, words in distant_views([scene.views[index] for index in rows], most_m).items():
        index = rows[row]
        faults[index] = CameraFault(scene.views[index].camera, PoseRefused.code, words)
    if not faults:
        return scene
    left_out = (*scene.left_out, *(faults[index] for index in sorted(faults)))
    if len(faults) == len(scene.views):
        raise ValueError(used_of(0, len(left_out), left_out))
    return replace(scene.of_rows([index for index in rows if index not in faults]), left_out=left_out)


def distant_views(views: Sequence[CameraView], most_m: float) -> dict[int, str]:
    """Find the views whose poses cannot be metres because the others stand elsewhere.

    They are measured from the view that most others are near to, of several the one nearest to the reference frame. Where none is
    near to another and that one is far from the reference frame, too, none of them can be metres.

    Args:
        views: Of one set.
        most_m: Largest distance of two cameras.

    Returns:
        Row -> what is wrong.
    """
    placed = {row: invert_rigid(view.cam_from_world)[:3, 3] for row, view in enumerate(views) if view.cam_from_world is not None}
    if len(placed) < 2:
        return {}

    def loneliness(row: int) -> tuple[int, float]:
        others = [float((place - placed[row]).norm()) > most_m for place in placed.values()]
        return sum(others), float(placed[row].norm())

    middle = min(placed, key=loneliness)
    distances_m = {row: float((place - placed[middle]).norm()) for row, place in placed.items()}
    reach = float(placed[middle].norm())
    if reach > most_m and all(distance > most_m for row, distance in distances_m.items() if row != middle):
        words = f"expected a pose within align.max_scene_depth_m = {most_m:g} m of another camera or of the reference frame"
        return dict.fromkeys(placed, f"{words}, got none nearer; are the poses in millimetres?")
    return {
        row: f"expected a pose within align.max_scene_depth_m = {most_m:g} m of camera {views[middle].camera},"
        f" got {distance:.4g} m; are its poses in millimetres?"
        for row, distance in distances_m.items()
        if distance > most_m
    }
