"""FAST3DIS: what its anchors see, and that its two passes are what two separate passes would be."""

from dataclasses import replace

import pytest
import torch

from pan3d_core.geometry.transforms import invert_rigid, look_at
from pan3d_core.models.da3 import backbone
from pan3d_core.models.da3.backbone import BackboneSettings
from pan3d_core.models.da3.head import HeadSettings
from pan3d_core.models.da3.network import Da3Output, Da3Settings
from pan3d_core.models.fast3dis.anchor_decoder import AnchorDecoder, AnchorSettings, SceneViews, place_in_views, sample_views
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disSettings, in_unit_of, scene_geometry
from pan3d_core.models.layers import transformer
from pan3d_core.models.layers.transformer import CPU_SLICE_BYTES, LoraLinear, lora_rows

ANCHORS = AnchorSettings(queries=12, dim=32, heads=4, feed_forward=48, layers=4, bands=8)
BASE = Da3Settings(BackboneSettings(48, 8, 3, (2, 4, 6, 7), 3), HeadSettings(16, (8, 12, 16, 24)), "none")


def random_lora(model):
    with torch.no_grad():
        for layer in model.lora_layers():
            layer.lora.lora_B.weight.normal_(std=0.2)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = Fast3dis(Fast3disSettings(BASE, ANCHORS)).eval()
    random_lora(model)
    return model


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 3, 42, 56, generator=torch.Generator().manual_seed(1))


def views_around(count: int, dim: int = 32) -> SceneViews:
    """Cameras on an arc, in the frame of the first one, and random features."""
    generator = torch.Generator().manual_seed(3)
    cameras = torch.stack([look_at(torch.tensor([0.5 * k - 0.4, -1.0, 0.6]), torch.zeros(3)) for k in range(count)])
    maps = tuple(torch.rand(1, count, dim, 4 * s, 6 * s, generator=generator) for s in (1, 2, 4))
    focal_center = torch.tensor([0.9, 1.2, 0.5, 0.5]).expand(1, count, 4)
    return SceneViews(maps, torch.rand(1, dim, generator=generator), (cameras @ invert_rigid(cameras[:1]))[None], focal_center)


def test_anchors_are_seen_where_they_project_to():
    views = views_around(2)
    anchors = torch.tensor([[[0.0, 0.0, 1.0], [0.25, -0.2, 2.0], [0.0, 0.0, -1.0], [3.0, 0.0, 1.0], [0.0, 0.0, 0.0]]])
    places, seen = place_in_views(anchors, views)
    assert seen[0, 0].tolist() == [True, True, False, False, False]
    torch.testing.assert_close(places[0, 0, 0], torch.zeros(2))  # straight ahead is the image's centre
    torch.testing.assert_close(places[0, 0, 1], torch.tensor([2 * 0.9 * 0.125, -2 * 1.2 * 0.1]))


def test_samples_are_the_features_under_the_anchors():
    features = torch.arange(24.0).reshape(1, 1, 1, 4, 6)
    centers = torch.tensor([[[[2 * (2 + 0.5) / 6 - 1, 2 * (1 + 0.5) / 4 - 1], [1.0, 1.0]]]])
    assert sample_views(features, centers)[0, :, 0, 0].tolist() == [8.0, 23.0]


@torch.no_grad()
def test_the_decoder_does_not_care_for_the_order_of_views():
    torch.manual_seed(0)
    decoder, views = AnchorDecoder(ANCHORS).eval(), views_around(3)
    order = torch.tensor([2, 0, 1])
    swapped = SceneViews(
        tuple(m[:, order] for m in views.maps), views.context, views.cam_from_scene[:, order], views.focal_center[:, order]
    )
    for first, second in zip(decoder(views), decoder(swapped), strict=True):
        torch.testing.assert_close(first.mask_embedding, second.mask_embedding, atol=1e-5, rtol=0)
        torch.testing.assert_close(first.anchors, second.anchors, atol=1e-5, rtol=0)


@torch.no_grad()
def test_what_no_view_sees_changes_nothing():
    torch.manual_seed(0)
    decoder, views = AnchorDecoder(ANCHORS).eval(), views_around(2)
    decoder.anchors.copy_(torch.tensor([0.0, 0.0, -5.0]))  # behind all cameras
    decoder.shift[-1].weight.zero_()
    other = replace(views, maps=tuple(torch.rand_like(m) for m in views.maps))
    first, second = decoder(views)[-1], decoder(other)[-1]
    assert bool(first.mask_embedding.isfinite().all())
    assert torch.equal(first.mask_embedding, second.mask_embedding) and torch.equal(first.class_logits, second.class_logits)


