"""The cell: objects at rest, the same from the same seed, views and labels that agree with each other."""

import numpy as np
import pytest
import torch

from pan3d_core.geometry.cameras import project, unproject_depth
from pan3d_core.geometry.transforms import transform_points
from pan3d_sim.cameras.depth_noise import DepthNoise
from pan3d_sim.cell.arrangement import ARRANGEMENTS
from pan3d_sim.cell.robot_cell import WORLD_FRAME_ID, CellConfig, RobotCell

SMALL = CellConfig(num_objects=5, width=160, height=120)


def object_poses(cell):
    return np.stack([cell.world_from_object(index) for index in range(len(cell.objects))])


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_everything_rests_on_the_table(arrangement):
    for seed in (0, 1):
        cell = RobotCell(seed, SMALL, arrangement=arrangement)
        assert not cell.removed
        before = object_poses(cell)
        assert (np.abs(cell.data.xipos[[b.body for b in cell.bodies], :2]) < 0.31).all()
        for obj, pose in zip(cell.objects, before):
            lowest = (obj.vertices @ pose[:3, :3].T + pose[:3, 3])[:, 2].min()
            assert lowest > -0.004  # visible meshes may stand a little out of their collision shapes
        cell.step(1.5)
        after = object_poses(cell)
        assert np.abs(after - before)[:, :3, 3].max() < 0.002
        assert np.abs(after - before)[:, :3, :3].max() < 0.02


def test_separated_objects_keep_their_distance():
    cell = RobotCell(4, SMALL, num_objects=6)
    for contact in cell.data.contact:
        touching = {cell.object_of_geom(int(contact.geom1)), cell.object_of_geom(int(contact.geom2))}
        assert -1 in touching


def test_the_seed_decides_everything():
    with RobotCell(7, SMALL) as a, RobotCell(7, SMALL) as b, RobotCell(8, SMALL) as c:
        assert [o.name for o in a.objects] == [o.name for o in b.objects] != [o.name for o in c.objects]
        np.testing.assert_array_equal(a.data.qpos, b.data.qpos)
        for view_a, view_b in zip(a.views(), b.views()):
            assert torch.equal(view_a.image, view_b.image) and torch.equal(view_a.depth, view_b.depth)
        np.testing.assert_array_equal(a.instance_ids, b.instance_ids)
        more_cameras = RobotCell(7, SMALL, num_cameras=2)
        np.testing.assert_array_equal(a.data.qpos, more_cameras.data.qpos)


def test_names_are_unique():
    for seed in range(3):
        cell = RobotCell(seed, SMALL, num_objects=8, kinds=("mug", "box"))
        assert len({obj.name for obj in cell.objects}) == 8


def test_views_carry_calibration_and_frames():
    with RobotCell(1, SMALL, num_cameras=3) as cell:
        views = cell.views(stamp_ns=42, depth=False)
        assert [view.camera for view in views] == ["camera_0", "camera_1", "camera_2"]
        for view, camera in zip(views, cell.cameras):
            assert view.image.shape == (3, 120, 160) and 0 <= float(view.image.min()) < float(view.image.max()) <= 1
            assert view.depth is None and view.stamp_ns == 42
            assert view.world_frame_id == WORLD_FRAME_ID and view.frame_id == f"{camera.name}_optical_frame"
            np.testing.assert_allclose(view.cam_from_world.numpy(), camera.cam_from_world, atol=1e-6)


def test_depth_and_labels_agree_between_views():
    with RobotCell(2, SMALL, width=320, height=240) as cell:
        first, second = cell.views()[:2]
        ids_first, ids_second = torch.from_numpy(cell.instance_ids[:2]).long()
    points = unproject_depth(second.depth, second.intrinsics, second.cam_from_world)[ids_second > 0]
    pixels, z = project(transform_points(first.cam_from_world, points), first.intrinsics)
    columns, rows = pixels.round().long().unbind(-1)
    inside = (columns >= 0) & (rows >= 0) & (columns < 320) & (rows < 240)
    columns, rows, z, label = columns[inside], rows[inside], z[inside], ids_second[ids_second > 0][inside]
    assert inside.float().mean() > 0.9
    error = (first.depth[rows, columns] - z).abs()
    visible = error < 0.01  # the rest is hidden in the first view, or lies within half a pixel of an outline
    assert visible.float().mean() > 0.6
    assert float(error[visible].median()) < 0.002
    assert float((ids_first[rows, columns] == label)[visible].float().mean()) > 0.97


def test_truth_matches_the_pictures():
    with RobotCell(3, SMALL) as cell:
        views = cell.views()
        truth = cell.truth()
        assert [t.instance_id for t in truth] == [1, 2, 3, 4, 5]
        for t in truth:
            assert t.visible_pixels == tuple((cell.instance_ids == t.instance_id).sum((1, 2)).tolist())
            for view, ids in zip(views, cell.instance_ids):
                points = unproject_depth(view.depth, view.intrinsics, view.cam_from_world)[torch.from_numpy(ids == t.instance_id)]
                in_box = transform_points(torch.linalg.inv(t.box.world_from_box), points).abs()
                assert (in_box <= t.box.size_m / 2 + 0.006).all(1).float().mean() > 0.98 if len(points) else True


def test_removed_objects_disappear_and_come_back():
    with RobotCell(3, SMALL) as cell:
        start = cell.save()
        cell.remove(1)
        cell.views()
        assert 2 not in cell.instance_ids and [t.instance_id for t in cell.truth()] == [1, 3, 4, 5]
        cell.step(0.3)
        cell.restore(start)
        cell.views()
        assert 2 in cell.instance_ids
        np.testing.assert_array_equal(cell.save().physics, start.physics)


def test_the_hand_is_only_in_pictures_that_ask_for_it():
    with RobotCell(3, SMALL) as cell:
        before = cell.views()[0]
        pose = np.diag([1.0, -1.0, -1.0, 1.0])
        pose[:3, 3] = [0.0, 0.0, 0.25]
        cell.hand.teleport(cell.data, pose, 0.08)
        cell.step(0.002)
        with_hand = cell.picture(cell.cameras[0])
        difference = np.abs(with_hand / 255.0 - before.image.permute(1, 2, 0).numpy()).max(-1)
        assert (difference > 0.1).mean() > 0.01
        assert torch.allclose(cell.views()[0].depth, before.depth, atol=1e-3)
        np.testing.assert_allclose(cell.wrist_camera().world_from_cam[2, 3], 0.25 + 0.13, atol=0.02)


def test_depth_noise_keeps_holes_and_bleeds_edges():
    rng = np.random.default_rng(0)
    depth = np.full((60, 80), 0.8, np.float32)
    depth[20:40, 20:50] = 0.6
    depth[:5] = 0.0
    noisy = DepthNoise(sigma_m=0.001, bleed=0.5, dropout=0.05).apply(depth, rng)
    assert (noisy[:5] == 0).all() and noisy.dtype == np.float32
    lost = (noisy[5:] == 0).mean()
    assert 0.03 < lost < 0.07
    flying = (noisy > 0.62) & (noisy < 0.78)
    assert 20 < flying.sum() < 150
    assert np.std(noisy[50:][noisy[50:] > 0]) == pytest.approx(0.001, rel=0.1)
    np.testing.assert_array_equal(DepthNoise(sigma_m=0, bleed=0).apply(depth, rng), depth)


@pytest.mark.parametrize("change", [{"arrangement": "heap"}, {"kinds": ("dragon",)}, {"num_objects": 0}])
def test_impossible_cells_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        RobotCell(0, **change)
