"""What the rasteriser cannot render is refused by name."""

from dataclasses import replace

import pytest
import torch
from plain_rasterizer import FIELDS, cameras, cloud

from pan3d_core.rendering.rasterizer import RasterSettings, rasterize
from pan3d_core.structures import Gaussians


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("means", torch.zeros(4), r"Gaussians.means: expected shape \(any, 3\), got \(4,\)"),
        ("scales", torch.zeros(5, 3), r"Gaussians.scales: expected shape \(4, 3\), got \(5, 3\)"),
        ("quats_wxyz", torch.zeros(4, 3), r"Gaussians.quats_wxyz: expected shape \(4, 4\)"),
        ("opacities", torch.zeros(4, 1), r"Gaussians.opacities: expected shape \(4\), got \(4, 1\)"),
        ("colors", torch.zeros(4, 9, 4), r"Gaussians.colors: expected shape \(4, any, 3\)"),
        ("semantic_features", torch.zeros(3, 9), r"Gaussians.semantic_features: expected shape \(4, any\)"),
    ],
)
def test_gaussians_of_wrong_shape_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        replace(cloud(4)[0], **{name: value})


def test_wrong_values_are_refused():
    gaussians, features = cloud(4)
    poses, intrinsics, image_hw = cameras()
    wrong = {
        "expected norms above 0, got 2 of 0, first in row 1": replace(
            gaussians, quats_wxyz=gaussians.quats_wxyz * torch.tensor([[1.0], [0], [1], [0]])
        ),
        "Gaussians.opacities: expected 0..1, got 1.5": replace(gaussians, opacities=gaussians.opacities * 0 + 1.5),
        "Gaussians.scales: expected torch.float64 on cpu": replace(gaussians, scales=gaussians.scales.float()),
    }
    for message, changed in wrong.items():
        with pytest.raises(ValueError, match=message):
            rasterize(changed, poses, intrinsics, image_hw, features)
    skewed = intrinsics + torch.tensor([[0.0, 1, 0], [0, 0, 0], [0, 0, 0]])
    for message, arguments in {
        r"features: expected shape \(4, any\)": (poses, intrinsics, image_hw, features[:3]),
        r"cam_from_world: expected shape \(any, 4, 4\)": (poses[0], intrinsics, image_hw),
        r"intrinsics: expected shape \(1, 3, 3\)": (poses, intrinsics.repeat(2, 1, 1), image_hw),
        "expected at least one camera": (poses[:0], intrinsics[:0], image_hw),
        "image_hw: expected a height": (poses, intrinsics, (0, 4)),
        "no skew": (poses, skewed, image_hw),
        r"background: expected shape \(3\)": (poses, intrinsics, image_hw, None, torch.zeros(4)),
    }.items():
        with pytest.raises(ValueError, match=message):
            rasterize(gaussians, *arguments)
    for message, values in {
        "near < far": {"near": 0.0},
        "positive variance": {"low_pass_px2": 0},
        "one of": {"backend": "x"},
    }.items():
        with pytest.raises(ValueError, match=message):
            RasterSettings(**values)
    with pytest.raises(ValueError, match="expected float32 on cuda for gsplat, got torch.float64 on cpu"):
        rasterize(gaussians, poses, intrinsics, image_hw, settings=RasterSettings(backend="gsplat"))


@pytest.mark.parametrize("name", [*(f"Gaussians.{field}" for field in FIELDS), "features", "cam_from_world", "intrinsics"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_single_value_that_is_not_finite_is_refused_by_name(name, value):
    gaussians, features = cloud(4)
    poses, intrinsics, image_hw = cameras()
    tensors = {f"Gaussians.{field}": getattr(gaussians, field).clone() for field in FIELDS}
    tensors |= {"features": features.clone(), "cam_from_world": poses.clone(), "intrinsics": intrinsics.clone()}
    tensors[name].view(-1)[2] = value
    broken = Gaussians(*(tensors[f"Gaussians.{field}"] for field in FIELDS))
    with pytest.raises(ValueError, match=f"^{name}: expected finite values, got NaN or infinity"):
        rasterize(broken, tensors["cam_from_world"], tensors["intrinsics"], image_hw, tensors["features"])
