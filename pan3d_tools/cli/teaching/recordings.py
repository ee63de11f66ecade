"""What there is to label: bags, scene folders, pictures; unread until their turn comes."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pan3d_core.runtime.lazy import load
from pan3d_core.views.scene_folder import SCENE_FILE, Scene, read_photographs, read_scene
from pan3d_tools.cli.bags.files import find_bags

# Imported when bags are read: they need rosbags.
FEW_VIEWS = "pan3d_tools.cli.bags.keyframes:few_views_of_bag"
CAMERAS_FILE = "cameras.json"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")

Source = tuple[str, Callable[[], Scene]]  # for messages, and what reads it


def posed_sources(options: argparse.Namespace) -> Iterator[Source]:
    """Find the recordings of `options.sources`.

    Args:
        options: Of a command that takes bags (`views`, `params`, `depth` and the model's options).

    Yields:
        Each recording, unread.

    Raises:
        FileNotFoundError: A source is nowhere.
        ValueError: It is none.
    """
    for path in options.sources:
        if not path.exists():
            raise FileNotFoundError(f"SOURCE: expected a bag or a folder, got {path}, which does not exist")
        found = list(sources_of(path, options))
        if not found:
            raise ValueError(f"SOURCE: expected a bag, {SCENE_FILE} or pictures with {CAMERAS_FILE}, got {path} without")
        yield from found


def sources_of(path: Path, options: argparse.Namespace) -> Iterator[Source]:
    """Find the recordings at one place; none where there is nothing of which cameras are known."""
    if bags := find_bags([path]):
        yield from ((str(bag), _bag_reader(bag, options)) for bag in bags)
    elif (path / SCENE_FILE).exists():
        yield str(path), partial(read_scene, path)
    elif (path / CAMERAS_FILE).exists():
        yield str(path), partial(read_photographs, pictures_in(path), path / CAMERAS_FILE)
    else:
        yield from ((str(item.parent), partial(read_scene, item.parent)) for item in sorted(path.glob(f"*/{SCENE_FILE}")))


def pictures_in(folder: Path) -> list[Path]:
    """Files of a folder that are pictures by their names, in order."""
    return [item for item in sorted(folder.iterdir()) if item.suffix.lower() in PICTURES]


def _bag_reader(bag: Path, options: argparse.Namespace) -> Callable[[], Scene]:
    asked = copy.copy(options)
    asked.scene = bag

    def read() -> Scene:
        scene: Scene = load(FEW_VIEWS)(asked)
        return scene

    return read
