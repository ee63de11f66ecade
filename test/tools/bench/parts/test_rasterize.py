"""The benchmark of the rasteriser: small sizes, a made-up reference, no time limits."""

import pytest

from pan3d_tools.bench.official.rasterize_reference import FILE
from pan3d_tools.bench.parts.rasterize import kept_bytes, made_up_scene, parse, run

# The five functions that are called of gsplat's module, by the project's own; lists with every Gaussian in every tile.
REFERENCE = """
import torch
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.rendering.project import Camera, project_gaussians
kept = []

def _quat_scale_to_covar_preci(quats, scales, compute_preci):
    assert not compute_preci
    kept[:] = [quats, scales]
    return None, None

def _fully_fused_projection(means, covars, viewmats, Ks, width, height, eps2d):
    camera = Camera(viewmats[0], Ks[0], (height, width), 0.01, 1e10)
    ellipses = project_gaussians(means, kept[1], kept[0], camera, eps2d)
    a, b, d = ellipses.factors.unbind(-1)
    conics = torch.stack([a * a, a * b, b * b + d * d], dim=-1)
    radii = torch.ones(len(means), 2)
    return radii[None], ellipses.centers[None], ellipses.depth[None], conics[None], None

def _isect_tiles(centers, radii, depths, tile, columns, rows):
    order = depths[0].argsort().repeat(columns * rows)
    return None, torch.tensor(len(order)), order

def _isect_offset_encode(keys, images, columns, rows):
    return torch.arange(0, int(keys), int(keys) // (columns * rows)).view(images, rows, columns)

def accumulate(centers, conics, opacities, values, gaussian_ids, pixel_ids, image_ids, width, height):
    from nerfacc import accumulate_along_rays, render_weight_from_alpha
    assert not image_ids.any()
    pixels = torch.stack([pixel_ids % width, pixel_ids // width], dim=-1) + 0.5
    (dx, dy), (a, b, c) = (pixels - centers[0, gaussian_ids]).unbind(-1), conics[0, gaussian_ids].unbind(-1)
    alpha = opacities[0, gaussian_ids] * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
    weights, _ = render_weight_from_alpha(alpha.clamp_max(0.999), ray_indices=pixel_ids, n_rays=width * height)
    sums = accumulate_along_rays(weights, values[0, gaussian_ids], ray_indices=pixel_ids, n_rays=width * height)
    return sums.view(1, height, width, -1), accumulate_along_rays(weights, None, pixel_ids, width * height)
"""


def test_a_case_has_time_and_memory():
    result = run(["--quick", "--threads", "1"])
    (figures,) = (value for value in result.values() if isinstance(value, dict))
    assert figures["forward"]["cpu_s"] > 0 and figures["backward"]["peak_mib"] >= 0
    assert 100 < figures["kept_bytes_per_gaussian"] < 2000
    assert "ratio" not in figures


def test_a_reference_renders_the_same(tmp_path):
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(REFERENCE)
    result = run(["--quick", "--threads", "1", "--reference", str(tmp_path)])
    figures = result["500 Gaussians, 5 channels, 24x32"]
    assert figures["largest_difference"] < 1e-4
    assert set(figures["ratio"]) == {"forward_cpu", "forward_cpu_without_tiles", "backward_cpu", "backward_peak"}
    assert all(value > 0 for value in figures["ratio"].values())


def test_more_pixels_keep_no_more_per_gaussian():
    per_gaussian = []
    for image_hw in ((24, 32), (48, 64)):
        more, fewer = (kept_bytes(made_up_scene(count, 5, image_hw, 3.0)) for count in (400, 200))
        per_gaussian.append((more - fewer) / 200)
    assert per_gaussian[0] == pytest.approx(per_gaussian[1], rel=0.1)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (["--sizes", "24"], "expected HEIGHTxWIDTH, got 24"),
        (["--channels", "2"], "expected at least 2, 3, 1"),
        (["--reference", "/nowhere"], "expected a folder with gsplat/cuda/_torch_impl.py"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message, capsys):
    with pytest.raises(SystemExit):
        parse(wrong)
    assert message in capsys.readouterr().err
