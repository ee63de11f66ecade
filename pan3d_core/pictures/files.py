"""Series of pictures as files: a folder of PNGs, an animated picture, or a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from pan3d_core.pictures import overlays
from pan3d_core.pictures.palette import Picture
from pan3d_core.runtime.files import written_whole

ANIMATIONS = (".gif", ".apng", ".webp")  # through Pillow
VIDEOS = (".mp4",)  # through the program that comes with the package imageio-ffmpeg


def is_moving(path: Path) -> bool:
    """Whether a file of this name holds a series of pictures; a name without suffix is a folder. `ValueError` for others."""
    if path.suffix.lower() in (*ANIMATIONS, *VIDEOS):
        return True
    if path.suffix:
        raise ValueError(f"out: expected a folder or a file ending in {', '.join((*ANIMATIONS, *VIDEOS))}, got {path}")
    return False


def write_folder(folder: Path, name: str, pictures: Iterable[Picture]) -> list[Path]:
    """Write NAME_000.png, NAME_001.png, ...

    Args:
        folder: Made where needed.
        name: What the files' names begin with.
        pictures: (H, W, 3) uint8 RGB each.

    Returns:
        The paths written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, picture in enumerate(pictures):
        paths.append(folder / f"{name}_{index:03d}.png")
        overlays.save(paths[-1], picture)
    return paths


def write_moving(path: Path, pictures: Iterator[Picture], frames_per_second: float) -> None:
    """Write one file of pictures of equal size; animated pictures repeat for ever.

    Args:
        path: The file; the suffix decides the kind.
        pictures: (H, W, 3) uint8 RGB each.
        frames_per_second: How fast they follow each other.

    Raises:
        ValueError: There are no pictures, or the suffix or the rate is another.
        ModuleNotFoundError: It is a video, and imageio-ffmpeg is missing.
    """
    if not is_moving(path):
        raise ValueError(f"out: expected a file ending in {', '.join((*ANIMATIONS, *VIDEOS))}, got {path}")
    if not 0 < frames_per_second <= 100:
        raise ValueError(f"fps: expected more than 0 and at most 100 pictures a second, got {frames_per_second:g}")
    first = next(pictures, None)
    if first is None:
        raise ValueError("pictures: expected at least one, got none")
    write = _write_video if path.suffix.lower() in VIDEOS else _write_animation
    with written_whole(path) as part:
        write(part, first, pictures, frames_per_second)


def _write_animation(path: Path, first: Picture, others: Iterator[Picture], frames_per_second: float) -> None:
    kind = {".gif": "GIF", ".apng": "PNG", ".webp": "WEBP"}[path.suffix.lower()]
    options = {"quality": 85} if kind == "WEBP" else {}
    Image.fromarray(first).save(
        path,
        kind,
        save_all=True,
        append_images=[Image.fromarray(picture) for picture in others],  # looked through twice
        duration=1000 / frames_per_second,
        loop=0,
        **options,
    )


def _write_video(path: Path, first: Picture, others: Iterator[Picture], frames_per_second: float) -> None:
    from imageio_ffmpeg import write_frames

    first = _even(first)
    size = (first.shape[1], first.shape[0])
    writer = write_frames(str(path), size, fps=frames_per_second, codec="libx264", macro_block_size=2, quality=8)
    writer.send(None)
    try:
        for picture in chain((first,), (_even(other) for other in others)):
            writer.send(np.ascontiguousarray(picture))
    finally:
        writer.close()


def _even(picture: Picture) -> Picture:
    """The codec halves colours along both sides: an odd last row or column is repeated."""
    return np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), mode="edge")
