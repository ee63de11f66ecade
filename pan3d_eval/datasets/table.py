"""Public data sets by name: does a folder hold one of their scenes, and how is it read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pan3d_core.views.scene_folder import Scene
from pan3d_eval.datasets.aria_synthetic import is_aria_synthetic, read_aria_synthetic
from pan3d_eval.datasets.bop import is_bop, read_bop
from pan3d_eval.datasets.published_files import DEFAULT_VIEWS, ViewSelection
from pan3d_eval.datasets.replica import is_replica, read_replica
from pan3d_eval.datasets.scannet import (
    is_annotated,
    is_scannet,
    raw_categories,
    read_scannet,
    read_scannet_views,
)
from pan3d_eval.datasets.scannetpp import is_scannetpp, read_scannetpp

# Name -> does the folder hold one scene of it, and how it is read.
DATASETS: dict[str, tuple[Callable[[Path], bool], Callable[[Path, ViewSelection], Scene]]] = {
    "scannet": (is_scannet, read_scannet),
    "scannetpp": (is_scannetpp, read_scannetpp),
    "replica": (is_replica, read_replica),
    "aria_synthetic": (is_aria_synthetic, read_aria_synthetic),
    "bop": (is_bop, read_bop),
}

# Of those whose objects have names beside those of the classes: every name that there is.
_NAMES: dict[str, Callable[[Path], frozenset[str]]] = {"scannet": raw_categories}


def dataset_of(folder: Path) -> str | None:
    """Name of the data set whose layout the folder has, None for none."""
    return next((name for name, (fits, _) in DATASETS.items() if fits(folder)), None)


def read_dataset_scene(folder: Path, views: ViewSelection = DEFAULT_VIEWS) -> Scene:
    """Read a scene of a public data set.

    Args:
        folder: In a layout that `dataset_of` knows.
        views: Which images of the recording are taken.

    Returns:
        The scene.

    Raises:
        FileNotFoundError: A file of it is missing.
        ValueError: The folder has another layout.
    """
    name = dataset_of(folder)
    if name is None:
        raise ValueError(f"{folder}: expected the layout of one of {', '.join(DATASETS)}, got another")
    return DATASETS[name][1](folder, views)


def names_of_objects(folder: Path) -> frozenset[str]:
    """Names that objects of a data set may have beside those of its classes; none where the folder holds no scene of one."""
    names = _NAMES.get(dataset_of(folder) or "")
    return frozenset() if names is None else names(folder)


def read_unlabelled(folder: Path, views: ViewSelection = DEFAULT_VIEWS) -> Scene | None:
    """Read a scene of a public data set that nobody has annotated.

    Args:
        folder: In a layout that `dataset_of` knows.
        views: Which images of the recording are taken.

    Returns:
        Its views without truth; None for a scene with labels, or of a data set that has no others.

    Raises:
        FileNotFoundError: A file of it is missing.
        ValueError: A file is damaged.
    """
    return read_scannet_views(folder, views) if dataset_of(folder) == "scannet" and not is_annotated(folder) else None