@torch.no_grad()
def test_anchors_start_at_seeds_where_they_are_given():
    torch.manual_seed(0)
    decoder, views = AnchorDecoder(replace(ANCHORS, start="seeds")).eval(), views_around(2)
    seeds = torch.rand(1, 12, 3), torch.rand(1, 12, 32)
    assert torch.equal(decoder(views, seeds)[0].anchors, seeds[0])  # shifts are zero before they are learned
    assert not any("first_shift" in name or name == "anchors" for name, _ in decoder.named_parameters())
    with pytest.raises(ValueError, match="seeds: expected some with start='seeds'"):
        decoder(views)
    with pytest.raises(ValueError, match="seeds: expected none with start='learned'"):
        AnchorDecoder(ANCHORS)(views, seeds)


@torch.no_grad()
def test_plain_queries_see_all_pixels_and_anchors_their_own():
    torch.manual_seed(0)
    views = views_around(2)
    changed = replace(views, maps=tuple(m.clone() for m in views.maps))
    changed.maps[0][..., 0, 0] += 1.0  # a corner that no anchor straight ahead projects to
    for attention, moved in (("anchors", False), ("everywhere", True)):
        decoder = AnchorDecoder(replace(ANCHORS, layers=1, attention=attention)).eval()
        decoder.anchors.copy_(torch.tensor([0.0, 0.0, 1.0]))
        assert torch.equal(decoder(views)[0].content, decoder(changed)[0].content) != moved
    with pytest.raises(ValueError, match="attention: expected anchors or everywhere, got 'both'"):
        replace(ANCHORS, attention="both")


@torch.no_grad()
def test_a_layer_corrects_the_rows_it_is_told_to():
    torch.manual_seed(0)
    layer = LoraLinear(6, 4, rank=2, alpha=4)
    layer.lora.lora_B.weight.normal_()
    x = torch.rand(4, 3, 6)
    everywhere, nowhere = layer(x), layer.linear(x)
    with lora_rows(layer, "second half"):
        torch.testing.assert_close(layer(x), torch.cat([nowhere[:2], everywhere[2:]]))
    with lora_rows(layer, "none"):
        assert torch.equal(layer(x), nowhere)
    assert torch.equal(layer(x), everywhere)


@pytest.mark.parametrize("batched", [None, True, False])
@pytest.mark.parametrize("slice_bytes", [CPU_SLICE_BYTES, 4000])
@torch.inference_mode()
def test_the_shared_pass_is_two_separate_passes(model, images, batched, slice_bytes, monkeypatch):
    for module in (backbone, transformer):  # with slices of a few rows and views
        monkeypatch.setattr(module, "CPU_SLICE_BYTES", slice_bytes)
    plain, adapted = model.dual_pass(images, None, batched=batched)
    monkeypatch.undo()
    for rows, tokens in (("none", plain), ("all", adapted)):
        with lora_rows(model, rows):
            alone = model.da3.tokens(images)
        for shared, separate in zip(tokens.taps, alone.taps, strict=True):
            torch.testing.assert_close(shared, separate, atol=1e-5, rtol=0)
        torch.testing.assert_close(tokens.camera, alone.camera, atol=1e-5, rtol=0)
    assert float((plain.taps[3] - adapted.taps[3]).abs().max()) > 1e-2


@torch.inference_mode()
def test_what_both_passes_share_of_a_view_does_not_depend_on_the_other_views(model, images):
    """So it may be kept for a keyframe or a camera that stands still, exactly."""
    backbone = model.da3.backbone.pretrained
    together, order = backbone.single_view_tokens(images, None, "saddle_balanced")
    alone = [backbone.single_view_tokens(images[:, s : s + 1], None, "saddle_balanced")[0] for s in range(3)]
    for number, tokens in enumerate(together):
        kept = torch.cat([one[number] for one in alone], dim=1)
        placed = torch.stack([kept[b, order[b]] for b in range(len(kept))])
        patches = slice(1, None)  # slot 0 of the last ones is the camera's, which is not of the view
        torch.testing.assert_close(tokens[:, :, patches], placed[:, :, patches], atol=1e-6, rtol=0)


@torch.inference_mode()
def test_geometry_is_that_of_the_frozen_base(model, images):
    with lora_rows(model, "none"):
        alone = model.da3(images)
    output = model(images)
    torch.testing.assert_close(output.geometry.depth, alone.depth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.geometry.cam_from_world, alone.cam_from_world, atol=1e-5, rtol=0)


def test_training_sees_the_same_and_moves_only_what_is_new(model, images):
    with torch.inference_mode():
        expected = model(images)
    output = model(images)
    torch.testing.assert_close(output.mask_logits(), expected.mask_logits(), atol=1e-5, rtol=0)
    (output.mask_logits().square().mean() + output.class_logits.square().mean()).backward()
    for name, parameter in model.named_parameters():
        new = not name.startswith("da3.") or ".lora." in name
        assert parameter.requires_grad == new, name
        assert (parameter.grad is not None) == new, name
    model.zero_grad()


