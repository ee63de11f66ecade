"""Memory of the Gaussian stage by living tensors: from the heads' pixels to Gaussians, and to rendered views."""

import pytest
import torch

from pan3d_core.models.eps3d.gaussians import gaussians_from_raw
from pan3d_core.models.eps3d.network import FEATURES, PARTS, raw_channels, render_panoptic
from pan3d_core.rendering import tiles as rasterize_tiles
from pan3d_core.rendering.rasterizer import rasterize
from pan3d_tools.bench.official.live_memory import LiveMemory
from pan3d_tools.bench.parts.rasterize import made_up_scene

BYTES_PER_GAUSSIAN = 1500
SIDE = 100  # of the images; every pixel becomes one Gaussian


def raw_scene(count, image_hw):
    """Inputs of `gaussians_from_raw` for about `count` Gaussians of a few pixels in front of one camera, and its view."""
    made, pose, intrinsics, _, features = made_up_scene(count, 3 + 2 * FEATURES, image_hw, 1.5)
    raw = torch.zeros(count, raw_channels() - 1)
    raw[:, 0] = torch.logit(made.opacities)
    raw[:, 1:4], raw[:, 4:8] = 1000 * made.scales, made.quats_wxyz  # softplus leaves what is large
    raw[:, 8:] = 0.1 * torch.sin(torch.arange(raw[:, 8:].numel())).view_as(raw[:, 8:])
    semantics, instances = (part.contiguous() for part in features.split(FEATURES, 1))
    return (made.means.clone(), raw, semantics, instances), (pose, intrinsics, image_hw)


@pytest.fixture
def small_lists(monkeypatch):
    """Lists of Gaussians by tiles are bounded, but by more than these scenes need; with a small bound they do not count."""
    monkeypatch.setattr(rasterize_tiles, "MAX_PAIRS", 2**14)


def peak_of_rendering(count, image_hw):
    """Most living bytes from raw values, which end with the Gaussians, to rendered views; and the sum of what was rendered."""
    made, view = raw_scene(count, image_hw)
    with torch.no_grad(), LiveMemory(compute=True) as memory:
        inputs = [values.clone() for values in made]  # made here, they count
        gaussians = gaussians_from_raw(*inputs)
        del inputs
        shown = render_panoptic(gaussians, *view)
    return memory.peak_bytes, float(shown.opacity.mean())


@pytest.mark.parametrize("image_hw", [(48, 64), pytest.param((96, 128), marks=pytest.mark.slow)])
def test_rendering_colour_and_64_channels_costs_little_per_gaussian(small_lists, image_hw):
    (few, seen), (many, _) = (peak_of_rendering(count, image_hw) for count in (15_000, 30_000))
    assert seen > 0.9  # rendered in earnest
    # More than the Gaussians themselves: what is counted is the real thing.
    assert 4 * (14 + 75 + 2 * FEATURES) < (many - few) / 15_000 <= BYTES_PER_GAUSSIAN


def test_views_are_added_one_after_the_other(procedural, monkeypatch, small_lists):
    """From the heads' maps of every pixel to Gaussians and a rendered view: twice the views, each with Gaussians of its own."""
    model = procedural.tiny_eps3d()
    monkeypatch.setattr(model, "voxel_size", 1e-6)

    def peak(views):
        points = torch.rand(views, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0)) - 0.5
        points[..., 2] += 1.5

        def portions(*_):
            for _ in range(views):
                raw = torch.zeros(SIDE * SIDE, model.gaussian_head.scratch.output_conv2[-1].out_channels)
                raw[:, 0], raw[:, 1:4] = 2.0, 10.0
                yield raw, torch.rand(SIDE * SIDE, FEATURES), torch.rand(SIDE * SIDE, FEATURES)

        monkeypatch.setattr(model, "portions", portions)
        intrinsics = torch.tensor([[60.0, 0.0, 31.5], [0.0, 60.0, 23.5], [0.0, 0.0, 1.0]])[None]
        with torch.no_grad(), LiveMemory(compute=True) as memory:
            gaussians = model.scene_gaussians({}, torch.zeros(views, 3, SIDE, SIDE), points, PARTS)
            of_gaussians = memory.peak_bytes
            render_panoptic(gaussians, torch.eye(4)[None], intrinsics, (48, 64))
        assert len(gaussians) > 0.99 * views * SIDE * SIDE
        return of_gaussians, memory.peak_bytes, len(gaussians)

    two, four = peak(2), peak(4)
    added = four[2] - two[2]
    for before, after in zip(two[:2], four[:2]):
        assert (after - before) / added <= BYTES_PER_GAUSSIAN


def test_more_pixels_in_the_same_voxels_cost_little(procedural, monkeypatch):
    """Eight views of one surface make as many Gaussians as one; what grows is the list of the pixels' voxels alone."""
    model = procedural.tiny_eps3d()
    monkeypatch.setattr(model, "voxel_size", 0.01)
    channels = model.gaussian_head.scratch.output_conv2[-1].out_channels

    def peak(views):
        def portions(*_):
            for _ in range(views):
                yield torch.zeros(SIDE * SIDE, channels), torch.ones(SIDE * SIDE, FEATURES), torch.ones(SIDE * SIDE, FEATURES)

        monkeypatch.setattr(model, "portions", portions)
        place = torch.linspace(0, 1, SIDE)
        surface = torch.stack([*torch.meshgrid(place, place, indexing="ij"), torch.ones(SIDE, SIDE)], dim=-1)
        points = surface.expand(views, -1, -1, -1).contiguous()
        with torch.no_grad(), LiveMemory(compute=True) as memory:
            found = model.scene_gaussians({}, torch.zeros(views, 3, SIDE, SIDE), points, PARTS)
        return memory.peak_bytes, len(found)

    (one, same), (eight, again) = peak(1), peak(8)
    assert same == again and (eight - one) / (7 * SIDE * SIDE) < 100


def test_counting_while_computing_changes_no_result():
    (means, raw, semantics, instances), view = raw_scene(500, (12, 16))
    expected = render_panoptic(gaussians_from_raw(means, raw, semantics, instances), *view)
    with torch.no_grad(), LiveMemory(compute=True) as memory:
        found = render_panoptic(gaussians_from_raw(means, raw, semantics, instances), *view)
    assert torch.equal(found.semantics, expected.semantics) and torch.equal(found.colors, expected.colors)
    assert memory.peak_bytes > found.semantics.nbytes


def test_features_may_be_given_in_several_tensors():
    """Without a copy of all of them side by side; the channels follow one another."""
    made, pose, intrinsics, image_hw, features = made_up_scene(200, 10, (12, 16), 1.5)
    whole = rasterize(made, pose, intrinsics, image_hw, features)
    parts = rasterize(made, pose, intrinsics, image_hw, features.split([2, 4, 1], 1))
    assert torch.equal(whole.features, parts.features)
    with pytest.raises(ValueError, match=r"features: expected shape \(200, any\), got \(199, 1\)"):
        rasterize(made, pose, intrinsics, image_hw, (features, features[1:, :1]))
