"""Boxes: fitted, compared exactly, sampled when tilted."""

import math

import pytest
import torch

from pan3d_core.geometry.boxes import OrientedBox, box_corners, box_iou, points_in_box, upright_box
from pan3d_core.geometry.transforms import rigid, transform_points


def make_box(center=(0.0, 0.0, 0.0), size=(0.1, 0.06, 0.04), yaw_deg=0.0, tilt_deg=0.0) -> OrientedBox:
    yaw, tilt = math.radians(yaw_deg), math.radians(tilt_deg)
    about_z = torch.tensor([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1.0]])
    about_x = torch.tensor([[1.0, 0, 0], [0, math.cos(tilt), -math.sin(tilt)], [0, math.sin(tilt), math.cos(tilt)]])
    return OrientedBox(rigid(about_z @ about_x, torch.tensor(center)), torch.tensor(size))


def filled(box: OrientedBox, count: int = 4000, seed: int = 0) -> torch.Tensor:
    local = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) - 0.5
    return transform_points(box.world_from_box, local * box.size_m)


@pytest.mark.parametrize("yaw_deg", [0, 17, 44, 45, 46, 90, 133, 179, -60])
def test_box_is_found_from_its_points(yaw_deg):
    truth = make_box((0.2, -0.1, 0.3), yaw_deg=yaw_deg)
    found = upright_box(filled(truth))
    assert torch.allclose(found.size_m, truth.size_m, atol=0.003)
    assert torch.allclose(found.world_from_box[:3, 3], truth.world_from_box[:3, 3], atol=0.002)
    assert box_iou(found, truth) > 0.93
    assert float(torch.linalg.det(found.world_from_box[:3, :3])) == pytest.approx(1.0, abs=1e-5)


def test_trimming_ignores_strays():
    truth = make_box(yaw_deg=30)
    strays = torch.tensor([[1.0, 1.0, 1.0]]).expand(40, 3) + torch.randn(40, 3)
    found = upright_box(torch.cat([filled(truth), strays]), trim_fraction=0.02)
    assert box_iou(found, truth) > 0.85


def test_single_point_and_flat_sets_have_a_box():
    assert upright_box(torch.zeros(1, 3)).size_m.tolist() == [0.0, 0.0, 0.0]
    assert float(upright_box(torch.rand(50, 3) * torch.tensor([1.0, 1.0, 0.0])).size_m[2]) == 0.0
    with pytest.raises(ValueError, match="points"):
        upright_box(torch.zeros(0, 3))


def test_corners_are_the_extremes():
    box = make_box((1.0, 2.0, 3.0), yaw_deg=25, tilt_deg=10)
    corners = box_corners(box)
    assert corners.shape == (8, 3)
    assert bool(points_in_box(corners, box, 1e-5).all())
    outside = corners + 0.01 * (corners - corners.mean(0))
    assert not bool(points_in_box(outside, box).any())
    assert torch.allclose(corners.mean(0), torch.tensor([1.0, 2.0, 3.0]), atol=1e-5)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (make_box(), 1.0),
        (make_box((0.05, 0.0, 0.0)), 1 / 3),
        (make_box((0.0, 0.0, 0.02)), 1 / 3),
        (make_box((0.2, 0.0, 0.0)), 0.0),
        (make_box((0.0, 0.0, 0.05)), 0.0),
        (make_box(yaw_deg=180), 1.0),
        (make_box(yaw_deg=90), 0.06 * 0.06 / (2 * 0.1 * 0.06 - 0.06 * 0.06)),
    ],
)
def test_upright_iou_is_exact(second, expected):
    assert box_iou(make_box(), second) == pytest.approx(expected, abs=1e-5)
    assert box_iou(second, make_box()) == pytest.approx(expected, abs=1e-5)


def test_turned_square_gives_an_octagon():
    square = make_box(size=(0.1, 0.1, 0.1))
    octagon = 2 * (math.sqrt(2) - 1) * 0.01
    expected = octagon / (0.02 - octagon)
    assert box_iou(square, make_box(size=(0.1, 0.1, 0.1), yaw_deg=45)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("center", [(0.0, 0.0, 0.0), (0.02, 0.01, 0.0), (0.03, 0.0, 0.01)])
def test_tilted_iou_agrees_with_counting(center):
    first, second = make_box(yaw_deg=20, tilt_deg=35), make_box(center, yaw_deg=40, tilt_deg=20)
    points = (torch.rand(400_000, 3, generator=torch.Generator().manual_seed(3)) - 0.5) * 0.3
    a, b = points_in_box(points, first), points_in_box(points, second)
    counted = float((a & b).sum() / (a | b).sum())
    assert box_iou(first, second) == pytest.approx(counted, abs=0.03)
