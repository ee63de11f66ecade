"""Pixels to Gaussians: voxels, averages and activations, against stored results of AnySplat and by hand; what they may weigh."""

import pytest
import torch

from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.models.eps3d.gaussians import (
    VoxelAverage,
    gaussians_from_raw,
    harmonics_mask,
    opacity_from_logits,
    voxel_grid,
)

CLOSE = {"atol": 1e-5, "rtol": 0}
BYTES_PER_GAUSSIAN = 1500


@pytest.fixture(scope="module")
def stored(procedural):
    return procedural.load_case("eps3d/anysplat.npz")


def averaged(points, confidence, features, size, portions=1, kept=None):
    grid = voxel_grid(points, size, kept)
    average = VoxelAverage(len(grid), (3, features.shape[1]), points)
    for rows in torch.arange(len(points)).chunk(portions):
        average.add(grid.voxel_of_point[rows], confidence[rows], points[rows], features[rows])
    return grid, average.averages()


@torch.inference_mode()
def test_four_points_by_hand(stored):
    grid, (points, features) = averaged(stored["toy.points"], stored["toy.conf"], stored["toy.feats"], float(stored["toy.size"]))
    torch.testing.assert_close(points, stored["toy.out_points"], **CLOSE)
    torch.testing.assert_close(features, stored["toy.out_feats"], **CLOSE)
    assert len(grid) == 2


def test_voxels_are_the_official_ones_in_their_order(stored):
    grid = voxel_grid(stored["points"].reshape(-1, 3), float(stored["voxel.size"]))
    assert torch.equal(grid.keys, stored["voxel.indices"].long())
    assert torch.equal(grid.voxel_of_point.bincount(), stored["voxel.counts"])


@torch.inference_mode()
def test_portions_in_any_order_give_the_same(stored):
    points = stored["points"].reshape(-1, 3)
    generator = torch.Generator().manual_seed(0)
    confidence = 30 * torch.randn(len(points), generator=generator)
    features = torch.randn(len(points), 5, generator=generator)
    _, whole = averaged(points, confidence, features, 0.2)
    _, parts = averaged(points, confidence, features, 0.2, portions=7)
    for one, other in zip(whole, parts):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_with_gradients_the_same_and_the_peak_is_a_constant(stored):
    points = stored["points"].reshape(-1, 3)[:500]
    confidence = torch.randn(500, generator=torch.Generator().manual_seed(0)).requires_grad_()
    features = torch.randn(500, 2, generator=torch.Generator().manual_seed(1)).requires_grad_()
    _, (_, result) = averaged(points, confidence, features, 0.3)
    result.square().sum().backward()
    assert float(confidence.grad.abs().max()) > 0 and bool(torch.isfinite(features.grad).all())
    with torch.inference_mode():
        _, (_, again) = averaged(points, confidence, features, 0.3)
    torch.testing.assert_close(result.detach(), again)


