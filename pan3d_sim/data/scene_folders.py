"""`pan3d sim render`: scene folders from the robot cell, as `pan3d_core.views.scene_folder` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pan3d_core.labels import LabelSpace
from pan3d_core.runtime.ending.result_folder import ResultFolder
from pan3d_core.structures import present
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth, write_scene
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.objects.kinds import KINDS


def cell_scene(cell: RobotCell) -> Scene:
    """Return what the fixed cameras of a cell see now, with depth, and the truth about it.

    Args:
        cell: The cell.

    Returns:
        The scene in the frame of the cell, metres. Objects that no camera sees are left out.
    """
    views = cell.views()
    ids = torch.from_numpy(cell.instance_ids).long()
    # Kinds of modelled objects come after those that are always there.
    kinds = tuple(dict.fromkeys((*KINDS, *(obj.kind for obj in cell.objects))))
    labels = LabelSpace.things(kinds)
    objects = tuple(
        SceneObject(item.instance_id, item.name, kinds.index(item.kind), item.box)
        for item in cell.truth()
        if sum(item.visible_pixels) > 0
    )
    truth = SceneTruth(tuple(ids), tuple(present("CameraView.depth", view.depth) for view in views), objects, labels)
    return Scene(f"cell_{cell.seed:04d}", tuple(views), truth, cell.config.support_height_m)


def render_scene_folder(out: Path, seed: int, **changes: Any) -> Path:
    """Build the cell of a seed, render it and write it as a scene folder.

    Args:
        out: Folder in which `cell_SEED` is made.
        seed: Of the cell.
        **changes: Fields of `CellConfig` with other values.

    Returns:
        The folder that was written.
    """
    with RobotCell(seed, **changes) as cell:
        scene = cell_scene(cell)
    with ResultFolder(out / scene.name, "scene").replaced() as part:
        write_scene(part, scene)
    return out / scene.name
