"""Several ScanNet scenes of one: copies of a scene folder under other names."""

import shutil
from pathlib import Path


def copy_scene(folder: Path, name: str, root: Path | None = None) -> Path:
    """The scene `folder` once more as scene `name`, beside it or in `root`."""
    place = (root or folder.parent) / name
    shutil.copytree(folder, place)
    for path in place.glob(f"{folder.name}*"):
        path.rename(path.with_name(path.name.replace(folder.name, name)))
    return place
