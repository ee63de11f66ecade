"""A picture of the scene that a person clicks on: what is the object, what is not, and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pan3d_core.geometry.cameras import pixel_rays, project
from pan3d_core.geometry.transforms import invert_rigid, transform_points
from pan3d_core.labelling.review import Click, Frame, ScenePixels, Shown, best_views
from pan3d_core.pictures.overlays import enlarge, overlay, to_picture
from pan3d_core.pictures.palette import Color, Picture
from pan3d_core.structures import CameraView, unit_range

INSIDE, OUTSIDE, CORNER = MEANINGS = ("is the object", "is not the object", "is a corner of a box")
MARK_RGB: dict[str, Color] = {INSIDE: (40, 200, 80), OUTSIDE: (220, 40, 40), CORNER: (255, 217, 26)}
BOARD_M = 0.5  # before its camera: where the picture hangs
EYE = 1.0  # distance of who looks at it, over its height
BESIDE = 0.25  # and how far to its right, over its width: controls are there
MARK = 0.008  # of a mark, over the width of the picture
PICTURE_PX = 960  # width in which a picture is shown, at least as wide as it is
_OTHERS, _OWN = 0.15, 0.3  # tints


@dataclass(frozen=True)
class Board:
    """The picture of one view, hung into the scene where its camera saw it."""

    view: int
    intrinsics: Tensor  # (3, 3) pixels
    world_from_cam: Tensor  # (4, 4)
    hw: tuple[int, int]

    @classmethod
    def of(cls, view: CameraView, row: int) -> Board:
        """Of a view with intrinsics and pose; `ValueError` where it has none."""
        intrinsics, cam_from_world = view.calibration()
        return cls(row, intrinsics.float(), invert_rigid(cam_from_world.float()), view.hw)

    @property
    def stand(self) -> tuple[Tensor, Tensor, Tensor]:
        """Eye, place looked at and direction upwards, (3,) each, of who looks at it."""
        right, down, forward = self.world_from_cam[:3, :3].T
        target = self.place(self.hw[0] / 2 - 0.5, self.hw[1] / 2 - 0.5) + BESIDE * self.size_m[0] * right
        return target - EYE * self.size_m[1] * forward, target, -down

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height."""
        height, width = self.hw
        return BOARD_M * width / float(self.intrinsics[0, 0]), BOARD_M * height / float(self.intrinsics[1, 1])

    def place(self, row: float, column: float) -> Tensor:
        """(3,) world: where a pixel hangs."""
        pixel = torch.tensor([[column, row]], dtype=torch.float32)
        return transform_points(self.world_from_cam, BOARD_M * pixel_rays(self.intrinsics, pixel))[0]

    def pixel(self, origin: Tensor, direction: Tensor) -> tuple[int, int]:
        """Row and column of the pixel that a ray of the world meets; `ValueError` where it meets none."""
        cam_from_world = invert_rigid(self.world_from_cam)
        start = transform_points(cam_from_world, origin[None].float())[0]
        along = cam_from_world[:3, :3] @ direction.float()
        distance = (BOARD_M - start[2]) / along[2]
        if bool(distance.isfinite()) and float(distance) > 0:
            column, row = project((start + distance * along)[None], self.intrinsics)[0][0].round().to(torch.int64).tolist()
            if 0 <= row < self.hw[0] and 0 <= column < self.hw[1]:
                return row, column
        raise ValueError("The picture is not there.")


class Marking:
    """The picture that is shown, if any, and what was clicked on it and on others of the scene."""

    def __init__(self) -> None:
        self.meaning = INSIDE
        self.board: Board | None = None
        self.shown = Shown()
        self._corner: tuple[int, int] | None = None

    def forget(self) -> None:
        """Take all marks away."""
        self.shown, self._corner = Shown(), None

    def close(self) -> None:
        """Show the scene again."""
        self.board, self._corner = None, None

    def turn(self, views: Sequence[CameraView], pixels: ScenePixels, object_id: int, steps: int) -> None:
        """Show the picture so many further; at first the one that shows most of an object.

        Args:
            views: Of the scene.
            pixels: Likewise.
            object_id: Of the object.
            steps: Round and round.
        """
        if self.board is None:
            row = next(iter(best_views(views, pixels.inside(object_id), 1)), 0)
        else:
            row = (self.board.view + steps) % len(views)
        self.board, self._corner = Board.of(views[row], row), None

    def click(self, origin: Tensor, direction: Tensor, *, is_outside: bool = False) -> None:
        """Mark the pixel that a ray of the world meets.

        Args:
            origin: (3,) world.
            direction: (3,) of any length but 0.
            is_outside: Whether the pixel is not the object, whatever clicks mean otherwise.
        """
        assert self.board is not None
        row, column = self.board.pixel(origin, direction)
        if is_outside or self.meaning != CORNER:
            made = Click(self.board.view, row, column, inside=not is_outside and self.meaning == INSIDE)
            self.shown = replace(self.shown, clicks=(*self.shown.clicks, made))
        elif self._corner is None:
            self._corner = row, column
        else:
            (top, bottom), (left, right) = (sorted(pair) for pair in zip(self._corner, (row, column), strict=True))
            frame = Frame(self.board.view, top, left, bottom, right)
            self.shown, self._corner = replace(self.shown, frames=(*self.shown.frames, frame)), None

    def told(self) -> str:
        """What is marked, in words."""
        inside = sum(item.inside for item in self.shown.clicks)
        counts = (inside, len(self.shown.clicks) - inside, len(self.shown.frames))
        marked = ", ".join(f"{count} {what}" for count, what in zip(counts, ("inside", "outside", "boxes")) if count)
        where = "no picture is shown" if self.board is None else f"picture {self.board.view}; a click {self.meaning}"
        corner = "" if self._corner is None else "; now the opposite corner"
        return f"{where}{corner}; marked: {marked or 'nothing'}"

    def picture(self, view: CameraView, pixels: ScenePixels, object_id: int) -> Picture:
        """The picture of the board with the outlines of all objects, the one of interest tinted most.

        Args:
            view: Of the board.
            pixels: Of the scene.
            object_id: Of interest.
        """
        assert self.board is not None
        ids = pixels.ids[self.board.view].numpy()
        factor = max(1, -(-PICTURE_PX // ids.shape[1]))
        large = np.repeat(np.repeat(ids, factor, 0), factor, 1)
        picture = enlarge(to_picture(unit_range(view.image)), large.shape[1])
        faint = overlay(picture, np.where(large == object_id, 0, large), {}, strength=_OTHERS)
        made = np.array(overlay(faint, np.where(large == object_id, object_id, 0), {}, strength=_OWN))
        for item in self.shown.frames:
            if item.view == self.board.view:
                box = made[factor * item.top : factor * (item.bottom + 1), factor * item.left : factor * (item.right + 1)]
                for edge in (box[:2], box[-2:], box[:, :2], box[:, -2:]):
                    edge[:] = MARK_RGB[CORNER]
        return made

    def marks(self) -> list[tuple[Tensor, Color]]:
        """Places (3,) in the world of the clicks on this picture, and their colours."""
        if self.board is None:
            return []
        own = [item for item in self.shown.clicks if item.view == self.board.view]
        found = [(self.board.place(item.row, item.column), MARK_RGB[INSIDE if item.inside else OUTSIDE]) for item in own]
        return found if self._corner is None else [*found, (self.board.place(*self._corner), MARK_RGB[CORNER])]