@pytest.mark.parametrize("views", [1, 2])
@torch.inference_mode()
def test_one_view_and_equal_views_are_no_special_case(model, views):
    images = torch.rand(1, 1, 3, 42, 56, generator=torch.Generator().manual_seed(2)).expand(1, views, 3, 42, 56)
    output = model(images.contiguous())
    assert output.mask_logits().shape == (1, 12, views, 12, 16) and bool(output.mask_logits().isfinite().all())
    assert output.mask_logits(slice(3, 5)).shape == (1, 2, views, 12, 16)
    assert len(output.layers) == 4


def seen_geometry(cameras: torch.Tensor, intrinsics: torch.Tensor) -> Da3Output:
    """Predictions of a wall at depth 2, in half the cameras' unit; intrinsics count from the corner as decoded ones do."""
    moved, shifted = cameras.clone(), intrinsics.clone()
    moved[..., :3, 3] *= 2
    shifted[..., :2, 2] += 0.5
    depth = torch.full((*cameras.shape[:2], 28, 42), 2.0)
    return Da3Output(depth, torch.ones_like(depth), moved, shifted)


def known_rig(views: int) -> tuple[torch.Tensor, torch.Tensor]:
    eyes = torch.tensor([[0.2 * k - 0.2, -1.0, 0.5 + 0.1 * (k % 2)] for k in range(views)])
    cameras = torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])[None]
    intrinsics = torch.tensor([[40.0, 0, 18.5], [0, 41.0, 14.5], [0, 0, 1]]).expand(1, views, 3, 3)
    return cameras @ invert_rigid(cameras[:, :1]), intrinsics


@pytest.mark.parametrize("views", [1, 2, 4])
def test_given_cameras_take_the_place_of_predicted_ones(views):
    cameras, intrinsics = known_rig(views)
    exact = scene_geometry(seen_geometry(cameras, intrinsics), None)
    bent = cameras.clone()
    if views > 2:  # one badly predicted camera
        bent[:, 2, :3, 3] += 0.3
    wrong_lens = intrinsics * torch.tensor([1.3, 1.3, 1.0])[:, None]
    given = scene_geometry(seen_geometry(bent, wrong_lens), (cameras, intrinsics))
    for name in ("unit", "points", "cam_from_first", "focal_center"):
        torch.testing.assert_close(getattr(given, name), getattr(exact, name), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(exact.focal_center[0, 0], torch.tensor([40 / 42, 41 / 28, 19 / 42, 15 / 28]))


def test_points_lie_where_their_pixels_project_to():
    cameras, intrinsics = known_rig(3)
    scene = scene_geometry(seen_geometry(cameras, intrinsics), (cameras, intrinsics))
    anchors = scene.points[:, 1, :, 9, 30][:, None]  # the point of row 9, column 30 of the second view
    features = tuple(torch.zeros(1, 3, 32, 2, 3) for _ in range(3))
    places, seen = place_in_views(anchors, SceneViews(features, torch.zeros(1, 32), scene.cam_from_first, scene.focal_center))
    assert bool(seen[0, 1, 0])
    torch.testing.assert_close(places[0, 1, 0], torch.tensor([2 * 30.5 / 42 - 1, 2 * 9.5 / 28 - 1]), atol=1e-5, rtol=0)


def test_cameras_in_one_place_have_no_unit():
    cameras, _ = known_rig(3)
    still = cameras.clone()
    still[..., :3, 3] = 0
    assert torch.equal(in_unit_of(still, cameras), still)
    assert bool((in_unit_of(cameras, still)[..., :3, 3] == 0).all())


@torch.inference_mode()
def test_given_cameras_reach_the_anchors(model, images):
    """Anchors of the first layer start in equal places; what they see depends on the cameras alone."""
    cameras, _ = known_rig(3)
    intrinsics = torch.tensor([[50.0, 0, 27.5], [0, 50.0, 20.5], [0, 0, 1]]).expand(2, 3, 3, 3)
    told = cameras.expand(2, 3, 4, 4), intrinsics
    output, other = (
        model(images, cameras=told),
        model(images, cameras=(told[0], intrinsics * torch.tensor([[2.0], [2.0], [1.0]]))),
    )
    assert bool(output.mask_logits().isfinite().all())
    assert not torch.equal(output.class_logits, other.class_logits)
    with pytest.raises(ValueError, match=r"intrinsics: expected shape \(2, 3, 3, 3\)"):
        model(images, cameras=(told[0], intrinsics[:, :2]))
