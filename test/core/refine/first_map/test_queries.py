"""Where Gaussians and queries begin: on measured surfaces, at the objects that masks show, and far from all others."""

from dataclasses import replace

import pytest
import torch
from raycast_scene import TABLE_SCENE
from refine_scenes import LABELS, table_views

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_depth, gaussians_from_reconstruction
from pan3d_core.refine.first_map.queries import QuerySettings, farthest_points, queries_from_boxes, queries_from_masks
from pan3d_core.refine.first_map.start import first_map
from pan3d_core.structures import Gaussians, Reconstruction

CENTERS = torch.tensor([item.center for item in TABLE_SCENE])


@pytest.fixture(scope="module")
def views():
    return table_views(4)[0]


def test_gaussians_lie_on_the_measured_surface_in_its_colours(views):
    made = gaussians_from_depth(views, SurfaceSettings(voxel_m=0.01))
    ball = TABLE_SCENE[3]
    near = (made.means - torch.tensor(ball.center)).norm(dim=-1) < 1.2 * ball.radius
    on_ball = near & ((made.colors - torch.tensor(ball.rgb)).abs().amax(-1) < 1e-4)
    assert int(on_ball.sum()) > 20
    away = (made.means[on_ball] - torch.tensor(ball.center)).norm(dim=-1)
    assert float((away - ball.radius).abs().max()) < 2e-3
    table = (made.colors - torch.tensor([0.6, 0.55, 0.5])).abs().amax(-1) < 1e-4
    assert float(made.means[table, 2].abs().max()) < 1e-4
    spacing = torch.cdist(made.means[table][:300], made.means).topk(4, largest=False).values[:, 1:].square().mean(1).sqrt()
    torch.testing.assert_close(made.scales[table][:300, 0], 0.5 * spacing, rtol=1e-3, atol=2e-3)


def test_larger_voxels_and_a_limit_give_fewer_gaussians(views):
    fine, coarse = (len(gaussians_from_depth(views, SurfaceSettings(voxel_m=size))) for size in (0.01, 0.04))
    assert coarse < fine / 3
    for most in (500, 700, 900):
        assert 0.8 * most < len(gaussians_from_depth(views, SurfaceSettings(voxel_m=0.01, max_gaussians=most))) <= most
    with pytest.raises(ValueError, match="views: expected depth in at least one, got none"):
        gaussians_from_depth([replace(view, depth=None) for view in views])


def test_gaussians_of_a_reconstruction_are_taken_and_its_depth_serves_where_there_are_none(views):
    depth = torch.stack([view.depth for view in views])
    matrices = [torch.stack([getattr(view, name) for view in views]) for name in ("intrinsics", "cam_from_world")]
    images = torch.stack([view.labels.image for view in views])
    bare = Reconstruction(depth, torch.ones_like(depth), *matrices, is_metric=True)
    settings = SurfaceSettings(voxel_m=0.02)
    from_depth = gaussians_from_depth(views, settings)
    torch.testing.assert_close(gaussians_from_reconstruction(bare, images, settings).means, from_depth.means)
    one = torch.ones(2, 3)
    harmonics = torch.zeros(2, 4, 3)
    harmonics[:, 0] = (0.25 - 0.5) / 0.28209479
    made = Gaussians(one, 0.1 * one, torch.ones(2, 4), torch.ones(2), harmonics, torch.ones(2, 5))
    taken = gaussians_from_reconstruction(replace(bare, gaussians=made), images)
    assert taken.semantic_features is None and torch.equal(taken.means, one)
    torch.testing.assert_close(taken.colors, torch.full((2, 3), 0.25))
    flat = torch.cartesian_prod(torch.arange(40.0), torch.arange(40.0), torch.zeros(1)) / 100
    many = Gaussians(flat, torch.full_like(flat, 0.005), torch.ones(1600, 4), torch.full((1600,), 0.5), torch.rand(1600, 3))
    fewer = gaussians_from_reconstruction(replace(bare, gaussians=many), images, replace(settings, max_gaussians=300))
    assert 100 < len(fewer) <= 300 and not fewer.means[:, 2].any() and float(fewer.scales.mean()) > 0.005
    with pytest.raises(ValueError, match="images: expected shape"):
        gaussians_from_reconstruction(bare, images[:, :, ::2], settings)


