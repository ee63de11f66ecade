"""Scenes of a world for `pan3d eval --world`; needs the simulator."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_sim.data.judged_worlds import WorldScenes
from pan3d_tools.cli.options import picture_size
from pan3d_tools.cli.output import show_progress


def render_world(options: argparse.Namespace) -> Path:
    """Render the scenes of a world that are not there yet.

    Args:
        options: With those of `worlds.add_world_options`.

    Returns:
        Their folder.

    Raises:
        ValueError: The world is unknown or cannot be rendered.
    """
    width, height = picture_size(options.world_size)
    scenes = WorldScenes(
        options.world,
        options.world_scenes,
        options.world_seed,
        options.world_cameras,
        width,
        height,
        options.object_folder,
        options.photographs,
    )
    return scenes.render(options.world_folder, report=lambda progress: show_progress(progress.done, progress.total))
