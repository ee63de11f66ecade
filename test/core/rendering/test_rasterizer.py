"""The rasteriser against stored renderings by gsplat's rules, a plain reference, finite differences, and at the edges."""

from dataclasses import replace

import pytest
import torch
from plain_rasterizer import FIELDS, HW, all_sums, assert_same_with_gradients, cameras, cloud, with_gradient

from pan3d_core.rendering import composite, tiles
from pan3d_core.rendering.rasterizer import RasterSettings, rasterize, view_colors
from pan3d_core.structures import Gaussians

# Stored renderings


@pytest.fixture(scope="module")
def golden(procedural):
    return procedural.load_case("eps3d/gaussian_raster.npz")


def stored_scene(golden, dtype):
    fields = [golden[name].to(dtype) for name in ("means", "scales", "quats_wxyz", "opacities")]
    features = golden["features"].to(dtype)
    intrinsics = golden["Ks"].to(dtype).clone()
    intrinsics[:, :2, 2] -= 0.5  # stored for pixel centres at halves
    view = (golden["viewmats"].to(dtype), intrinsics, (int(golden["height"]), int(golden["width"])))
    return Gaussians(*fields, features[:, :3]), features[:, 3:], view


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "case, settings",
    [
        ("ref", RasterSettings()),
        ("antialiased", RasterSettings(antialiased=True)),
        ("eps3d", RasterSettings(near=1e-10, radius_clip_px=0.1)),
    ],
)
def test_stored_renderings(golden, case, settings, dtype):
    gaussians, features, view = stored_scene(golden, dtype)
    background = None if case == "eps3d" else golden["background"][:3].to(dtype)
    rendered = rasterize(gaussians, *view, features, background, settings)
    channels = rendered.features
    if case != "eps3d":
        channels = channels + (1 - rendered.opacity)[:, None] * golden["background"][3:, None, None]
    expected = golden[f"{case}.colors"].movedim(-1, 1).to(dtype)
    found = torch.cat([rendered.colors, channels], dim=1)[:, : expected.shape[1]]
    assert torch.allclose(found, expected, atol=2e-5, rtol=0)
    assert torch.allclose(rendered.opacity, golden[f"{case}.alphas"].to(dtype), atol=1e-5, rtol=0)
    if case != "antialiased":
        accumulated = golden[f"{case}.depth_accumulated"].to(dtype)
        assert torch.allclose(rendered.depth * rendered.opacity, accumulated, atol=2e-5, rtol=0)
    if case == "ref":
        assert torch.allclose(rendered.depth, golden["ref.depth_expected"].to(dtype), atol=5e-5, rtol=0)
        assert torch.equal(rendered.visible, golden["proj.visible"])


def test_stored_harmonics(golden):
    gaussians, _, (poses, _, _) = stored_scene(golden, torch.float64)
    for degree in range(5):
        shown = golden["sh.coeffs"].double().clone()
        shown[:, (degree + 1) ** 2 :] = 0
        for pose, expected in zip(poses, golden["sh.colors"]):
            full = view_colors(replace(gaussians, colors=shown), pose)
            short = view_colors(replace(gaussians, colors=shown[:, : (degree + 1) ** 2]), pose)
            assert torch.allclose(short, full, atol=1e-12)
            assert degree < 4 or torch.allclose(full, expected, atol=1e-6)
    with pytest.raises(ValueError, match="square number of them per colour, got 5"):
        view_colors(replace(gaussians, colors=shown[:, :5]), poses[0])


# A plain reference, and finite differences


@pytest.mark.parametrize("count, scale", [(1, 0.1), (60, 0.08), (300, 0.3), (200, 0.003)])
def test_equals_the_plain_reference_with_gradients(count, scale):
    gaussians, features = cloud(count, scale=scale)
    assert_same_with_gradients(gaussians, features, cameras(count=3))


def test_parts_of_the_image_and_short_blocks_change_nothing(monkeypatch):
    gaussians, features = cloud(150, scale=0.2)
    monkeypatch.setattr(tiles, "MAX_PAIRS", 60)
    monkeypatch.setattr(composite, "BLOCK", 5)
    monkeypatch.setattr(composite, "BLOCK_BYTES", 8 * 2**10)
    assert_same_with_gradients(gaussians, features, cameras(image_hw=(21, 30)))


