"""Undistortion against OpenCV's."""

import numpy as np
import pytest
import torch

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays
from pan3d_core.geometry.distortion import DISTORTION_MODELS, lens_model, undistort

cv2 = pytest.importorskip("cv2")

INTRINSICS = torch.tensor([[210.0, 0.0, 161.0], [0.0, 208.0, 118.0], [0.0, 0.0, 1.0]])
CASES = {
    "plumb_bob": (-0.28, 0.09, 0.001, -0.0007, -0.012),
    "rational_polynomial": (0.4, -0.1, 0.0006, 0.0003, 0.02, 0.62, 0.05, -0.01),
    "thin_prism": (-0.28, 0.09, 0.001, -0.0007, -0.012, 0.02, 0.01, -0.003, 0.012, -0.004, -0.009, 0.006),
    "Tilted": (-0.28, 0.09, 0.001, -0.0007, -0.012, 0.02, 0.01, -0.003, 0.012, -0.004, -0.009, 0.006, 0.03, -0.05),
    "equidistant": (-0.02, 0.012, -0.006, 0.001),
}


def smooth_image(height: int = 240, width: int = 320) -> torch.Tensor:
    grid = pixel_grid(height, width)
    return torch.stack([(0.05 * grid[..., 0] * (k + 1)).sin() * (0.04 * grid[..., 1]).cos() * 0.5 + 0.5 for k in range(3)])


NAMES = {"Tilted": "plumb_bob"}  # of cases that are named for what they show


@pytest.mark.parametrize("model", CASES)
def test_same_picture_as_opencv(model):
    image, coefficients = smooth_image(), CASES[model]
    straight, _ = undistort(image, INTRINSICS, NAMES.get(model, model), coefficients)
    pixels, matrix = image.permute(1, 2, 0).numpy(), INTRINSICS.numpy().astype(np.float64)
    if model == "equidistant":
        maps = cv2.fisheye.initUndistortRectifyMap(matrix, np.array(coefficients), np.eye(3), matrix, (320, 240), cv2.CV_32FC1)
    else:
        maps = cv2.initUndistortRectifyMap(matrix, np.array(coefficients), None, matrix, (320, 240), cv2.CV_32FC1)
    expected = torch.from_numpy(cv2.remap(pixels, *maps, cv2.INTER_LINEAR)).permute(2, 0, 1)
    # OpenCV interpolates with 5 bits of the position, hence the tolerance; the mean shows any shift.
    difference = (straight - expected)[:, 2:-2, 2:-2].abs()
    assert float(difference.mean()) < 2e-3
    assert float(difference.max()) < 0.05


@pytest.mark.parametrize("model", CASES)
def test_a_point_lands_on_its_pinhole_pixel(model):
    """Mark where OpenCV projects a point through the lens; the mark must appear where a pinhole sees it."""
    point = np.array([[[0.31, -0.22, 1.0]]])
    matrix = INTRINSICS.numpy().astype(np.float64)
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    seen = project(point, np.zeros(3), np.zeros(3), matrix, np.array(CASES[model]))[0].reshape(2)
    grid = pixel_grid(240, 320)
    mark = torch.exp(-(grid - torch.from_numpy(seen).float()).square().sum(-1) / 8.0).expand(3, -1, -1)
    straight, _ = undistort(mark, INTRINSICS, NAMES.get(model, model), CASES[model])
    weight = straight[0] / straight[0].sum()
    center = (grid * weight[..., None]).sum((0, 1))
    expected = INTRINSICS @ torch.from_numpy(point[0, 0]).float()
    assert torch.allclose(center, expected[:2], atol=0.3)


def test_depth_is_not_blended():
    depth = torch.full((240, 320), 0.5)
    depth[:, 160:] = 1.5
    _, straight = undistort(smooth_image(), INTRINSICS, "equidistant", CASES["equidistant"], depth)
    assert set(straight.unique().tolist()) <= {0.0, 0.5, 1.5}


def test_no_distortion_changes_nothing():
    image = smooth_image()
    assert undistort(image, INTRINSICS, "plumb_bob", (0.0,) * 5)[0] is image
    assert undistort(image, INTRINSICS, "", ())[0] is image
    assert torch.isfinite(pixel_rays(INTRINSICS, pixel_grid(2, 2).reshape(-1, 2))).all()


@pytest.mark.parametrize(
    ("model", "coefficients", "words"),
    [
        ("lens", (0.1,), ("distortion_model", "plumb_bob", "'lens'")),
        ("", (0.1, 0.0, 0.0, 0.0), ("distortion_model", "plumb_bob", "''")),
        ("f_theta", (0.1,) * 5, ("distortion_model", "equidistant", "'f_theta'")),
        ("plumb_bob", (0.1, 0.2, 0.3), ("coefficients", "4, 5, 8, 12 or 14", "got 3")),
        ("plumb_bob", (0.1,) * 6, ("coefficients", "4, 5, 8, 12 or 14", "got 6")),
        ("rational_polynomial", (0.1,) * 15, ("coefficients", "4, 5, 8, 12 or 14", "got 15")),
        ("equidistant", (0.1,) * 5, ("coefficients", "expected 4 numbers", "got 5")),
        ("inverse_brown_conrady", (0.1,) * 8, ("coefficients", "4 or 5", "got 8")),
        ("plumb_bob", (9e3, 9e3, 9e3, 9e3), ("coefficients", "leave 0 % of the picture")),
    ],
)
def test_unknown_lens_is_refused(model, coefficients, words):
    with pytest.raises(ValueError) as caught:
        undistort(smooth_image(), INTRINSICS, model, coefficients)
    for word in words:
        assert word in str(caught.value)


