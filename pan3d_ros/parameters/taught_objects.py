"""The taught objects that the parameter `objects.folder` names; needs no ROS."""

from __future__ import annotations

import logging
from pathlib import Path

from pan3d_core.config import PipelineConfig
from pan3d_core.teaching import TaughtLibrary, read_library
from pan3d_ros.parameters.values import expanded_path

log = logging.getLogger("pan3d.ros.teaching")


def library_folder(config: PipelineConfig) -> Path:
    """Give the folder of the parameter `objects.folder`.

    Raises:
        ValueError: There is none, or a user without a home folder has `~` in it.
    """
    if not config.objects.folder:
        raise ValueError("objects.folder: expected a folder of taught objects, got none")
    return expanded_path("objects.folder", config.objects.folder)


def stored_library(config: PipelineConfig) -> TaughtLibrary:
    """Read the objects of `objects.folder`; without such a folder yet nothing is taught.

    Args:
        config: Of the pipeline.

    Returns:
        What was taught; entries that are damaged are left out, and logged.

    Raises:
        ValueError: The parameter is empty or no path.
        OSError: The folder cannot be read.
    """
    folder = library_folder(config)
    if not folder.exists():
        log.warning("objects.folder: %s is not there yet; nothing was taught", folder)
        return TaughtLibrary()
    library = read_library(folder)
    for text in library.skipped:
        log.warning("objects.folder: %s", text)
    log.info("taught objects: %s", ", ".join(library.names) or "none")
    return library
