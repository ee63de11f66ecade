"""What is asked of a teacher, and what every adapter needs: its files, its package, pixels as others take them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.settings import SHARE, Checked, setting


class TeacherUnavailable(ValueError):
    """A teacher cannot look at anything: its package or its files are not here."""


@dataclass(frozen=True)
class TeacherRequest(Checked):
    """Which teacher, from which files, and what it is asked for."""

    name: str = setting("", "of the teacher, a key of `TEACHERS`")
    weights: str = setting("", "its checkpoint")
    config: str = setting("", "sam2: name of the model's configuration; onnx: YAML file that describes the model")
    detector_weights: str = setting("", "grounded-sam2: checkpoint of Grounding DINO")
    detector_config: str = setting("", "grounded-sam2: Grounding DINO's configuration, a .py file")
    things: tuple[str, ...] = setting((), "words for what is counted")
    stuff: tuple[str, ...] = setting((), "words for what is not counted, such as wall and floor")
    min_score: float | None = setting(None, "masks below are left out; none = as the model's authors have it", range=SHARE)
    min_pixels: int = setting(20, "of a mask; smaller ones are left out", range=(1, 10**9))
    weights_licence: str = setting("", "onnx: terms of the weights, as their owner states them")
    device: str = setting("auto", "auto, cpu, cuda or cuda:N")

    @property
    def labels(self) -> LabelSpace:
        """Things before stuff. Raises `ValueError` for a word that stands twice."""
        words = (*self.things, *self.stuff)
        if twice := sorted({word for word in words if words.count(word) > 1}):
            raise ValueError(f"classes: expected each once, got {twice[0]!r} twice")
        return LabelSpace(words, tuple(index < len(self.things) for index in range(len(words))))

    def score(self, published: float) -> float:
        """The least score of a mask: as it was asked for, else as published."""
        return published if self.min_score is None else self.min_score

    def file(self, field: str, what: str) -> Path:
        """The file that a field names. Raises `TeacherUnavailable` where there is none, and says what has to be there."""
        text = str(getattr(self, field))
        if not text or not Path(text).is_file():
            came = f"{text!r}, which is no file" if text else "none"
            raise TeacherUnavailable(f"teacher {self.name}: {field}: expected {what}, got {came}")
        return Path(text)

    def words(self) -> LabelSpace:
        """`labels` of a teacher that is asked in words. Raises `ValueError` where there are none."""
        if not self.things and not self.stuff:
            raise ValueError(f"teacher {self.name}: classes: expected words for what it shall look for, got none")
        return self.labels


@contextmanager
def needed_package(teacher: str, source: str) -> Iterator[None]:
    """Around the imports of an adapter, what says which package lacks and where it comes from.

    Args:
        teacher: Its name.
        source: Of its package.

    Raises:
        TeacherUnavailable: A package is not installed, or breaks while it is imported.
    """
    try:
        yield
    except ImportError as error:
        lacking = error.name or str(error)
        raise TeacherUnavailable(f"teacher {teacher}: package {lacking} is not installed; {source}") from error


def pixels_of(image: Tensor) -> npt.NDArray[np.uint8]:
    """Turn a picture into what most 2D models take.

    Args:
        image: (3, H, W) RGB 0..1.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    return np.ascontiguousarray((image * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy(force=True))
