"""A film of what happened in the twins: why this grasp, and not the one that the planner liked best."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pan3d_core.grasping.rehearsal import Rehearsal
from pan3d_core.pictures.files import write_moving
from pan3d_core.structures import GraspTarget, Panoptic3D
from pan3d_sim.cameras.renderer import Renderer
from pan3d_sim.cameras.rig import overview_camera
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.objects.kinds import VISUAL_GROUP
from pan3d_sim.rehearsal.trials import SHORT, GraspRehearser
from pan3d_sim.rehearsal.twin import Twin

WIDTH, HEIGHT, FRAME = 320, 240, 6  # pixels
RATE = 3.0  # phases a second
CLEAN_RGB, LIFTED_RGB, FAILED_RGB = (60, 180, 75), (230, 170, 40), (200, 50, 50)


def write_film(
    path: Path, rehearser: GraspRehearser, panoptic: Panoptic3D, rehearsal: Rehearsal, support_height_m: float
) -> bool:
    """Show the grasp that came last and the one that came first of those that were tried, in a twin of each kind.

    Parts that nobody saw are pale. The frame of a picture is green where the object was lifted alone, yellow where others moved
    or came along, red where it was not lifted.

    Args:
        path: Of the film; the suffix decides the kind.
        rehearser: That tried them.
        panoptic: What was perceived.
        rehearsal: What it answered.
        support_height_m: World z of what objects stand on.

    Returns:
        False where there is nothing to show, and no file.
    """
    tried = [item.grasp for item in rehearsal.grasps if item.trials]
    if not tried:
        return False
    shown = [tried[0]] if len(tried) == 1 else [tried[-1], tried[0]]
    twins = [twin for _, twin in rehearser.twins(panoptic, tried[0].instance_id, support_height_m)]
    write_moving(path, (picture for grasp in shown for twin in twins for picture in _pictures(twin, grasp)), RATE)
    return True


def _pictures(twin: Twin, grasp: GraspTarget) -> Iterator[np.ndarray]:
    """One trial, phase by phase."""
    pictures: list[np.ndarray] = []
    camera = overview_camera(WIDTH, HEIGHT, support_height_m=twin.support_height_m)
    twin.model.geom_group[list(twin.hand.geoms)] = VISUAL_GROUP
    with Renderer(twin.model, WIDTH, HEIGHT) as renderer:

        def show(_: str) -> None:
            renderer.update(twin.data)
            pictures.append(renderer.render(camera)[0].copy())

        result = GraspTrials(twin, SHORT).execute(grasp, target=0, observe=show)
    clean = bool(result.details.get("clean", 0.0))
    color = CLEAN_RGB if clean else LIFTED_RGB if result.lifted else FAILED_RGB
    for picture in pictures:
        picture[:FRAME], picture[-FRAME:], picture[:, :FRAME], picture[:, -FRAME:] = color, color, color, color
        yield picture