def test_every_object_gets_one_query_whatever_order_its_masks_have(views):
    shuffled = []
    for index, view in enumerate(views):
        order = torch.randperm(len(view.labels.masks), generator=torch.Generator().manual_seed(index))
        labels = replace(view.labels, masks=view.labels.masks[order], class_id=view.labels.class_id[order])
        shuffled.append(replace(view, labels=labels))
    means = gaussians_from_depth(views, SurfaceSettings(voxel_m=0.02)).means
    seeds = queries_from_masks(shuffled, [view.depth for view in views], means, QuerySettings(count=7))
    assert len(seeds) == 7
    distance, nearest = torch.cdist(seeds.means[:4], CENTERS).min(1)
    assert sorted(nearest.tolist()) == [0, 1, 2, 3] and float(distance.max()) < 0.03
    assert float(torch.cdist(seeds.means[4:], CENTERS).min()) > 0.1  # the others look elsewhere
    sizes = seeds.scales[:4].amax(-1)[nearest.argsort()]
    assert float(sizes[2]) > float(sizes[0])  # the long box's query reaches farther than the small ball's


def test_a_merging_distance_of_nothing_keeps_every_mask_apart(views):
    means = gaussians_from_depth(views, SurfaceSettings(voxel_m=0.02)).means
    seeds = queries_from_masks(views, [view.depth for view in views], means, QuerySettings(count=16, merge_m=1e-6))
    assert int((torch.cdist(seeds.means, CENTERS).amin(1) < 0.05).sum()) == 16


def test_without_masks_queries_are_spread_over_the_scene(views):
    bare = [replace(v, labels=replace(v.labels, masks=v.labels.masks[:0], class_id=v.labels.class_id[:0])) for v in views]
    means = gaussians_from_depth(views, SurfaceSettings(voxel_m=0.02)).means
    seeds = queries_from_masks(bare, [None] * len(bare), means, QuerySettings(count=5))
    assert len(seeds) == 5 and float(torch.pdist(seeds.means).min()) > 0.1


def test_the_query_of_a_box_has_its_turn_and_size():
    turn = torch.tensor([[0.0, -1.0, 0.0, 0.2], [1.0, 0.0, 0.0, -0.1], [0.0, 0.0, 1.0, 0.05], [0.0, 0.0, 0.0, 1.0]])
    box = OrientedBox(turn, torch.tensor([0.3, 0.12, 0.1]))
    seeds = queries_from_boxes([box], torch.zeros(0, 3), QuerySettings(count=3, spread=2.0))
    assert len(seeds) == 1
    torch.testing.assert_close(seeds.means[0], turn[:3, 3])
    torch.testing.assert_close(seeds.scales[0].sort().values, 2 * torch.tensor([0.1, 0.12, 0.3]) / 12**0.5)


def test_farthest_points_are_what_a_loop_finds():
    points = torch.rand(40, 3, generator=torch.Generator().manual_seed(5))
    known, chosen = [points[0]], farthest_points(points, points[:1], 6)
    for found in chosen:
        best = max(points, key=lambda point: min(float((point - other).norm()) for other in known))
        torch.testing.assert_close(found, best)
        known.append(best)
    assert len(farthest_points(points[:2], points[:0], 5)) == 2


def test_settings_out_of_range_are_named():
    with pytest.raises(ValueError, match="QuerySettings.count, merge_m, spread, min_scale_m: expected positive"):
        QuerySettings(count=0)
    with pytest.raises(ValueError, match="SurfaceSettings.voxel_m: expected a positive length, got 0"):
        SurfaceSettings(voxel_m=0)


def test_a_map_can_begin_at_known_objects_instead_of_masks(views):
    turn = torch.eye(4)
    turn[:3, 3] = torch.tensor([0.3, -0.2, 0.1])
    gaussians = gaussians_from_depth(views, SurfaceSettings(voxel_m=0.03))
    made = first_map(views, LABELS, gaussians, QuerySettings(count=4), boxes=[OrientedBox(turn, torch.tensor([0.1, 0.1, 0.2]))])
    assert made.num_queries == 4
    torch.testing.assert_close(made.query_means[0].detach(), turn[:3, 3])
