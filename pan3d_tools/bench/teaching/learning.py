"""Learning the space in which pictures of one object are near each other, from objects of the training split."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from pan3d_core.runtime.checksums import write_weights
from pan3d_core.teaching.crops import STEM, CropSource, crop_of, features_of
from pan3d_core.teaching.looks import MIN_PIXELS, Patch
from pan3d_sim.data.repeated_objects import RepeatedObjects
from pan3d_sim.library.bank import ObjectLibrary
from pan3d_tools.bench.teaching.tables import Source

Floats = npt.NDArray[np.float64]

GROUP, ON_TABLE, ROUNDS, TABLES = 21, 7, 4, 6
DIMENSIONS, RIDGE = 64, 0.3  # of the space, and share of the mean spread that is added to every direction's
_SEED, _OBJECTS_SEED = 500_000, 700
_LIGHT, _TINT = 0.12, 0.03  # standard deviations of the logarithms by which a picture is lighter and tinted
_RIM_PX, _CUT_SHARE = 4, 0.3  # how far outlines move, and how many of the pictures show a part alone
_LEAST_PIXELS = 3 * MIN_PIXELS


def learnt_look(source: Source, crops: CropSource, path: Path) -> dict[str, int]:
    """Render objects of the training split on one table after the other, and write the projection that tells them apart best.

    Args:
        source: Modelled objects and surfaces; of the split "train".
        crops: Whose features are projected.
        path: Of the file.

    Returns:
        How many objects and pictures it was learnt from.

    Raises:
        ValueError: There is no folder of modelled objects, or it has too few.
    """
    if source.objects is None:
        raise ValueError("--learn-look: expected modelled objects (--object-folder), got none")
    count = ObjectLibrary(source.objects, source.split).count // GROUP
    if not count:
        raise ValueError(f"--object-folder: expected at least {GROUP} objects of {source.split}, got fewer")
    features, owners = [], []
    for group in range(count):
        pictures, shown = _pictures(source, group)
        rng = np.random.default_rng([group, 1])
        features.append(features_of([crop_of(item) for item in pictures], crops.features))
        features.append(features_of([crop_of(_disturbed(rng, item)) for item in pictures], crops.features))
        owners += 2 * [group * GROUP + index for index in shown]
    values = np.concatenate(features).astype(np.float64)
    mean, deviation, matrix = discriminant(values, np.array(owners))
    tensors = {
        name: torch.from_numpy(item.astype(np.float32))
        for name, item in (("mean", mean), ("deviation", deviation), ("matrix", matrix))
    }
    write_weights(path, tensors, {STEM: crops.checkpoint})
    return {"objects learnt from": count * GROUP, "pictures": len(values)}


def _pictures(source: Source, group: int) -> tuple[list[Patch], list[int]]:
    """True outlines of the objects of a group in all views, and which object each shows."""
    assert source.objects is not None
    objects = ObjectLibrary(source.objects, source.split).draw_different(
        np.random.default_rng(_OBJECTS_SEED), GROUP, GROUP * group
    )
    pictures, shown = [], []
    with RepeatedObjects(_SEED + group, objects, world=source.world()) as repeated:
        rng, number = np.random.default_rng([group, 3]), 0
        for _ in range(ROUNDS):
            rest: list[int] = rng.permutation(GROUP).tolist()
            for _ in range(TABLES):
                if not rest:
                    break
                scene = repeated.scene(number, rest[:ON_TABLE])
                number += 1
                for image, ids in zip(scene.rendered.images, scene.rendered.ids):
                    for row, index in enumerate(scene.shown, start=1):
                        if (ids == row).sum() >= _LEAST_PIXELS:
                            pictures.append(Patch(image, ids == row))
                            shown.append(index)
                rest = [index for index in rest if index not in scene.shown]
    return pictures, shown


def _disturbed(rng: np.random.Generator, patch: Patch) -> Patch:
    """In another light, and with an outline as it is found: too wide, too narrow, or of a part."""
    gain = np.exp(rng.normal(0, _LIGHT)) * np.exp(rng.normal(0, _TINT, 3))
    picture, mask = np.clip(patch.picture * gain, 0, 255).astype(np.uint8), patch.mask
    width = int(rng.integers(-_RIM_PX, _RIM_PX + 1))
    kernel = np.ones((1 + abs(width),) * 2, np.uint8)
    moved = (cv2.erode if width < 0 else cv2.dilate)(mask.astype(np.uint8), kernel).astype(bool)
    if moved.sum() > mask.sum() / 3:
        mask = moved
    if rng.random() < _CUT_SHARE:
        angle, share = 2 * np.pi * rng.random(), rng.uniform(0.5, 0.9)
        rows, columns = np.indices(mask.shape)
        along = np.cos(angle) * columns + np.sin(angle) * rows
        mask = mask & (along <= np.quantile(along[mask], share))
    return Patch(picture, mask)


def discriminant(values: Floats, owners: npt.NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Find the directions in which objects differ most, over how much pictures of one object do.

    Args:
        values: (N, F) features.
        owners: (N,) which object each is of.

    Returns:
        Mean (F,), standard deviation (F,) and projection (F, D), D at most `DIMENSIONS`.
    """
    mean, deviation = values.mean(0), values.std(0) + 1e-6
    standard = (values - mean) / deviation
    _, rows = np.unique(owners, return_inverse=True)
    middles = np.zeros((rows.max() + 1, standard.shape[1]))
    np.add.at(middles, rows, standard)
    middles /= np.bincount(rows)[:, None]
    rest = standard - middles[rows]
    within = rest.T @ rest / len(rest)
    within += RIDGE * np.eye(len(within)) * np.trace(within) / len(within)
    sizes, axes = np.linalg.eigh(within)
    whiten = axes / np.sqrt(sizes)
    _, turned = np.linalg.eigh(np.cov((middles @ whiten).T))
    projection: Floats = whiten @ turned[:, ::-1][:, :DIMENSIONS]
    return mean, deviation, projection