def test_gradients_equal_finite_differences():
    gaussians, features = cloud(5, scale=0.2)
    gaussians, features = with_gradient(gaussians, features[:, :1])
    background = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    poses, intrinsics, image_hw = cameras(image_hw=(4, 5))

    def render(poses, channels, *fields):
        rendering = rasterize(Gaussians(*fields), poses, intrinsics, image_hw, channels, background)
        return rendering.colors, rendering.features, rendering.depth, rendering.opacity

    leaves = [getattr(gaussians, name) for name in FIELDS]
    assert torch.autograd.gradcheck(render, (poses.requires_grad_(), features, *leaves), atol=1e-6)


def test_gradients_of_harmonics_and_antialiasing_equal_finite_differences():
    gaussians, features = cloud(4, scale=0.1)
    colors = 0.3 * torch.sin(torch.arange(4 * 9 * 3, dtype=torch.float64)).view(4, 9, 3)
    gaussians, _ = with_gradient(replace(gaussians, colors=colors), features)
    view, settings = cameras(image_hw=(3, 4)), RasterSettings(antialiased=True)

    def render(*fields):
        return all_sums(rasterize(Gaussians(*fields), *view, settings=settings))

    assert torch.autograd.gradcheck(render, [getattr(gaussians, name) for name in FIELDS], atol=1e-6, fast_mode=True)


@pytest.mark.parametrize("trained", ["features", "means"])
def test_frozen_parts_change_no_other_gradient(trained):
    gaussians, features = cloud(40, scale=0.2)
    gradients = []
    for leaves, channels in (with_gradient(gaussians, features), (gaussians, features)):
        leaf = channels if trained == "features" else leaves.means
        leaf.requires_grad_()
        all_sums(rasterize(leaves, *cameras(), channels)).square().sum().backward()
        gradients.append(leaf.grad)
    assert torch.allclose(*gradients, atol=1e-12) and gradients[0].abs().sum() > 0


def test_nothing_per_pixel_and_gaussian_is_kept_for_the_backward_pass():
    gaussians, features = with_gradient(*cloud(400, dtype=torch.float32, scale=0.5))
    view, kept = cameras(torch.float32, image_hw=(48, 64)), 0

    def count(tensor):
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        rendering = rasterize(gaussians, *view, features)
    assert rendering.opacity.mean() > 0.9
    assert kept < 400 * 200 + 48 * 64 * 30  # numbers per Gaussian, numbers per pixel


# Edges


@pytest.mark.parametrize("change", ["none", "behind", "transparent"])
def test_nothing_to_see_is_the_background(change):
    gaussians, features = cloud(0 if change == "none" else 20)
    if change == "behind":
        gaussians = replace(gaussians, means=gaussians.means * torch.tensor([1, 1, -1.0]))
    if change == "transparent":
        gaussians = replace(gaussians, opacities=torch.zeros_like(gaussians.opacities))
    gaussians, features = with_gradient(gaussians, features)
    background = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    rendering = rasterize(gaussians, *cameras(count=2), features, background)
    assert torch.equal(rendering.colors, background.view(1, 3, 1, 1).expand(2, 3, *HW))
    assert not any(t.any() for t in (rendering.features, rendering.depth, rendering.opacity, rendering.visible))
    assert rendering.features.shape == (2, 4, *HW) and rendering.visible.shape == (2, len(gaussians))
    (rendering.colors.sum() + rendering.depth.sum()).backward()
    assert not any(getattr(gaussians, name).grad.any() for name in FIELDS)


def test_enormous_gaussians_and_those_at_the_near_plane():
    gaussians, features = cloud(12)
    scales, means = gaussians.scales.clone(), gaussians.means.clone()
    scales[:4] *= torch.tensor([[1e4], [1e3], [50.0], [20.0]], dtype=torch.float64)
    means[2] = torch.tensor([0.01, 0.0, 0.0101], dtype=torch.float64)  # reaches behind the camera
    means[3] = torch.tensor([0.5, 0.5, 0.02], dtype=torch.float64)
    gaussians = replace(gaussians, scales=scales, means=means)
    assert_same_with_gradients(gaussians, features, cameras(), atol=1e-8)
    single = Gaussians(*(getattr(gaussians, name).float() for name in FIELDS))
    rendering = rasterize(single, *cameras(torch.float32), settings=RasterSettings(near=1e-10))
    assert torch.isfinite(rendering.colors).all() and rendering.visible[0, :3].all()
    huge = rasterize(replace(single, scales=torch.full_like(single.scales, 1e12)), *cameras(torch.float32))
    assert torch.isfinite(huge.colors).all() and (huge.opacity > 0.5).all()


