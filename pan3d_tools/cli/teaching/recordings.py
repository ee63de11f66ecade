"""What there is to label: bags, scene folders, pictures; unread until their turn comes."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from torch import Tensor

from pan3d_core.runtime.lazy import load
from pan3d_core.structures import unit_range
from pan3d_core.views.camera_files import CameraEntry, entries_of, read_camera_entries
from pan3d_core.views.entry_views import EntryFiles, read_views
from pan3d_core.views.image_files import DEFAULT_LIMITS
from pan3d_core.views.scene_folder import SCENE_FILE, Scene, read_usable_photographs, read_usable_scene
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
        yield str(path), partial(read_usable_scene, path)
    elif (path / CAMERAS_FILE).exists():
        yield str(path), partial(read_usable_photographs, pictures_in(path), path / CAMERAS_FILE)
    else:
        yield from ((str(item.parent), partial(read_usable_scene, item.parent)) for item in sorted(path.glob(f"*/{SCENE_FILE}")))


def entry_readers(folder: Path) -> list[tuple[str, Callable[[], Tensor]]]:
    """Find the pictures of a scene folder, or of a folder with a cameras file.

    Args:
        folder: Of a recording.

    Returns:
        For each the name of its camera and what reads it as the view of a scene has it: (3, H, W) RGB 0..1; that raises
        `ValueError` or `FileNotFoundError` where it cannot be read.
    """
    file = folder / (SCENE_FILE if (folder / SCENE_FILE).exists() else CAMERAS_FILE)
    known = read_camera_entries(file)
    if file.name == SCENE_FILE:
        entries, pictures = list(known.views), [EntryFiles.of(entry, file).image for entry in known.views]
    else:
        pictures = pictures_in(folder)
        entries = entries_of(pictures, known.views, file)
    return [
        (entry.camera or picture.stem, partial(_picture_of, entry, picture, file))
        for entry, picture in zip(entries, pictures, strict=True)
    ]


def _picture_of(entry: CameraEntry, picture: Path, file: Path) -> Tensor:
    found = read_views([entry], [EntryFiles(picture)], file, "world", DEFAULT_LIMITS)
    if found.errors:
        raise found.errors[0]
    return unit_range(found.views[0].image)


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
