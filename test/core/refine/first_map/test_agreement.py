"""What views do not agree on is no surface; what a single one sees is."""

from dataclasses import replace

import pytest
import torch
from refine_scenes import table_views

from pan3d_core.refine.first_map.agreement import DepthImage, agreed_pixels
from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_depth, gaussians_from_reconstruction
from pan3d_core.structures import Gaussians, Reconstruction

TOLERANCE = 0.02


@pytest.fixture(scope="module")
def views():
    return table_views(6)[0]


def images_of(views):
    return [DepthImage(view.depth, view.intrinsics, view.cam_from_world) for view in views]


def with_depth(view, depth):
    return replace(view, depth=depth)


def test_true_depth_stays(views):
    kept = agreed_pixels(images_of(views), TOLERANCE)
    share = sum(int(k.sum()) for k in kept) / sum(int((v.depth > 0).sum()) for v in views)
    assert share > 0.95
    assert all(not bool((k & ~(v.depth > 0)).any()) for k, v in zip(kept, views, strict=True))


def test_what_hangs_in_the_air_before_one_camera_goes(views):
    ghost = torch.zeros_like(views[0].depth, dtype=torch.bool)
    ghost[10:20, 10:20] = True
    nearer = torch.where(ghost, 0.8 * views[0].depth, views[0].depth)
    kept = agreed_pixels(images_of([with_depth(views[0], nearer), *views[1:]]), TOLERANCE)
    assert float(kept[0][ghost].float().mean()) < 0.1
    assert float(kept[0][~ghost & (views[0].depth > 0)].float().mean()) > 0.95


def test_what_is_seen_through_and_seen_as_often_stays(views):
    ghost = torch.zeros_like(views[0].depth, dtype=torch.bool)
    ghost[10:20, 10:20] = True
    same = with_depth(views[0], torch.where(ghost, 0.8 * views[0].depth, views[0].depth))
    through = [same, same, views[0]]  # for one of the first two: one other sees it, one looks through
    kept = agreed_pixels(images_of(through), TOLERANCE)
    assert bool(kept[0][ghost].all()) and bool(kept[1][ghost].all())
    kept = agreed_pixels(images_of([*through, views[0]]), TOLERANCE)
    assert not bool(kept[0][ghost].any())


def test_a_view_that_no_other_looks_at_keeps_all_it_measured(views):
    lone = images_of(views)[0]
    assert torch.equal(agreed_pixels([lone], TOLERANCE)[0], lone.measured)
    away = replace(lone, cam_from_world=torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0])) @ lone.cam_from_world)
    assert torch.equal(agreed_pixels([lone, away], TOLERANCE)[0], lone.measured)


def test_what_none_sees_goes_where_many_have_something_close_before_it(views):
    ghost = torch.zeros_like(views[0].depth, dtype=torch.bool)
    ghost[10:20, 10:20] = True

    def kept_behind(factor, judges):
        behind = with_depth(views[0], torch.where(ghost, factor * views[0].depth, views[0].depth))
        return agreed_pixels(images_of([behind, *[views[0]] * judges]), TOLERANCE)[0][ghost]

    assert bool(kept_behind(1.2, 2).all()) and not bool(kept_behind(1.2, 3).any())
    assert bool(kept_behind(2.0, 3).all())  # far behind: what the others cannot see may well be there


def test_measurements_that_are_none_judge_nobody(views):
    broken = torch.full_like(views[1].depth, torch.nan)
    with_nan = agreed_pixels(images_of([views[0], with_depth(views[1], broken), *views[2:]]), TOLERANCE)
    without = agreed_pixels(images_of([views[0], *views[2:]]), TOLERANCE)
    assert torch.equal(with_nan[0], without[0]) and not bool(with_nan[1].any())


def test_images_may_have_several_sizes(views):
    first = images_of(views)[0]
    half = DepthImage(first.depth[::2, ::2], torch.diag(torch.tensor([0.5, 0.5, 1.0])) @ first.intrinsics, first.cam_from_world)
    kept = agreed_pixels([first, half], TOLERANCE)
    assert kept[0].shape == first.depth.shape and kept[1].shape == half.depth.shape
    assert float(kept[1][half.measured].float().mean()) > 0.95


def test_views_that_agree_on_nothing_still_give_a_surface(views):
    at_odds = [with_depth(views[0], factor * views[0].depth) for factor in (0.65, 0.7, 0.75, 0.8)]
    assert not any(bool(kept.any()) for kept in agreed_pixels(images_of(at_odds), TOLERANCE))
    assert len(gaussians_from_depth(at_odds, SurfaceSettings(voxel_m=0.02))) > 50
    with pytest.raises(ValueError, match="SurfaceSettings.tolerance: expected 0 to less than 1, got 1"):
        SurfaceSettings(tolerance=1.0)


def test_gaussians_of_a_network_are_judged_by_its_depth(views):
    depth = torch.stack([view.depth for view in views])
    matrices = [torch.stack([getattr(view, name) for view in views]) for name in ("intrinsics", "cam_from_world")]
    images = torch.stack([view.labels.image for view in views])
    true = images_of(views)[0].points[views[0].depth > 0][::7]
    camera = torch.linalg.inv(views[0].cam_from_world)[:3, 3]
    hanging = camera + 0.8 * (true - camera)
    means = torch.cat([true, hanging])
    ones = torch.ones(len(means))
    made = Gaussians(means, 0.01 * torch.ones_like(means), torch.ones(len(means), 4), ones, torch.rand(len(means), 3))
    seen = Reconstruction(depth, torch.ones_like(depth), *matrices, is_metric=True, gaussians=made)
    taken = gaussians_from_reconstruction(seen, images).means
    distances = torch.cdist(taken, means).argmin(1)
    assert int((distances < len(true)).sum()) > 0.95 * len(true)
    assert int((distances >= len(true)).sum()) < 0.1 * len(true)
    assert len(gaussians_from_reconstruction(seen, images, SurfaceSettings(tolerance=0.0))) == len(means)
