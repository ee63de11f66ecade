"""Similarity fits recover known transforms, resist wrong cameras and say when the scale is free."""

import pytest
import torch

from pan3d_core.geometry.alignment import Similarity, fit_cameras, nearest_rotation, umeyama
from pan3d_core.geometry.transforms import invert_rigid, look_at, rigid


def random_rotation(generator: torch.Generator) -> torch.Tensor:
    return nearest_rotation(torch.randn(3, 3, generator=generator))


def camera_ring(count: int) -> torch.Tensor:
    eyes = [
        torch.tensor([0.7 * torch.cos(torch.tensor(a)), 0.7 * torch.sin(torch.tensor(a)), 0.4 + 0.1 * (k % 2)])
        for k, a in enumerate(torch.linspace(0, 2.0, count).tolist())
    ]
    return torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])


def seen_elsewhere(cameras: torch.Tensor, scale: float, generator: torch.Generator) -> torch.Tensor:
    """The same cameras in another world: what `fit_cameras` has to undo."""
    world_from_cam = invert_rigid(cameras)
    rotation, shift = random_rotation(generator), torch.randn(3, generator=generator)
    moved = rigid(rotation @ world_from_cam[:, :3, :3], (world_from_cam[:, :3, 3] @ rotation.T) / scale + shift)
    return invert_rigid(moved)


def test_umeyama_recovers_a_similarity():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    truth = Similarity(2.5, random_rotation(generator).double(), torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64))
    weights = torch.ones(20, dtype=torch.float64)
    target = truth.apply(points)
    target[3] += 5.0
    weights[3] = 0.0
    found = umeyama(points, target, weights)
    # The drawn rotation is orthonormal to single precision only.
    assert found.scale == pytest.approx(2.5, abs=1e-5)
    assert torch.allclose(found.rotation, truth.rotation, atol=1e-5)
    assert torch.allclose(found.translation, truth.translation, atol=1e-5)


def test_umeyama_mirror_images_give_a_rotation():
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(10, 3, generator=generator)
    found = umeyama(points, points * torch.tensor([1.0, 1.0, -1.0]))
    assert float(torch.linalg.det(found.rotation)) == pytest.approx(1.0, abs=1e-5)


def test_umeyama_refuses_points_on_a_line():
    line = torch.linspace(0, 1, 5)[:, None] * torch.tensor([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="line"):
        umeyama(line.double(), line.double())
    with pytest.raises(ValueError, match="3 or more"):
        umeyama(torch.zeros(2, 3), torch.zeros(2, 3))


@pytest.mark.parametrize("count", [2, 3, 4, 12])
def test_cameras_are_found_again(count):
    generator = torch.Generator().manual_seed(count)
    given = camera_ring(count)
    predicted = seen_elsewhere(given, 3.7, generator)
    fit = fit_cameras(predicted, given, 0.02)
    assert fit.reason == ""
    assert fit.similarity.scale == pytest.approx(3.7, rel=1e-4)
    assert fit.residual_m < 1e-4
    assert torch.allclose(fit.similarity.apply_to_cameras(predicted), given, atol=1e-4)


def test_cameras_on_a_line_are_enough():
    generator = torch.Generator().manual_seed(5)
    given = torch.stack([look_at(torch.tensor([0.7, y, 0.5]), torch.tensor([0.0, y, 0.0])) for y in (-0.2, 0.0, 0.3)])
    predicted = seen_elsewhere(given, 0.4, generator)
    fit = fit_cameras(predicted, given, 0.02)
    assert fit.similarity.scale == pytest.approx(0.4, rel=1e-4)
    assert torch.allclose(fit.similarity.apply_to_cameras(predicted), given, atol=1e-4)


def test_one_wrong_camera_does_no_harm():
    generator = torch.Generator().manual_seed(7)
    given = camera_ring(5)
    predicted = seen_elsewhere(given, 2.0, generator)
    predicted[1, :3, 3] += 0.4
    fit = fit_cameras(predicted, given, 0.02)
    assert fit.similarity.scale == pytest.approx(2.0, rel=0.01)
    assert fit.num_agreeing == 4
    assert fit.residual_m < 0.005


def test_noise_shows_in_the_residual():
    generator = torch.Generator().manual_seed(8)
    given = camera_ring(8)
    predicted = seen_elsewhere(given, 1.0, generator)
    predicted[:, :3, 3] += 0.01 * torch.randn(8, 3, generator=generator)
    fit = fit_cameras(predicted, given, 0.02)
    assert 0.003 < fit.residual_m < 0.03


@pytest.mark.parametrize(
    ("given", "predicted", "words"),
    [
        (camera_ring(1), camera_ring(1), "single camera"),
        (camera_ring(4)[[1, 1, 1]], camera_ring(4)[[1, 2, 3]], "one place"),
        (camera_ring(4)[[1, 2, 3]], camera_ring(4)[[1, 1, 1]], "predicted cameras are all in one place"),
    ],
)
def test_free_scale_is_reported(given, predicted, words):
    fit = fit_cameras(predicted, given, 0.02)
    assert words in fit.reason
    assert fit.similarity.scale == 1.0
