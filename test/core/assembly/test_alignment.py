"""How metres are reached: given cameras, fitted cameras, measured depth; and when they are not."""

from dataclasses import replace

import pytest
import torch

from pan3d_core.assembly.alignment import align_to_world
from pan3d_core.config import AlignConfig
from pan3d_core.geometry.alignment import Similarity, nearest_rotation
from pan3d_core.geometry.transforms import look_at
from pan3d_core.structures import Gaussians, Reconstruction, ViewBatch

HEIGHT, WIDTH = 28, 36


def make_views(count: int = 4, *, posed: bool = True, depth: torch.Tensor | None = None) -> ViewBatch:
    eyes = torch.tensor([[0.6, 0.3 * k - 0.4, 0.5 + 0.05 * (k % 2)] for k in range(count)])
    cameras = torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])
    intrinsics = torch.tensor([[32.0, 0, 17.5], [0, 32.0, 13.5], [0, 0, 1]]).expand(count, 3, 3)
    return ViewBatch(
        images=torch.zeros(count, 3, HEIGHT, WIDTH),
        intrinsics=intrinsics,
        cam_from_world=cameras if posed else None,
        depth=depth,
        stamps_ns=(0,) * count,
        cameras=tuple(f"cam{k}" for k in range(count)),
        original_hw=((HEIGHT, WIDTH),) * count,
        network_from_original=torch.eye(3).expand(count, 3, 3),
    )


