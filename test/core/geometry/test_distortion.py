"""Undistortion against OpenCV's."""

import numpy as np
import pytest
import torch

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays
from pan3d_core.geometry.distortion import undistort

cv2 = pytest.importorskip("cv2")

INTRINSICS = torch.tensor([[210.0, 0.0, 161.0], [0.0, 208.0, 118.0], [0.0, 0.0, 1.0]])
CASES = {
    "plumb_bob": (-0.28, 0.09, 0.001, -0.0007, -0.012),
    "rational_polynomial": (0.4, -0.1, 0.0006, 0.0003, 0.02, 0.62, 0.05, -0.01),
    "equidistant": (-0.02, 0.012, -0.006, 0.001),
}


def smooth_image(height: int = 240, width: int = 320) -> torch.Tensor:
    grid = pixel_grid(height, width)
    return torch.stack([(0.05 * grid[..., 0] * (k + 1)).sin() * (0.04 * grid[..., 1]).cos() * 0.5 + 0.5 for k in range(3)])


@pytest.mark.parametrize("model", CASES)
def test_same_picture_as_opencv(model):
    image, coefficients = smooth_image(), CASES[model]
    straight, _ = undistort(image, INTRINSICS, model, coefficients)
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
    straight, _ = undistort(mark, INTRINSICS, model, CASES[model])
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
        ("thin_prism", (0.1,), ("distortion_model", "plumb_bob", "thin_prism")),
        ("plumb_bob", (0.1, 0.2, 0.3), ("coefficients", "4 or 5", "got 3")),
        ("rational_polynomial", (0.1,) * 12, ("coefficients", "8", "got 12")),
    ],
)
def test_unknown_lens_is_refused(model, coefficients, words):
    with pytest.raises(ValueError) as caught:
        undistort(smooth_image(), INTRINSICS, model, coefficients)
    for word in words:
        assert word in str(caught.value)
