"""Augmentation keeps images, truth and geometry consistent."""

import math

import numpy as np
import pytest
import torch

from pan3d_core.geometry.cameras import project, unproject_depth
from pan3d_core.geometry.transforms import transform_points
from training.data.arrays import SceneBatch, ShardSet
from training.data.augment import AugmentConfig, Noise, augment, disturb_poses, flip_batch, jitter_colors, turn_world


@pytest.fixture
def batch(data_folder) -> SceneBatch:
    return ShardSet(data_folder / "train").batch(np.array([0, 1]), [np.array([0, 1, 2])] * 2)


def reprojection_agreement(batch: SceneBatch) -> tuple[float, float]:
    """View 0's object pixels seen by view 1: median relative depth error, and share of equal ids."""
    points = unproject_depth(batch.depth[:, 0], batch.intrinsics[:, 0], batch.cam_from_world[:, 0]).flatten(1, 2)
    pixels, z = project(transform_points(batch.cam_from_world[:, 1], points), batch.intrinsics[:, 1])
    column, row = pixels.round().long().unbind(-1)
    height, width = batch.depth.shape[-2:]
    seen = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (batch.ids[:, 0].flatten(1) > 0)
    scene = torch.arange(len(z))[:, None].expand_as(z)[seen]
    depth = batch.depth[scene, 1, row[seen], column[seen]]
    ids = batch.ids[scene, 1, row[seen], column[seen]]
    error = ((depth - z[seen]).abs() / z[seen]).median()
    return float(error), float((ids == batch.ids[:, 0].flatten(1)[seen]).float().mean())


def test_views_agree_before_and_after_every_geometric_change(batch):
    turned = turn_world(batch, torch.tensor([0.7, -2.0]))
    for changed in (batch, flip_batch(batch), turned, flip_batch(turned)):
        error, same = reprojection_agreement(changed)
        assert error < 0.004 and same > 0.7


def test_a_flip_done_wrong_would_be_noticed(batch):
    flipped = flip_batch(batch)
    wrong = SceneBatch(**{**vars(flipped), "cam_from_world": batch.cam_from_world})
    assert reprojection_agreement(wrong)[0] > 0.02


def test_flipping_twice_gives_the_batch_back(batch):
    twice = flip_batch(flip_batch(batch))
    for name, value in vars(batch).items():
        torch.testing.assert_close(getattr(twice, name), value)


def test_turning_keeps_heights_and_the_table(batch):
    turned = turn_world(batch, torch.tensor([math.pi / 3, 1.0]))
    for b in (batch, turned):
        points = unproject_depth(b.depth, b.intrinsics, b.cam_from_world)
        on_table = points[..., 2][(b.ids == 0) & (b.depth > 0) & (b.depth < 3)]
        assert on_table.abs().max() < 2e-3


def test_colors_stay_in_range_and_change(batch):
    images = jitter_colors(batch.images, AugmentConfig(), torch.Generator().manual_seed(0))
    assert images.shape == batch.images.shape and images.min() >= 0 and images.max() <= 1
    assert (images - batch.images).abs().mean() > 0.005


def test_disturbed_poses_stay_rigid_and_close(batch):
    config = AugmentConfig(pose_noise=Noise((1.0,), (0.003,)))
    moved = disturb_poses(batch.cam_from_world, config, torch.Generator().manual_seed(0))
    rotation = moved[..., :3, :3]
    torch.testing.assert_close(rotation @ rotation.transpose(-1, -2), torch.eye(3).expand_as(rotation), atol=1e-5, rtol=0)
    assert 0 < (moved - batch.cam_from_world).abs().max() < 0.03


def test_augment_is_repeatable_and_withholds_poses_from_some(batch):
    first, second = (augment(batch, AugmentConfig(), torch.Generator().manual_seed(5))[1] for _ in range(2))
    assert torch.equal(first.images, second.images) and torch.equal(first.cam_from_world, second.cam_from_world)
    generator = torch.Generator().manual_seed(1)
    posed = torch.cat([augment(batch, AugmentConfig(), generator)[1].posed for _ in range(100)])
    assert 0.6 < posed.mean() < 0.8
