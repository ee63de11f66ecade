"""True geometry in the network's frame and unit."""

from dataclasses import replace

import numpy as np
import torch

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.models.vggt.pose_encoding import cameras_from_pose_encoding
from training.data.arrays import ShardSet
from training.data.resize import resize_batch
from training.data.targets.geometry import geometry_targets


def test_points_of_all_views_have_unit_mean_distance_from_the_first_camera(data_folder):
    batch = ShardSet(data_folder / "train").batch(np.array([0, 1]), [np.arange(3)] * 2)
    targets = geometry_targets(batch)
    cam_from_first, intrinsics = cameras_from_pose_encoding(targets.pose_encodings, tuple(batch.depth.shape[-2:]))
    torch.testing.assert_close(cam_from_first[:, 0], torch.eye(4).expand(2, 4, 4), atol=1e-5, rtol=0)
    points = unproject_depth(targets.depth, batch.intrinsics, cam_from_first)
    for scene in range(2):
        assert abs(float(points[scene][targets.valid[scene]].norm(dim=-1).mean()) - 1) < 1e-3
    # The same world points, up to frame and unit: distances between cameras keep their ratio to depths.
    centers = torch.linalg.inv(cam_from_first)[..., :3, 3]
    true_centers = torch.linalg.inv(batch.cam_from_world)[..., :3, 3]
    unit = (batch.depth / targets.depth)[targets.valid].reshape(-1)[0]
    assert torch.allclose(
        (centers[0, 1] - centers[0, 2]).norm() * unit, (true_centers[0, 1] - true_centers[0, 2]).norm(), rtol=1e-3
    )


def test_scenes_without_depth_keep_finite_targets(data_folder):
    batch = ShardSet(data_folder / "train").batch(np.array([0]), [np.arange(2)])
    targets = geometry_targets(replace(batch, depth=torch.zeros_like(batch.depth)))
    assert not targets.valid.any() and torch.isfinite(targets.pose_encodings).all() and torch.isfinite(targets.depth).all()


def test_resizing_keeps_geometry_and_labels(data_folder):
    batch = ShardSet(data_folder / "train").batch(np.array([0]), [np.arange(2)])
    small = resize_batch(batch, (56, 70))
    assert small.images.shape == (1, 2, 3, 56, 70) and small.depth.shape == small.ids.shape == (1, 2, 56, 70)
    assert set(small.ids.unique().tolist()) <= set(batch.ids.unique().tolist())
    height = unproject_depth(small.depth, small.intrinsics, small.cam_from_world)[..., 2]
    on_table = (small.ids == 0) & (small.depth > 0) & (small.depth < 3)
    assert height[on_table].abs().median() < 5e-3