@torch.inference_mode()
def test_equal_confidence_is_the_plain_mean_whatever_its_height():
    points = torch.tensor([[0.01, 0.0, 0.0], [-0.01, 0.0, 0.0], [1.0, 0.0, 0.0]])
    features = torch.tensor([[1.0], [3.0], [7.0]])
    for height in (-1e4, 0.0, 1e4):
        _, (means, found) = averaged(points, torch.full((3,), height), features, 0.1)
        torch.testing.assert_close(found, torch.tensor([[2.0], [7.0]]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(means[:, 0], torch.tensor([0.0, 1.0]), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_points_at_infinity_and_masked_ones_are_left_out():
    inf, nan = float("inf"), float("nan")
    points = torch.tensor([[0.0, 0, 0], [inf, 0, 0], [0, nan, 0], [0, 0, 1e30], [1e6, -1e6, 1e6], [0, 0, 0.25], [5.0, 5, 5]])
    kept = torch.tensor([True] * 6 + [False])
    grid, (means, features) = averaged(points, torch.zeros(7), torch.arange(7.0)[:, None], 0.5, kept=kept)
    assert grid.voxel_of_point.tolist() == [0, -1, -1, -1, 1, 0, -1]
    assert grid.keys.tolist() == [[0, 0, 0], [2_000_000, -2_000_000, 2_000_000]]  # 0.25 is a tie and goes to the even 0
    torch.testing.assert_close(features[:, 0], torch.tensor([2.5, 4.0]), atol=1e-4, rtol=0)
    assert bool(torch.isfinite(means).all())


def test_far_apart_voxels_are_sorted_like_near_ones():
    """Extents whose product does not fit a 64-bit number take another way."""
    places = torch.tensor([[2e9, 1, 1], [-2e9, 5, 2e9], [-2e9, 5, -2e9], [2e9, 1, 1], [0, -2e9, 0]])
    grid = voxel_grid(places, 1.0)
    expected, row = places.long().unique(dim=0, return_inverse=True)
    assert torch.equal(grid.keys, expected) and torch.equal(grid.voxel_of_point, row)


@torch.inference_mode()
def test_nothing_left_means_no_gaussians():
    points = torch.full((4, 3), float("nan"))
    grid, (means, raw) = averaged(points, torch.zeros(4), torch.zeros(4, 83), 0.1)
    assert len(grid) == 0 and len(gaussians_from_raw(means, raw)) == 0


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan")])
def test_voxels_need_a_size(size):
    with pytest.raises(ValueError, match="voxel_size: expected a positive length"):
        voxel_grid(torch.zeros(2, 3), size)


def test_activations(stored):
    found = gaussians_from_raw(stored["gauss.means"], stored["gauss.raw"])
    torch.testing.assert_close(found.opacities, stored["gauss.opacity"], **CLOSE)
    torch.testing.assert_close(found.scales, stored["gauss.scales"], atol=1e-8, rtol=1e-5)
    quats_xyzw = found.quats_wxyz[:, [1, 2, 3, 0]]
    torch.testing.assert_close(quats_xyzw, stored["gauss.rotations_xyzw"], **CLOSE)
    torch.testing.assert_close(found.colors, stored["gauss.sh"].transpose(1, 2), **CLOSE)
    torch.testing.assert_close(harmonics_mask(4, found.colors), stored["gauss.sh_mask"], atol=1e-9, rtol=1e-6)
    spread = matrix_from_quat_xyzw(quats_xyzw) * found.scales[:, None]
    torch.testing.assert_close(spread @ spread.transpose(1, 2), stored["gauss.covariance"], atol=1e-9, rtol=1e-4)


def test_extreme_raw_values_stay_in_bounds():
    raw = torch.zeros(4, 83)
    raw[0, 0], raw[1, 0] = -1e10, 1e10  # the published padding is so far below
    raw[2, 1:4] = 1e30
    raw[3, 4:8] = torch.tensor([0.0, 0.0, 3.0, 0.0])
    found = gaussians_from_raw(torch.zeros(4, 3), raw)
    assert found.opacities.tolist() == [0.0, 1.0, 0.5, 0.5]
    assert found.scales[2].tolist() == pytest.approx([0.3] * 3)
    assert found.quats_wxyz.tolist() == [[1, 0, 0, 0]] * 3 + [[0, 0, 0, 1]]


def test_opacity_may_be_mapped_as_in_training():
    logits = torch.tensor([-2.0, 0.0, 2.0])
    p = logits.sigmoid()
    torch.testing.assert_close(opacity_from_logits(logits, 1.0), 0.5 * (1 - (1 - p) ** 2 + p**0.5))


@pytest.mark.parametrize("channels", [7, 8, 10, 84])
def test_other_channels_are_refused(channels):
    with pytest.raises(ValueError, match=f"raw: expected 8 .* channels, got {channels}"):
        gaussians_from_raw(torch.zeros(2, 3), torch.zeros(2, channels))


@torch.inference_mode()
def test_memory_per_gaussian():
    """All that lives per Gaussian while the last one of all kinds is made: sums, weights, peaks, row numbers, the result."""
    count, widths = 1000, (3, 83, 32, 32)
    points = torch.arange(count * 3.0).view(count, 3)
    grid = voxel_grid(points, 1.0)
    average = VoxelAverage(len(grid), widths, points)
    average.add(grid.voxel_of_point, torch.zeros(count), *(torch.zeros(count, width) for width in widths))
    kept = [grid.voxel_of_point, grid.keys, average.peak, average.weight, *average.sums]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    means, raw, semantic, instance = average.averages()
    found = gaussians_from_raw(means, raw, semantic, instance)
    result = (found.means, found.scales, found.quats_wxyz, found.opacities, found.colors, semantic, instance)
    alone = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in result}
    assert sum(alone.values()) / count <= 600
    assert sum((storages | alone).values()) / count <= BYTES_PER_GAUSSIAN
