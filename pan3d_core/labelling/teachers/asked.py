"""Many pictures and one teacher: what it says of each goes to files, and what nobody could look at is told from what is empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.labelling.teachers.card import CARD_FILE, read_card, write_card
from pan3d_core.labelling.teachers.table import LoadedTeacher
from pan3d_core.refine.labels.files import LABELS_FILE, write_label_images
from pan3d_core.refine.labels.ids import Segment, ids_of_labels
from pan3d_core.runtime.files import read_json_object


@dataclass(frozen=True)
class Picture:
    """One picture that is read when its turn comes."""

    name: str  # of its labels, without ending
    read: Callable[[], Tensor]  # (3, H, W) RGB 0..1; `ValueError` or `OSError` where it cannot be read


@dataclass
class Asked:
    """What became of the pictures of one folder."""

    folder: Path
    objects: dict[str, int] = field(default_factory=dict)  # picture -> masks in it, of those that were looked at
    empty: list[str] = field(default_factory=list)  # looked at, and nothing found
    unseen: dict[str, str] = field(default_factory=dict)  # could not be looked at -> why; these have no labels
    kept: bool = False  # labels of the same teacher were there already


def ask_pictures(teacher: LoadedTeacher, pictures: Sequence[Picture], folder: Path) -> Asked:
    """Let a teacher label pictures.

    Args:
        teacher: Who is asked.
        pictures: Each with a name of its own.
        folder: For `labels.json`, a picture of ids for each one that was looked at, and the teacher's card. Where labels of the
            same teacher are complete they are left alone.

    Returns:
        How many objects each has, which are empty, and which could not be looked at.

    Raises:
        ValueError: The folder holds labels of another teacher or other settings; the model's answer is wrong; or not one picture
            could be looked at.
        OSError: The disk is full.
    """
    earlier = read_card(folder)
    if earlier is not None and earlier.plain() != teacher.card.plain():
        raise ValueError(
            f"{folder / CARD_FILE}: expected the card of this very teacher, got another one; write to another folder"
        )
    if earlier is not None and (folder / LABELS_FILE).is_file():
        there = read_json_object(folder / LABELS_FILE, "labels").get("images", {})
        if all(picture.name in there for picture in pictures):
            return Asked(folder, kept=True)
    found = Asked(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_card(folder, teacher.card)
    write_label_images(folder, _labels(teacher, pictures, found), teacher.labels)
    if pictures and not found.objects:
        (folder / LABELS_FILE).unlink()
        name, why = next(iter(found.unseen.items()))
        raise ValueError(f"{folder}: expected a picture that can be looked at, got none of {len(pictures)}: {name}: {why}")
    return found


def _labels(
    teacher: LoadedTeacher, pictures: Sequence[Picture], found: Asked
) -> Iterator[tuple[str, Tensor, Mapping[int, Segment]]]:
    for picture in pictures:
        try:
            image = picture.read()
        except (ValueError, OSError) as error:
            found.unseen[picture.name] = str(error)
            continue
        try:
            labels = teacher(image, picture.name)
        except (torch.OutOfMemoryError, MemoryError) as error:
            found.unseen[picture.name] = f"memory is too small for {image.shape[-1]}x{image.shape[-2]} pixels ({error})"
            continue
        found.objects[picture.name] = len(labels.masks)
        if not len(labels.masks) and not bool((labels.semantics >= 0).any()):
            found.empty.append(picture.name)
        yield picture.name, *ids_of_labels(labels, teacher.labels)
