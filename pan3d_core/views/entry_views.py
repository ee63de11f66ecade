"""Entries of a file of cameras to views: a picture, a calibration or a pose that cannot be used takes one camera, not all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pan3d_core.config import ImageLimits
from pan3d_core.geometry.camera_checks import CalibrationRefused, CameraFault, code_of, require_lens
from pan3d_core.geometry.distortion import undistort
from pan3d_core.runtime.failures import FAILURES, described
from pan3d_core.runtime.files import inside
from pan3d_core.structures import CameraView
from pan3d_core.views.camera_files import CameraEntry
from pan3d_core.views.depth_files import read_depth
from pan3d_core.views.image_files import read_16_bit, read_image
from pan3d_core.views.preprocessing import require_camera


@dataclass(frozen=True)
class EntryFiles:
    """Where the files of an entry are, none of them outside the folder of its file."""

    image: Path
    depth: Path | None = None
    instances: Path | None = None

    @classmethod
    def of(cls, entry: CameraEntry, file: Path, image: Path | None = None) -> EntryFiles:
        """Find the files of an entry.

        Args:
            entry: Of a file of cameras; one without an image is refused unless `image` says which it is.
            file: That it is of.
            image: Its picture, where somebody names it.

        Raises:
            ValueError: A path leads out of the folder of the file, or no picture is named.
        """
        if image is None and entry.image is None:
            raise ValueError(f"{file}: image: expected in every entry of a scene folder, got none for camera {entry.camera!r}")
        names = {"image": None if image is not None else entry.image, "depth": entry.depth, "instances": entry.instances}
        paths = {key: None if name is None else inside(file.parent, name, f"{file}: {key}") for key, name in names.items()}
        return cls(image or paths["image"] or Path(), paths["depth"], paths["instances"])


@dataclass(frozen=True)
class ReadViews:
    """What became of the entries of a file."""

    views: tuple[CameraView, ...]  # those that could be read, in the order of the entries
    instance_ids: tuple[Tensor | None, ...]  # of these views, (H, W) int64, 0 = none; None = not known
    faults: tuple[CameraFault, ...]  # why the others could not
    errors: tuple[Exception, ...]  # same length as `faults`: as they were raised, with file and picture in their words


def read_views(
    entries: Sequence[CameraEntry], files: Sequence[EntryFiles], file: Path | None, world_frame_id: str, limits: ImageLimits
) -> ReadViews:
    """Read every entry that can be read.

    Args:
        entries: Of a file of cameras, or what is known without one.
        files: Of the entries.
        file: That they are of, for errors; None = there is none.
        world_frame_id: That the poses map from.
        limits: Of the pictures' sizes.

    Returns:
        The views, and what is wrong with the others.
    """
    read, faults, errors = [], [], []
    for entry, own in zip(entries, files):
        try:
            read.append((view := _view_of(entry, own, world_frame_id, limits), _ids_of(own, view)))
        except FAILURES as error:
            words = str(error) if isinstance(error, (ValueError, OSError)) else described(error)
            faults.append(CameraFault(entry.camera or own.image.stem, code_of(error), words, own.image.name))
            is_named = file is None or str(file) in words or isinstance(error, OSError)
            placed = words if is_named else f"{file}: {own.image.name}: {words}"
            errors.append(FileNotFoundError(placed) if isinstance(error, FileNotFoundError) else ValueError(placed))
    return ReadViews(tuple(view for view, _ in read), tuple(ids for _, ids in read), tuple(faults), tuple(errors))


def _ids_of(files: EntryFiles, view: CameraView) -> Tensor | None:
    if files.instances is None:
        return None
    ids = torch.from_numpy(read_16_bit(files.instances).astype(np.int64))
    if tuple(ids.shape) != view.hw:
        given, found = (f"{hw[1]} x {hw[0]}" for hw in (ids.shape, view.hw))
        raise ValueError(f"instances: expected the picture's size, {found}, got {given} in {files.instances}")
    return ids


def _view_of(entry: CameraEntry, files: EntryFiles, world_frame_id: str, limits: ImageLimits) -> CameraView:
    if entry.refused is not None:
        raise entry.refused
    # What a file says of a camera is of the pixels as they are stored; a picture that is only shown is turned upright.
    known = (entry.intrinsics, entry.cam_from_world, entry.depth, entry.instances)
    image = read_image(files.image, upright=all(item is None for item in known), limits=limits)
    if entry.image_hw is not None and entry.image_hw != tuple(image.shape[1:]):
        given, found = (f"{hw[1]} x {hw[0]}" for hw in (entry.image_hw, image.shape[1:]))
        raise CalibrationRefused(f"image_hw: expected the picture's height and width, {found}, got {given}")
    if files.depth is not None and not files.depth.is_file():
        raise FileNotFoundError(f"depth: expected a file, got {files.depth}, which does not exist")
    depth = None if files.depth is None else read_depth(files.depth)
    if entry.distortion is not None:
        image, depth = _straight(entry, image, depth)
    view = CameraView(
        image=image,
        intrinsics=entry.intrinsics,
        cam_from_world=entry.cam_from_world,
        depth=depth,
        stamp_ns=entry.stamp_ns,
        frame_id=files.image.stem if entry.frame_id is None else entry.frame_id,
        world_frame_id=world_frame_id,
        camera=files.image.stem if entry.camera is None else entry.camera,
    )
    require_camera(view)
    return view


def _straight(entry: CameraEntry, image: Tensor, depth: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The pictures as a lens without distortion shows them."""
    if entry.intrinsics is None or entry.distortion is None:
        raise CalibrationRefused("intrinsics: expected a 3x3 matrix beside the distortion, got none")
    require_lens("intrinsics", entry.intrinsics, (image.shape[1], image.shape[2]))
    try:
        return undistort(image, entry.intrinsics, entry.distortion.model, entry.distortion.coefficients, depth)
    except ValueError as error:
        raise CalibrationRefused(str(error)) from error