def test_a_camera_inside_the_cloud():
    gaussians, features = cloud(250, spread=3.0)
    poses, intrinsics, image_hw = cameras()
    poses = poses.clone()
    poses[0, 2, 3] -= 2.0  # to the cloud's middle
    assert_same_with_gradients(gaussians, features, (poses, intrinsics, image_hw), atol=1e-8)


def test_flat_and_pointlike_gaussians():
    gaussians, features = cloud(20)
    scales = gaussians.scales.clone()
    scales[:10] = 0.0
    scales[10:, 0] = 0.0
    assert_same_with_gradients(replace(gaussians, scales=scales), features, cameras())
    leaves, _ = with_gradient(replace(gaussians, scales=scales), features)
    rasterize(leaves, *cameras(), settings=RasterSettings(antialiased=True)).colors.sum().backward()
    assert all(torch.isfinite(getattr(leaves, name).grad).all() for name in FIELDS)


@pytest.mark.parametrize("image_hw", [(1, 1), (1, 17), (8, 8)])
def test_small_images(image_hw):
    gaussians, features = cloud(30, scale=0.3)
    assert_same_with_gradients(gaussians, features, cameras(image_hw=image_hw))


@pytest.mark.parametrize("channels", [0, 1, 100])
def test_any_number_of_channels(channels):
    gaussians, _ = cloud(30)
    features = torch.sin(torch.arange(30.0 * channels, dtype=torch.float64)).view(30, channels)
    assert_same_with_gradients(gaussians, features, cameras())
    assert rasterize(gaussians, *cameras(), features).features.shape == (1, channels, *HW)


def test_non_contiguous_inputs():
    gaussians, features = cloud(30)
    strided = Gaussians(*(getattr(gaussians, name).mT.clone().mT for name in FIELDS[:3]), gaussians.opacities, gaussians.colors)
    strided = replace(strided, opacities=torch.stack([gaussians.opacities] * 2, dim=-1)[:, 0])
    poses, intrinsics, image_hw = cameras()
    view = (poses.mT.clone().mT, intrinsics.mT.clone().mT, image_hw)
    expected = rasterize(gaussians, poses, intrinsics, image_hw, features)
    assert torch.allclose(all_sums(rasterize(strided, *view, features.mT.clone().mT)), all_sums(expected), atol=1e-12)


def test_what_is_seen_is_what_can_have_a_gradient():
    gaussians, features = with_gradient(*cloud(200, spread=2.5))
    rendering = rasterize(gaussians, *cameras(), features)
    rendering.opacity.sum().backward()
    touched = gaussians.opacities.grad != 0
    assert 0 < touched.sum() < len(gaussians)
    assert not (touched & ~rendering.visible[0]).any() and 0 < rendering.visible.sum() < len(gaussians)


def test_of_two_at_the_same_place_the_first_is_in_front():
    mean = torch.tensor([[0.0, 0, 2], [0, 0, 2]])
    gaussians = Gaussians(mean, torch.full((2, 3), 1.0), torch.ones(2, 4), torch.ones(2), torch.eye(3)[:2])
    colors = rasterize(gaussians, *cameras(torch.float32)).colors[0]
    assert (colors[0] > colors[1]).all() and colors[0].max() > 0.85 and not colors[2].any()


def at_origin(means, scale, opacity=0.9, **changes):
    """Gaussians with these centres, red, and a camera at the origin that looks along z."""
    means = torch.as_tensor(means, dtype=torch.float64).reshape(-1, 3)
    count = len(means)
    red = torch.tensor([1.0, 0, 0], dtype=torch.float64).expand(count, 3)
    quats = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64).expand(count, 4)
    scales = torch.as_tensor(scale, dtype=torch.float64).expand(count, 3)
    gaussians = replace(
        Gaussians(means, scales, quats, torch.full((count,), opacity, dtype=torch.float64), red),
        **changes,
    )
    intrinsics = torch.tensor([[16.0, 0, 8], [0, 16.0, 6], [0, 0, 1]], dtype=torch.float64)
    return gaussians, (torch.eye(4, dtype=torch.float64)[None], intrinsics[None], HW)


