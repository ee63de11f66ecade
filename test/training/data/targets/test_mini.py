"""Targets against a scene whose geometry is known."""

import numpy as np
import pytest
import torch

from pan3d_core.geometry.transforms import invert_rigid
from training.data.arrays import ShardSet
from training.data.targets.mini import batch_targets, center_offsets, scene_targets


@pytest.fixture
def batch(data_folder):
    return ShardSet(data_folder / "train").batch(np.array([0, 1]), [np.arange(4)] * 2)


def test_masks_cover_each_object_and_nothing_else(batch):
    targets = scene_targets(batch.ids[0], batch.kinds[0])
    assert targets.masks2.shape == (3, 4, 56, 72) and targets.masks4.shape == (3, 4, 28, 36)
    for k in range(3):
        assert targets.masks2[k].sum() * 4 == pytest.approx(float((batch.ids[0] == k + 1).sum()), abs=0.1)
    assert targets.masks2.sum(0).max() <= 1
    assert torch.equal(targets.kind, batch.kinds[0, 1:4])


def test_objects_of_a_few_pixels_are_no_targets():
    ids = torch.zeros(2, 112, 144, dtype=torch.long)
    ids[0, :3, :5] = 1
    ids[1, 20:40, 20:40] = 2
    targets = scene_targets(ids, torch.tensor([-1, 0, 1]))
    assert targets.kind.tolist() == [1]


def test_votes_meet_at_one_point_per_object(batch):
    plane_from_world = torch.eye(4).expand(2, 4, 4)
    offset, valid = center_offsets(batch, plane_from_world)
    assert offset.shape == (2, 4, 28, 36, 3) and valid.any()
    # An object is about 8 cm large, so no visible point is farther than that from the mean of all.
    assert offset[valid].norm(dim=-1).max() < 0.09
    assert offset[valid].norm(dim=-1).mean() > 0.01


def test_dense_targets(batch):
    targets = batch_targets(batch, torch.eye(4).expand(2, 4, 4))
    assert torch.equal(targets.depth_valid, (batch.depth > 0.1) & (batch.depth < 3))
    torch.testing.assert_close(targets.log_depth.exp()[targets.depth_valid], batch.depth[targets.depth_valid])
    assert set(targets.kind8.unique().tolist()) <= {-1, 0, 1}
    first = targets.view1_from_cam[:, 0]
    torch.testing.assert_close(first, torch.tensor([1.0, 0, 0, 0, 1, 0, 0, 0, 0]).expand(2, 9), atol=1e-5, rtol=0)
    relative = (batch.cam_from_world[:, :1] @ invert_rigid(batch.cam_from_world))[:, 1]
    torch.testing.assert_close(targets.view1_from_cam[:, 1, 6:], relative[:, :3, 3])
    torch.testing.assert_close(targets.view1_from_cam[:, 1, :3], relative[:, :3, 0])
