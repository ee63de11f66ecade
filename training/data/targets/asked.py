"""2D models of others asked about training images: their masks and features as files that EPS3D learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pan3d_core.labelling.teachers import LoadedTeacher, TeacherRequest, build_teacher, read_card, write_card
from pan3d_core.refine.labels.sources import maps_of_labels
from training.data.arrays import ShardSet
from training.data.targets.teachers import FileTeacher, image_key

FEATURES = "features"  # folder of the card of who gave the features


def ask_for_shards(data: Path, out: Path, teacher: LoadedTeacher, features: str | None = None) -> str:
    """Ask teachers about every image of training data, before any augmentation, as `model.teacher` wants it.

    Args:
        data: Folder of shards.
        out: For a file of each image. Images whose file is there are not asked about again.
        teacher: Who says what belongs together; of its classes nothing is kept.
        features: Checkpoint of LSeg, whose features are kept; None = the teacher's own, where it gives some.

    Returns:
        How many there are, for people.

    Raises:
        ValueError: Neither gives features; files of other teachers are there; or an answer is wrong.
    """
    describer = teacher
    if features is not None:
        request = TeacherRequest(name="lseg", weights=features, device="auto")
        describer = build_teacher(request)
    if describer.features is None:
        raise ValueError(f"--features: expected the checkpoint of LSeg beside {teacher.name}, which gives no features, got none")
    for folder, asked in ((out, teacher), (out / FEATURES, describer)):
        earlier = read_card(folder)
        if earlier is not None and earlier.plain() != asked.card.plain():
            raise ValueError(f"--out: expected a folder of {asked.name} with these settings, got {folder} of others")
        folder.mkdir(parents=True, exist_ok=True)
        write_card(folder, asked.card)
    shards, written, there = ShardSet(data), FileTeacher(out), 0
    for index in range(len(shards)):
        for view, image in enumerate(shards.batch(np.array([index]), [np.arange(shards.num_views)]).images[0]):
            if (out / f"{image_key(image)}.npz").exists():
                there += 1
                continue
            ids = _ids(teacher, image, f"scene {index}, view {view}")
            written.write(image, ids, describer.features(image))
    count = len(shards) * shards.num_views
    return f"{data}: {count} images, {there} of which were there already: {out}"


def _ids(teacher: LoadedTeacher, image: Tensor, name: str) -> Tensor:
    """(H, W) ids of masks, and behind them one for each class of stuff; 0 = nothing is said."""
    semantics, owner = maps_of_labels(teacher(image, name))
    return torch.where((owner == 0) & (semantics >= 0), 1 + int(owner.max()) + semantics, owner)