FIVE, FOUR = (-0.28, 0.09, 0.001, -0.0007, -0.012), (-0.02, 0.012, -0.006, 0.001)


@pytest.mark.parametrize(
    "name", ["plumb_bob", "Plumb Bob", "PLUMB-BOB", "radtan", "pinhole", "Brown Conrady", "rational_polynomial"]
)
@pytest.mark.parametrize("zeros", [0, 3, 7, 9, 2])
def test_zeros_after_the_last_coefficient_and_spellings_of_the_name_do_not_matter(name, zeros):
    model, coefficients = lens_model(name, FIVE + (0.0,) * zeros)
    assert coefficients == FIVE
    assert DISTORTION_MODELS[model][1] is DISTORTION_MODELS["plumb_bob"][1]


@pytest.mark.parametrize("name", ["fisheye", "Fisheye", "equidistant", "kannala_brandt", "Kannala Brandt4", "KANNALA_BRANDT"])
@pytest.mark.parametrize("zeros", [0, 1, 4])
def test_names_of_the_fisheye_are_those_of_drivers(name, zeros):
    assert lens_model(name, FOUR + (0.0,) * zeros) == ("equidistant", FOUR)


@pytest.mark.parametrize("name", ["", "lens", "equidistant", "Inverse Brown-Conrady"])
def test_zeros_alone_are_no_distortion_under_any_name(name):
    assert lens_model(name, (0.0,) * 5) == lens_model(name, ()) == ("", ())


def test_eight_coefficients_of_plumb_bob_are_the_rational_ones():
    image, eight = smooth_image(), CASES["rational_polynomial"]
    assert torch.equal(
        undistort(image, INTRINSICS, "plumb_bob", eight)[0], undistort(image, INTRINSICS, "rational_polynomial", eight)[0]
    )


def test_the_inverse_model_maps_what_was_seen_to_where_it_is():
    """librealsense deprojects a pixel by the polynomial itself; so must the straight picture show it there."""
    coefficients = (0.11, -0.2, 0.002, -0.001, 0.06)
    seen = torch.tensor([[0.31, -0.22], [-0.4, 0.3]], dtype=torch.float64)
    x, y = seen.T
    r2 = x * x + y * y
    k1, k2, p1, p2, k3 = coefficients
    f = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    straight = torch.stack([x * f + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * f + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)])
    found = DISTORTION_MODELS["inverse_brown_conrady"][1](*straight, coefficients)
    torch.testing.assert_close(torch.stack(found), seen.T, atol=1e-6, rtol=0.0)
    forward = DISTORTION_MODELS["plumb_bob"][1](*straight, coefficients)
    assert (torch.stack(forward) - seen.T).abs().max() > 0.01, "read as the forward model it would be elsewhere"


def test_where_the_inverse_model_maps_nothing_the_picture_is_black():
    straight, _ = undistort(torch.ones(3, 240, 320), INTRINSICS, "inverse_brown_conrady", (-0.5, 0.0, 0.0, 0.0, 0.0))
    assert straight[0, 120, 160] == 1.0
    assert straight[0, 0, 0] == 0.0
    assert straight.isfinite().all()


@pytest.mark.parametrize(("k1", "is_lens"), [(40.0, True), (100.0, False)])
def test_coefficients_that_leave_less_than_a_tenth_of_the_picture_are_of_no_lens(k1, is_lens):
    intrinsics = torch.tensor([[60.0, 0.0, 39.5], [0.0, 60.0, 29.5], [0.0, 0.0, 1.0]])
    if is_lens:  # 11 % are left
        undistort(torch.zeros(3, 60, 80), intrinsics, "plumb_bob", [k1, 0.0, 0.0, 0.0, 0.0], None)
        return
    with pytest.raises(ValueError, match="which leave 7 % of the picture"):
        undistort(torch.zeros(3, 60, 80), intrinsics, "plumb_bob", [k1, 0.0, 0.0, 0.0, 0.0], None)


def test_where_a_polynomial_turns_back_nothing_is_seen_rather_than_the_middle_once_more():
    image = torch.ones(3, 240, 320)
    grid = pixel_grid(240, 320)
    radii = pixel_rays(INTRINSICS, grid.reshape(-1, 2))[:, :2].norm(dim=-1).reshape(240, 320)
    straight, _ = undistort(image, INTRINSICS, "plumb_bob", (-2.0, 0.0, 0.0, 0.0))
    turns_back = (1 / 6) ** 0.5  # of r (1 - 2 r^2)
    assert float(straight[:, radii < 0.98 * turns_back].min()) > 0.999
    assert float(straight[:, radii > 1.02 * turns_back].max()) == 0.0
