"""What a scene is refined from: calibrated images of it and what 2D models say about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.losses import ViewLabels
from pan3d_core.rendering.project import Camera
from pan3d_core.rendering.rasterizer import RasterSettings
from pan3d_core.structures import CameraView, require_shape, to_device, unit_range


@dataclass(frozen=True)
class RefineView:
    """One calibrated view with its labels. Raises `ValueError` naming the field of a wrong shape or value."""

    labels: ViewLabels  # the image among them
    intrinsics: Tensor  # (3, 3) pixels of the image
    cam_from_world: Tensor  # (4, 4) metres
    depth: Tensor | None = None  # (H, W) z-depth in metres, 0 = no measurement

    def __post_init__(self) -> None:
        require_shape("ViewLabels.image", self.labels.image, (3, None, None))
        size = self.image_hw
        require_shape("ViewLabels.semantics", self.labels.semantics, size)
        require_shape("ViewLabels.masks", self.labels.masks, (None, *size))
        require_shape("ViewLabels.class_id", self.labels.class_id, (len(self.labels.masks),))
        require_shape("RefineView.intrinsics", self.intrinsics, (3, 3))
        require_shape("RefineView.cam_from_world", self.cam_from_world, (4, 4))
        if self.depth is not None:
            require_shape("RefineView.depth", self.depth, size)
        for name in ("semantics", "class_id"):
            if getattr(self.labels, name).is_floating_point():
                raise ValueError(f"ViewLabels.{name}: expected whole numbers, got {getattr(self.labels, name).dtype}")

    @classmethod
    def of(cls, view: CameraView, labels: ViewLabels) -> RefineView:
        """A camera's view with its labels; `ValueError` where calibration or pose are missing."""
        if view.intrinsics is None or view.cam_from_world is None:
            missing = "intrinsics" if view.intrinsics is None else "cam_from_world"
            raise ValueError(f"CameraView.{missing}: expected a calibrated camera, got none for {view.camera!r}")
        pictured = replace(labels, image=unit_range(view.image))
        return cls(pictured, view.intrinsics.float(), view.cam_from_world.float(), view.depth)

    def to(self, device: torch.device | str) -> RefineView:
        """The same view with everything on a device."""
        depth = None if self.depth is None else self.depth.to(device)
        matrices = self.intrinsics.to(device), self.cam_from_world.to(device)
        return RefineView(to_device(self.labels, device), *matrices, depth)

    @property
    def image_hw(self) -> tuple[int, int]:
        """Height and width."""
        return self.labels.image.shape[1], self.labels.image.shape[2]

    @property
    def camera(self) -> Camera:
        """The camera, as the renderer takes it."""
        return view_camera(self.cam_from_world, self.intrinsics, self.image_hw)


def view_camera(cam_from_world: Tensor, intrinsics: Tensor, image_hw: tuple[int, int]) -> Camera:
    """A camera (4, 4), (3, 3) that sees what lies between the renderer's planes."""
    planes = RasterSettings()
    return Camera(cam_from_world, intrinsics, image_hw, planes.near, planes.far)


def thing_ranks(labels: LabelSpace) -> Tensor:
    """(C + 1,) int64: which of the things a class is, -1 for stuff; the last entry, which -1 reaches, is -1."""
    ranks, found = [], 0
    for is_thing in labels.is_thing:
        ranks.append(found if is_thing else -1)
        found += is_thing
    return torch.tensor([*ranks, -1])


def require_labels(views: Sequence[RefineView]) -> None:
    """Raise `ValueError` where all views together say nothing: no mask, and no pixel of a class."""
    if not any(len(view.labels.masks) or bool((view.labels.semantics >= 0).any()) for view in views):
        raise ValueError(
            f"views: expected 2D labels in at least one of {len(views)}, got none: no masks, and semantics are -1 everywhere"
        )


def require_classes(views: Sequence[RefineView], labels: LabelSpace) -> None:
    """Raise `ValueError` unless there are views, all classes are those of `labels`, and those of masks are things."""
    if not views:
        raise ValueError("views: expected at least one, got none")
    ranks = thing_ranks(labels)
    for index, view in enumerate(views):
        for name in ("semantics", "class_id"):
            values = getattr(view.labels, name)
            if values.numel() and not -1 <= int(values.min()) <= int(values.max()) < len(labels):
                extremes = f"{int(values.min())} to {int(values.max())}"
                raise ValueError(f"views[{index}].labels.{name}: expected -1 to {len(labels) - 1}, got {extremes}")
        masked = view.labels.class_id
        stuff = masked[(masked >= 0) & (ranks.to(masked.device)[masked] < 0)]
        if len(stuff):
            raise ValueError(f"views[{index}].labels.class_id: expected things, got {labels.name(int(stuff[0]))!r}")
