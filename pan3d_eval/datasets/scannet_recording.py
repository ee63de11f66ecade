"""The RGB-D recording of a ScanNet scene, from its .sens file or from what is exported of it."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import torch
from torch import Tensor

from pan3d_core.views.image_files import read_image
from pan3d_eval.datasets.published_files import read_integers, read_numbers, read_rgb, required

SENS_VERSION = 4
COLOR_PNG, COLOR_JPEG = 1, 2
DEPTH_RAW, DEPTH_ZLIB = 0, 1


class Recording(Protocol):
    """Frames by number; colour and depth have their own cameras at the same place."""

    color_intrinsics: Tensor  # (3, 3) pixels of the colour images
    depth_intrinsics: Tensor  # (3, 3) pixels of the depth images
    depth_units_per_metre: float

    def usable_frames(self) -> list[int]:
        """Frames with a pose."""

    def color(self, frame: int) -> Tensor:
        """(3, H, W) RGB in 0..1."""

    def depth(self, frame: int) -> Tensor:
        """(Hd, Wd) int64 z-depth in the file's units, 0 = none."""

    def world_from_cam(self, frame: int) -> Tensor:
        """(4, 4) float64 metres."""


def open_recording(folder: Path) -> Recording:
    """The exported images where they are, otherwise the .sens file. Raises `FileNotFoundError` when there is neither."""
    if (folder / "color").is_dir():
        return ExportedRecording(folder)
    sens = folder / f"{folder.name}.sens"
    return SensRecording(required(sens, "the recording, or color/, depth/, pose/ and intrinsic/ exported from it,"))


class ExportedRecording:
    """Files that ScanNet's own exporter writes: color/N.jpg, depth/N.png (millimetres), pose/N.txt, intrinsic/*.txt."""

    depth_units_per_metre = 1000.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.color_intrinsics = self._intrinsics("color")
        self.depth_intrinsics = self._intrinsics("depth")
        self._poses = {
            int(path.stem): torch.from_numpy(read_numbers(path, "a camera pose", (4, 4)))
            for path in required(folder / "pose", "the camera poses").glob("*.txt")
        }

    def _intrinsics(self, camera: str) -> Tensor:
        path = self._folder / "intrinsic" / f"intrinsic_{camera}.txt"
        return torch.from_numpy(read_numbers(path, f"intrinsics of the {camera} camera", (4, 4))[:3, :3]).float()

    def usable_frames(self) -> list[int]:
        """Frames with a pose and a colour image, in order."""
        recorded = sorted(int(path.stem) for path in (self._folder / "color").glob("*.jpg"))
        return [frame for frame in recorded if frame in self._poses and bool(torch.isfinite(self._poses[frame]).all())]

    def color(self, frame: int) -> Tensor:
        """(3, H, W) RGB in 0..1."""
        return read_image(self._folder / "color" / f"{frame}.jpg", upright=False)

    def depth(self, frame: int) -> Tensor:
        """(Hd, Wd) int64 millimetres, 0 = none."""
        return read_integers(self._folder / "depth" / f"{frame}.png", f"the depth of frame {frame}")

    def world_from_cam(self, frame: int) -> Tensor:
        """(4, 4) float64 metres."""
        return self._poses[frame]


@dataclass(frozen=True)
class _Frame:
    world_from_cam: Tensor  # (4, 4) float64
    color: tuple[int, int]  # place and length of its bytes in the file
    depth: tuple[int, int]


class SensRecording:
    """A .sens file, version 4: little-endian header, then frames of pose, stamps, JPEG or PNG colour and depth."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with open(path, "rb") as file:
                self._read(file)
        except struct.error as error:
            raise ValueError(f"{path}: expected a whole .sens file, got one that is cut off ({error})") from error

    def _read(self, file: BinaryIO) -> None:
        (version,) = _unpack(file, "<I")
        if version != SENS_VERSION:
            raise ValueError(f"{self._path}: version: expected {SENS_VERSION}, got {version}")
        (name_length,) = _unpack(file, "<Q")
        file.seek(name_length, 1)
        matrices = [_matrix(file) for _ in range(4)]  # intrinsics and extrinsics of colour, then of depth
        self.color_intrinsics, self.depth_intrinsics = matrices[0][:3, :3].float(), matrices[2][:3, :3].float()
        self._color_kind, self._depth_kind, _, _, width, height, shift = _unpack(file, "<iiIIIIf")
        self._depth_hw, self.depth_units_per_metre = (height, width), float(shift)
        if self._color_kind not in (COLOR_PNG, COLOR_JPEG) or self._depth_kind not in (DEPTH_RAW, DEPTH_ZLIB):
            raise ValueError(
                f"{self._path}: compression: expected PNG or JPEG colour (1, 2) and raw or zlib depth (0, 1), "
                f"got {self._color_kind} and {self._depth_kind}"
            )
        (count,) = _unpack(file, "<Q")
        self._frames = [_read_frame(file) for _ in range(count)]

    def usable_frames(self) -> list[int]:
        """Frames with a pose, in order."""
        return [k for k, frame in enumerate(self._frames) if bool(torch.isfinite(frame.world_from_cam).all())]

    def color(self, frame: int) -> Tensor:
        """(3, H, W) RGB in 0..1."""
        return read_rgb(self._bytes(self._frames[frame].color), f"{self._path}: colour of frame {frame}")

    def depth(self, frame: int) -> Tensor:
        """(Hd, Wd) int64 in the file's units, 0 = none."""
        data = self._bytes(self._frames[frame].depth)
        try:
            pixels = zlib.decompress(data) if self._depth_kind == DEPTH_ZLIB else data
            values = np.frombuffer(pixels, dtype="<u2").reshape(self._depth_hw)
        except (zlib.error, ValueError) as error:
            raise ValueError(f"{self._path}: depth of frame {frame}: expected {self._depth_hw} numbers ({error})") from error
        return torch.from_numpy(values.astype(np.int64))

    def world_from_cam(self, frame: int) -> Tensor:
        """(4, 4) float64 metres."""
        return self._frames[frame].world_from_cam

    def _bytes(self, place: tuple[int, int]) -> bytes:
        with open(self._path, "rb") as file:
            file.seek(place[0])
            return file.read(place[1])


def _read_frame(file: BinaryIO) -> _Frame:
    """One frame's facts; its pictures stay in the file until they are asked for."""
    world_from_cam = _matrix(file)
    _, _, color_size, depth_size = _unpack(file, "<QQQQ")
    start = file.tell()
    file.seek(color_size + depth_size, 1)
    return _Frame(world_from_cam, (start, color_size), (start + color_size, depth_size))


def _matrix(file: BinaryIO) -> Tensor:
    return torch.tensor(_unpack(file, "<16f"), dtype=torch.float64).reshape(4, 4)


def _unpack(file: BinaryIO, layout: str) -> tuple:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
