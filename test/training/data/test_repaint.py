"""Paint changes pictures and nothing else, lies alike in all views, and covers what it should."""

import numpy as np
import pytest
import torch

from pan3d_core.geometry.cameras import project, unproject_depth
from pan3d_core.geometry.transforms import transform_points
from training.data.arrays import SceneBatch, ShardSet
from training.data.repaint import random_colors, repaint


@pytest.fixture
def batch(data_folder) -> SceneBatch:
    return ShardSet(data_folder / "train").batch(np.array([0, 1, 2]), [np.array([0, 1, 2])] * 3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_only_pictures_change_and_stay_in_range(batch):
    changed = repaint(batch, 1.0, 1.0, generator())
    for name, value in vars(batch).items():
        if name != "images":
            assert getattr(changed, name) is value
    assert changed.images.shape == batch.images.shape and changed.images.min() >= 0 and changed.images.max() <= 1


def test_surroundings_and_objects_are_painted_as_their_shares_say(batch):
    moved = (repaint(batch, 1.0, 0.0, generator()).images - batch.images).abs().amax(2)
    assert moved[batch.ids > 0].max() == 0 and (moved[batch.ids == 0] > 0.02).float().mean() > 0.9
    moved = (repaint(batch, 0.0, 1.0, generator()).images - batch.images).abs().amax(2)
    assert moved[batch.ids == 0].max() == 0 and (moved[batch.ids > 0] > 0.02).float().mean() > 0.9
    assert torch.equal(repaint(batch, 0.0, 0.0, generator()).images, batch.images)


def test_a_print_lies_on_the_table_alike_in_all_views(batch):
    plain = SceneBatch(**{**vars(batch), "images": torch.full_like(batch.images, 0.5)})
    differences = []
    for seed in range(6):
        painted = repaint(plain, 1.0, 1.0, generator(seed))
        points = unproject_depth(painted.depth[:, 0], painted.intrinsics[:, 0], painted.cam_from_world[:, 0]).flatten(1, 2)
        pixels, z = project(transform_points(painted.cam_from_world[:, 1], points), painted.intrinsics[:, 1])
        column, row = pixels.round().long().unbind(-1)
        height, width = painted.depth.shape[-2:]
        seen = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (points[..., 2].abs() < 1e-3)
        scene = torch.arange(len(z))[:, None].expand_as(z)[seen]
        same = (painted.depth[scene, 1, row[seen], column[seen]] - z[seen]).abs() < 2e-3
        there = painted.images[scene, 1, :, row[seen], column[seen]][same]
        here = painted.images[:, 0].permute(0, 2, 3, 1).flatten(1, 2)[seen][same]
        differences.append(float((there - here).abs().mean()))
        assert same.sum() > 1000
    assert max(differences) < 0.08


def test_brightness_of_the_picture_stays(batch):
    shaded = batch.images.clone()
    shaded[..., : shaded.shape[-1] // 2] *= 0.4
    before = SceneBatch(**{**vars(batch), "images": torch.where(batch.ids[:, :, None] == 0, shaded, batch.images)})
    after = repaint(before, 1.0, 0.0, generator(3)).images.mean(2)
    half = after.shape[-1] // 2
    dark, light = after[..., :half][batch.ids[..., :half] == 0], after[..., half:][batch.ids[..., half:] == 0]
    assert dark.mean() < 0.85 * light.mean()


def test_colors_are_strong_pale_and_grey():
    colors = random_colors(600, generator())
    saturation = 1 - colors.amin(1) / colors.amax(1)
    assert colors.min() >= 0 and colors.max() <= 1
    assert all(0.2 < share < 0.5 for share in ((saturation > 0.6).float().mean(), (saturation < 0.05).float().mean()))
    strong = colors[saturation > 0.6]
    assert set(strong.argmax(1).tolist()) == {0, 1, 2}
