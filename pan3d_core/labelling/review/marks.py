"""What a person shows of an object on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

_LEAST_BOX = 3  # pixels of each side


@dataclass(frozen=True)
class Click:
    """A place in a picture."""

    view: int  # row of the scene
    row: int
    column: int
    inside: bool = True  # False = what is there is not the object


@dataclass(frozen=True)
class Frame:
    """A box in a picture, around all that is seen of an object there.

    Its last row and its last column are inside.
    """

    view: int
    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class Shown:
    """What a person showed of one object."""

    clicks: tuple[Click, ...] = ()
    frames: tuple[Frame, ...] = ()

    @property
    def views(self) -> tuple[int, ...]:
        """Rows of the views that were clicked or drawn on."""
        return tuple(dict.fromkeys((*(item.view for item in self.frames), *(item.view for item in self.clicks))))

    def of_view(self, view: int) -> Shown:
        """What was shown in one picture."""
        clicks = tuple(item for item in self.clicks if item.view == view)
        return Shown(clicks, tuple(item for item in self.frames if item.view == view))

    def check(self, pictures: Sequence[Tensor], *, is_new: bool) -> None:
        """Refuse what shows nothing, or what is outside its picture.

        Args:
            pictures: (H, W) of every view.
            is_new: Whether nothing is known of the object yet.

        Raises:
            ValueError: Names what was expected.
        """
        if is_new and not self.frames and not any(item.inside for item in self.clicks):
            raise ValueError("outline: expected a click on the object or a box around it, got none")
        if not self.views:
            raise ValueError("outline: expected clicks on a picture, got none")
        places = [(item.view, item.row, item.column) for item in self.clicks]
        places += [(item.view, item.top, item.left) for item in self.frames]
        places += [(item.view, item.bottom, item.right) for item in self.frames]
        for view, row, column in places:
            if not 0 <= view < len(pictures):
                raise ValueError(f"outline: view: expected 0 to {len(pictures) - 1}, got {view}")
            height, width = pictures[view].shape
            if not (0 <= row < height and 0 <= column < width):
                raise ValueError(f"outline: expected places in a picture of {width}x{height}, got column {column}, row {row}")
        meant = {(item.view, item.row, item.column): item.inside for item in self.clicks}
        for item in self.clicks:
            if meant[item.view, item.row, item.column] != item.inside:
                place = f"column {item.column}, row {item.row} of view {item.view}"
                raise ValueError(f"outline: clicks contradict each other: {place} is said to be the object and not to be it")
        for frame in self.frames:
            if min(frame.bottom - frame.top, frame.right - frame.left) + 1 < _LEAST_BOX:
                raise ValueError(f"outline: expected a box of at least {_LEAST_BOX}x{_LEAST_BOX} pixels, got a smaller one")