def test_a_camera_inside_an_object_sees_the_far_side_alone():
    """A sphere of Gaussians around the camera: every pixel shows it, at its radius, and nothing from behind the camera."""
    step = torch.arange(4000, dtype=torch.float64)
    z, around = 1 - (2 * step + 1) / 4000, step * 2.399963229728653
    flat = (1 - z.square()).sqrt()
    sphere = torch.stack([flat * around.cos(), flat * around.sin(), z], dim=-1)
    gaussians, view = at_origin(sphere, 0.03)
    gaussians = replace(gaussians, colors=torch.where(sphere[:, 2:] > 0, gaussians.colors, gaussians.colors.roll(1, dims=-1)))
    rendering = rasterize(gaussians, *view)
    assert (rendering.opacity > 0.95).all() and (rendering.colors[:, 0] > 0.95).all() and not rendering.colors[:, 1].any()
    ray = torch.stack(torch.meshgrid(torch.arange(HW[0]) - 6, torch.arange(HW[1]) - 8, indexing="ij"), dim=-1) / 16.0
    expected = 1 / (1 + ray.square().sum(-1)).sqrt()
    assert (rendering.depth[0] / expected - 1).abs().max() < 0.08
    assert not rendering.visible[0, sphere[:, 2] < 0].any()


@pytest.mark.parametrize("near", [0.01, 1e-10])
def test_a_camera_inside_a_gaussian(near):
    """Its centre in front: it fills the image. Its centre behind: it is left out, however far it reaches."""
    for distance, opacity in ((0.02, 0.9), (-0.02, 0.0)):
        gaussians, view = at_origin([0.0, 0.0, distance], 0.5)
        gaussians, _ = with_gradient(gaussians, torch.zeros(1, 0))
        rendering = rasterize(gaussians, *view, settings=RasterSettings(near=near))
        assert torch.allclose(rendering.opacity, torch.full_like(rendering.opacity, opacity), atol=0.05)
        rendering.opacity.sum().backward()
        assert all(torch.isfinite(getattr(gaussians, name).grad).all() for name in FIELDS)


def test_a_gaussian_at_the_camera_itself_is_not_seen():
    for near in (0.01, 1e-10):
        gaussians, view = at_origin([0.0, 0.0, 0.0], 0.1)
        rendering = rasterize(gaussians, *view, settings=RasterSettings(near=near))
        assert torch.isfinite(rendering.colors).all() and not rendering.visible.any()


def test_a_gaussian_larger_than_the_scene_tints_everything_behind_it_alone():
    """A small opaque one in front of an enormous half transparent one, and another behind."""
    gaussians, view = at_origin([[0.0, 0, 1.0], [0.0, 0, 2.0], [0.0, 0, 3.0]], 0.05)
    scales, opacities = gaussians.scales.clone(), gaussians.opacities.clone()
    scales[1], opacities[1] = 1e6, 0.5
    colors = torch.eye(3, dtype=torch.float64)
    gaussians = replace(gaussians, scales=scales, opacities=opacities, colors=colors)
    colors = rasterize(gaussians, *view).colors[0]
    assert torch.allclose(colors[:, 0, 0], torch.tensor([0.0, 0.5, 0.0], dtype=torch.float64), atol=1e-3)
    red, green, blue = colors[:, 6, 8]
    assert abs(red - 0.9) < 1e-3 and abs(green - 0.1 * 0.5) < 2e-3 and abs(blue - 0.1 * 0.5 * 0.9) < 2e-3


@pytest.mark.parametrize("opacity", [0.0, 0.9])
def test_one_gaussian(opacity):
    gaussians, view = at_origin([0.0, 0.0, 1.0], 0.1, opacity)
    rendering = rasterize(gaussians, *view)
    assert rendering.opacity[0, 6, 8] == pytest.approx(opacity) and rendering.opacity[0, 0, 0] < 0.03
    assert bool(rendering.visible.all()) == (opacity > 0)
    assert rendering.depth[0, 6, 8] == pytest.approx(1.0 if opacity else 0.0)
