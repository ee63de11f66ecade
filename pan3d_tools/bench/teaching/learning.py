"""Learning the space in which pictures of one object are near each other, from objects of the training split.

Each episode has a few models, some of them twice in other colours and another size, on one table after the other. Pictures are
also shown in another light and with another outline, and as of further objects of other colours and mirrored, so that the
same shape in another colour is another object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pan3d_core.runtime.checksums import write_weights
from pan3d_core.teaching.crops import CROP_PX, STEM, CropSource, crop_of, features_of
from pan3d_core.teaching.looks import MIN_PIXELS, Patch
from pan3d_sim.data.repeated_objects import RepeatedObjects
from pan3d_sim.library.bank import ObjectLibrary
from pan3d_tools.bench.teaching.metric import Sample, fitted_space
from pan3d_tools.bench.teaching.tables import Source, numbers_to_learn_from

EPISODES = (*range(21), *range(60, 82))  # numbers that all chance of an episode follows from
_MODELS, _AGAIN = 14, 7  # of an episode: models, and how many objects more are one of them in other colours and another size
_ON_TABLE, _ROUNDS, _TABLES = 7, 4, 5
_SEED = 900_000
_LIGHT, _TINT = 0.15, 0.05  # standard deviations of the logarithms by which a picture is lighter and tinted
_RIM_PX, _CUT_SHARE = 5, 0.3  # how far outlines move, in crops, and how many of the pictures show a part alone
_GAIN, _GAMMA = 0.25, 0.12  # standard deviations of the logarithms by which other colours are lighter, and bent
_LEAST_PIXELS = 3 * MIN_PIXELS
_OTHER_ORDERS = [order for order in permutations(range(3)) if order != (0, 1, 2)]  # of red, green and blue


@dataclass(frozen=True)
class _Pictures:
    crops: tuple[Patch, ...]  # N
    owners: npt.NDArray[np.int64]  # (N,) which object each shows
    scenes: npt.NDArray[np.int64]  # (N,) and in which scene


def learnt_look(source: Source, crops: CropSource, path: Path, episodes: Sequence[int] = EPISODES) -> dict[str, int]:
    """Render objects of the training split on one table after the other, and write the space that tells them apart best.

    Args:
        source: Modelled objects and surfaces; of the split "train".
        crops: Whose features are mapped.
        path: Of the file.
        episodes: Numbers of the groups of objects that are rendered.

    Returns:
        How many objects and pictures it was learnt from.

    Raises:
        ValueError: There is no folder of modelled objects, or it has too few.
    """
    if source.objects is None:
        raise ValueError("--learn-look: expected modelled objects (--object-folder), got none")
    plain, recoloured, count = [], [], 0
    for episode in episodes:
        shown = _pictures(source, episode)
        rng = np.random.default_rng([episode, 5])
        rows = [_features(crops, shown.crops), _features(crops, [_disturbed(rng, item) for item in shown.crops])]
        plain.append(Sample(np.stack(rows), shown.owners, shown.scenes))
        for variant in (1, 2):
            others = _recoloured(np.random.default_rng([episode, variant, 11]), shown, mirrored=variant == 2)
            rng = np.random.default_rng([episode, variant, 5])
            others = [item if rng.random() < 0.5 else _disturbed(rng, item) for item in others]
            recoloured.append(Sample(_features(crops, others)[None], shown.owners, shown.scenes))
        count += len(shown.crops)
    write_weights(path, fitted_space(plain, recoloured), {STEM: crops.checkpoint})
    return {"objects learnt from": len(episodes) * (_MODELS + _AGAIN), "pictures": count}


def _features(crops: CropSource, patches: Sequence[Patch]) -> npt.NDArray[np.float32]:
    return features_of(patches, crops.features)


def _pictures(source: Source, episode: int) -> _Pictures:
    """True outlines of the objects of an episode in all views."""
    assert source.objects is not None
    library, rng = ObjectLibrary(source.objects, source.split), np.random.default_rng([episode, 77])
    models = rng.choice(numbers_to_learn_from(library.count), _MODELS, replace=False)
    models = np.append(models, rng.choice(models, _AGAIN))
    crops, owners, scenes, number = [], [], [], 0
    with RepeatedObjects(_SEED + episode, library.draw(rng, models), world=source.world()) as repeated:
        for _ in range(_ROUNDS):
            rest: list[int] = rng.permutation(len(models)).tolist()
            for _ in range(_TABLES):
                if not rest:
                    break
                scene = repeated.scene(number, rest[:_ON_TABLE])
                for image, ids in zip(scene.rendered.images, scene.rendered.ids):
                    for row, index in enumerate(scene.shown, start=1):
                        if (ids == row).sum() >= _LEAST_PIXELS:
                            crops.append(crop_of(Patch(image, ids == row)))
                            owners.append(index)
                            scenes.append(number)
                number += 1
                rest = [index for index in rest if index not in scene.shown]
    return _Pictures(tuple(crops), np.array(owners), np.array(scenes))


def _disturbed(rng: np.random.Generator, crop: Patch) -> Patch:
    """In another light, and with an outline as it is found: too wide, too narrow, or of a part."""
    gain = np.exp(rng.normal(0, _LIGHT)) * np.exp(rng.normal(0, _TINT, 3))
    picture, mask = np.clip(crop.picture * gain, 0, 255).astype(np.uint8), crop.mask
    width = int(rng.integers(-_RIM_PX, _RIM_PX + 1))
    kernel = np.ones((1 + abs(width),) * 2, np.uint8)
    moved = (cv2.erode if width < 0 else cv2.dilate)(mask.astype(np.uint8), kernel).astype(bool)
    if moved.sum() > mask.sum() / 3:
        mask = moved
    if rng.random() < _CUT_SHARE:
        angle, share = 2 * np.pi * rng.random(), rng.uniform(0.5, 0.9)
        rows, columns = np.indices((CROP_PX, CROP_PX))
        along = np.cos(angle) * columns + np.sin(angle) * rows
        mask = mask & (along <= np.quantile(along[mask], share))
    return crop_of(Patch(picture, mask))


def _recoloured(rng: np.random.Generator, shown: _Pictures, *, mirrored: bool) -> list[Patch]:
    """Other objects of the same shapes: all pictures of one object in the same other colours."""
    changes = {}
    for owner in np.unique(shown.owners):
        order = list(_OTHER_ORDERS[rng.integers(len(_OTHER_ORDERS))])
        changes[owner] = order, np.exp(rng.normal(0, _GAIN)), np.exp(rng.normal(0, _GAMMA, 3))
    found = []
    for crop, owner in zip(shown.crops, shown.owners):
        order, gain, gamma = changes[owner]
        values = np.clip(gain * (crop.picture[..., order].astype(np.float32) / 255) ** gamma, 0, 1)
        picture, mask = (values * 255).astype(np.uint8), crop.mask
        found.append(Patch(picture[:, ::-1].copy(), mask[:, ::-1].copy()) if mirrored else Patch(picture, mask))
    return found