def true_depth(count: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return 0.7 + 0.1 * torch.rand(count, HEIGHT, WIDTH, generator=generator)


def predicted_elsewhere(views: ViewBatch, cameras: torch.Tensor, depth: torch.Tensor, scale: float) -> Reconstruction:
    """What a network without cameras gives: another world, smaller by `scale`."""
    generator = torch.Generator().manual_seed(11)
    other = Similarity(1.0 / scale, nearest_rotation(torch.randn(3, 3, generator=generator)), torch.tensor([1.0, -2.0, 0.5]))
    return Reconstruction(
        depth=depth / scale,
        depth_conf=torch.ones_like(depth),
        intrinsics=views.intrinsics * torch.tensor([1.01, 1.01, 1.0])[:, None],
        cam_from_world=other.apply_to_cameras(cameras),
        is_metric=False,
    )


def test_an_engine_that_used_the_cameras_is_left_alone():
    views = make_views()
    made = Reconstruction(true_depth(), torch.ones(4, HEIGHT, WIDTH), views.intrinsics, views.cam_from_world, is_metric=True)
    aligned = align_to_world(made, views)
    assert aligned.is_metric
    assert aligned.alignment == "given cameras"
    assert aligned.alignment_residual_m == 0.0
    assert torch.equal(aligned.depth, made.depth)


@pytest.mark.parametrize("count", [2, 4])
def test_predicted_cameras_are_fitted_to_the_given_ones(count):
    views = make_views(count)
    made = predicted_elsewhere(views, views.cam_from_world, true_depth(count), 3.0)
    aligned = align_to_world(made, views)
    assert aligned.is_metric
    assert aligned.metric_scale == pytest.approx(3.0, rel=1e-4)
    assert aligned.alignment_residual_m < 1e-4
    assert torch.allclose(aligned.depth, true_depth(count), rtol=1e-3)
    assert torch.equal(aligned.cam_from_world, views.cam_from_world)
    assert torch.equal(aligned.intrinsics, views.intrinsics)


def test_cameras_that_do_not_fit_leave_it_unmetric_with_the_reason():
    views = make_views()
    made = predicted_elsewhere(views, views.cam_from_world, true_depth(), 3.0)
    wrong = made.cam_from_world.clone()
    wrong[:, :3, 3] += 0.2 * torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    aligned = align_to_world(replace(made, cam_from_world=wrong), views)
    assert not aligned.is_metric
    assert "none:" in aligned.alignment
    assert aligned.alignment_residual_m > 0.0


def test_one_camera_gives_no_scale():
    views = make_views(1)
    aligned = align_to_world(predicted_elsewhere(views, views.cam_from_world, true_depth(1), 3.0), views)
    assert not aligned.is_metric
    assert "single camera" in aligned.alignment


def test_nothing_known_is_not_metric_even_if_the_engine_says_so():
    views = make_views(posed=False)
    made = predicted_elsewhere(views, make_views().cam_from_world, true_depth(), 3.0)
    for claims, words in ((True, "the network's own metres are not confirmed: neither"), (False, "none: neither")):
        aligned = align_to_world(replace(made, is_metric=claims), views)
        assert not aligned.is_metric
        assert words in aligned.alignment


def test_metres_of_a_network_are_believed_at_one_given_camera():
    views = make_views(1)
    made = replace(predicted_elsewhere(views, views.cam_from_world, true_depth(1), 1.0), is_metric=True)
    aligned = align_to_world(made, views)
    assert aligned.is_metric and aligned.metric_scale == 1.0 and "network's own metres" in aligned.alignment
    assert torch.equal(aligned.depth, made.depth) and torch.equal(aligned.cam_from_world, views.cam_from_world)
    several = make_views()  # their baselines judge it
    made = replace(predicted_elsewhere(several, several.cam_from_world, true_depth(), 1.1), is_metric=True)
    assert align_to_world(made, several).metric_scale == pytest.approx(1.1, rel=1e-4)


def some_posed(views: ViewBatch, posed: tuple[int, ...]) -> ViewBatch:
    known = tuple(pose if index in posed else None for index, pose in enumerate(views.cam_from_world))
    return replace(views, cam_from_world=None, known_poses=known)


@pytest.mark.parametrize("measured", [False, True])
def test_poses_of_some_views_place_the_result(measured):
    views = make_views(depth=true_depth() if measured else None)
    made = predicted_elsewhere(views, views.cam_from_world, true_depth(), 3.0)
    aligned = align_to_world(made, some_posed(views, (0, 2, 3)))
    assert aligned.is_metric and aligned.metric_scale == pytest.approx(3.0, rel=1e-3)
    assert torch.equal(aligned.cam_from_world[[0, 2, 3]], views.cam_from_world[[0, 2, 3]])
    assert torch.allclose(aligned.cam_from_world[1], views.cam_from_world[1], atol=1e-3)
    assert torch.allclose(aligned.depth[[0, 2, 3]], true_depth()[[0, 2, 3]], rtol=1e-3)
    assert bool((aligned.depth[1] == 0).all())  # only the network says where that camera stands


def test_poses_of_some_views_that_do_not_fit_or_of_one_alone_give_no_metres():
    views = make_views()
    made = predicted_elsewhere(views, views.cam_from_world, true_depth(), 3.0)
    assert "neither" in align_to_world(made, some_posed(views, (1,))).alignment
    turned = replace(made, cam_from_world=made.cam_from_world.flip(0))
    aligned = align_to_world(turned, some_posed(views, (0, 1, 3)))
    assert not aligned.is_metric and aligned.alignment.startswith("none:") and bool((aligned.depth[2] > 0).all())


def in_millimetres(views: ViewBatch) -> ViewBatch:
    cameras = views.cam_from_world.clone()
    cameras[:, :3, 3] *= 1000
    return replace(views, cam_from_world=cameras)


MILLIMETRES = r"CameraView\.cam_from_world: expected metres, got cameras .* m from .*; millimetres\?"


@pytest.mark.parametrize("count", [2, 4])
def test_poses_in_millimetres_are_recognised(count):
    views = in_millimetres(make_views(count))
    made = predicted_elsewhere(views, make_views(count).cam_from_world, true_depth(count), 3.0)
    with pytest.raises(ValueError, match=MILLIMETRES):
        align_to_world(made, views)
    with pytest.raises(ValueError, match=MILLIMETRES):  # with depth cameras beside them
        align_to_world(made, replace(views, depth=true_depth(count)))
    near = make_views(count)  # a rig as small as a hand, whose spread alone would pass
    near = replace(near, cam_from_world=near.cam_from_world.clone())
    near.cam_from_world[:, :3, 3] *= 0.02
    made = predicted_elsewhere(near, near.cam_from_world, true_depth(count), 3.0)
    with pytest.raises(ValueError, match=MILLIMETRES):
        align_to_world(made, in_millimetres(near))
    if count == 4:
        with pytest.raises(ValueError, match=MILLIMETRES):
            align_to_world(made, some_posed(in_millimetres(near), (0, 2, 3)))


@pytest.mark.parametrize("count", [1, 4])
def test_poses_in_millimetres_are_recognised_with_an_engine_that_uses_them(count):
    views = in_millimetres(make_views(count))
    made = Reconstruction(
        true_depth(count) * 1000, torch.ones(count, HEIGHT, WIDTH), views.intrinsics, views.cam_from_world, True
    )
    with pytest.raises(ValueError, match=MILLIMETRES):
        align_to_world(made, views)
    if count > 1:  # depth from a sensor, in metres
        near = replace(views, cam_from_world=views.cam_from_world.clone())
        near.cam_from_world[:, :3, 3] *= 0.08
        with pytest.raises(ValueError, match=MILLIMETRES):
            align_to_world(replace(made, depth=true_depth(count), cam_from_world=near.cam_from_world), near)


def test_a_network_that_sees_no_distance_between_cameras_is_not_a_matter_of_units():
    views = make_views()
    cameras = views.cam_from_world.clone()
    made = predicted_elsewhere(views, cameras, true_depth() * 1000, 1.0)
    aligned = align_to_world(made, views)
    assert not aligned.is_metric and "the scene would be" in aligned.alignment


@pytest.mark.parametrize("posed", [True, False])
@pytest.mark.parametrize("count", [1, 4])
def test_measured_depth_gives_the_scale(posed, count):
    depth = true_depth(count)
    measured = depth.clone()
    measured[:, ::2] = 0.0
    measured[:, 1, :5] = 4.0  # wrong measurements are outvoted
    views = make_views(count, posed=posed, depth=measured)
    made = predicted_elsewhere(views, make_views(count).cam_from_world, depth, 3.0)
    aligned = align_to_world(made, views, AlignConfig(depth_source="model"))
    assert aligned.is_metric
    assert torch.allclose(aligned.depth, depth, rtol=1e-3)
    assert aligned.metric_scale == pytest.approx(3.0, rel=1e-3)
    if posed:
        assert torch.equal(aligned.cam_from_world, views.cam_from_world)
    else:
        assert torch.allclose(aligned.cam_from_world[:, :3, 3], 3.0 * made.cam_from_world[:, :3, 3], rtol=1e-3)


def test_depth_sources():
    depth = true_depth()
    measured = depth.clone()
    measured[:, 10:18, 10:18] = 0.0
    biased = depth * torch.tensor([1.04, 0.96, 1.03, 0.98])[:, None, None]
    views = make_views(depth=measured)
    made = Reconstruction(biased, torch.ones_like(depth), views.intrinsics, views.cam_from_world, is_metric=True)
    model, sensor, fused = (align_to_world(made, views, AlignConfig(depth_source=s)) for s in ("model", "sensor", "fused"))
    assert torch.allclose(model.depth, depth, rtol=1e-3)  # each view has its own bias
    assert torch.equal(sensor.depth, measured)
    assert torch.equal(fused.depth[measured > 0], measured[measured > 0])
    assert torch.allclose(fused.depth, depth, rtol=1e-3)


def test_too_little_or_contradicting_measured_depth_is_not_used(caplog):
    depth = true_depth()
    few = torch.zeros_like(depth)
    few[0, :3, :3] = 0.7
    views = make_views(posed=False, depth=few)
    made = predicted_elsewhere(views, make_views().cam_from_world, depth, 3.0)
    aligned = align_to_world(made, views)
    assert not aligned.is_metric
    assert "only 9 pixels" in aligned.alignment

    noise = torch.exp(torch.randn(depth.shape, generator=torch.Generator().manual_seed(0)))
    aligned = align_to_world(made, make_views(posed=False, depth=depth * noise))
    assert not aligned.is_metric
    assert "disagree" in aligned.alignment
    assert "not metric" in caplog.text


def test_broken_depth_becomes_none():
    views = make_views()
    depth = true_depth()
    depth[0, 0, 0], depth[0, 0, 1], depth[0, 0, 2] = float("nan"), float("inf"), -1.0
    made = Reconstruction(depth, torch.ones_like(depth), views.intrinsics, views.cam_from_world, is_metric=True)
    assert align_to_world(made, views).depth[0, 0, :3].tolist() == [0.0, 0.0, 0.0]
    nothing = align_to_world(replace(made, depth=torch.full_like(depth, float("nan"))), views)
    assert not nothing.is_metric
    assert "no valid depth" in nothing.alignment


def test_gaussians_move_with_the_cameras():
    views = make_views()
    made = predicted_elsewhere(views, views.cam_from_world, true_depth(), 3.0)
    means = made.world_points[0, :2].reshape(-1, 3)
    count = len(means)
    gaussians = Gaussians(
        means,
        torch.full((count, 3), 0.01),
        torch.tensor([1.0, 0, 0, 0]).expand(count, 4),
        torch.ones(count),
        torch.zeros(count, 3),
    )
    made = replace(made, gaussians=gaussians, intrinsics=views.intrinsics)
    means = made.world_points[0, :2].reshape(-1, 3)
    aligned = align_to_world(replace(made, gaussians=replace(gaussians, means=means)), views)
    assert torch.allclose(aligned.gaussians.means, aligned.world_points[0, :2].reshape(-1, 3), atol=1e-3)
    assert torch.allclose(aligned.gaussians.scales, torch.tensor(0.03), rtol=1e-3)
    assert torch.allclose(aligned.gaussians.quats_wxyz.norm(dim=-1), torch.ones(count), atol=1e-5)
