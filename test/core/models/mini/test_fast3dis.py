"""FAST3DIS on the small network: both passes in one, geometry untouched, anchors where votes are, cameras that it must find."""

import json
import math
from dataclasses import replace

import pytest
import torch

from pan3d_core.engines.mini import DEFAULT_WEIGHTS, read_checkpoint
from pan3d_core.geometry.cameras import pixel_grid, project
from pan3d_core.geometry.transforms import look_at, transform_points
from pan3d_core.models.fast3dis.anchor_decoder import AnchorSettings
from pan3d_core.models.layers.transformer import LoraLinear, add_lora, lora_rows, merge_lora
from pan3d_core.models.mini.calibration import MiniInputs
from pan3d_core.models.mini.fast3dis import UNIT_M, Fast3disMini, Fast3disMiniSettings
from pan3d_core.models.mini.geometry import scene_geometry
from pan3d_core.models.mini.network import PanMini
from pan3d_core.models.mini.plane import grid_intrinsics
from pan3d_core.runtime.weights import read_metadata

BASE = {
    "dim": 48, "heads": 3, "blocks": 4, "stem": (8, 16, 24), "pyramid": (8, 16, 24), "queries": 6, "decoder_layers": 2,
    "text_dim": 16,
}  # fmt: skip
DECODER = {"queries": 6, "dim": 32, "heads": 2, "feed_forward": 48, "layers": 4, "bands": 8}


def build(**changes) -> Fast3disMini:
    torch.manual_seed(0)
    model = Fast3disMini(Fast3disMiniSettings.from_dict({"base": BASE, "decoder": DECODER, "lora_rank": 4, **changes}))
    for layer in model.lora_layers():
        torch.nn.init.normal_(layer.lora.lora_B.weight, std=0.2)
    torch.nn.init.normal_(model.base.dense4.weight, std=0.2)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> Fast3disMini:
    return build()


def inputs(views: int, *, posed: tuple[float, ...] = (1.0,)) -> MiniInputs:
    generator = torch.Generator().manual_seed(views)
    eyes = [torch.tensor([0.6 * math.cos(k), 0.6 * math.sin(k), 0.45 + 0.05 * k]) for k in range(views)]
    batch = len(posed)
    cameras = torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])
    intrinsics = torch.tensor([[130.0, 0.0, 71.5], [0.0, 130.0, 55.5], [0.0, 0.0, 1.0]])
    return MiniInputs(
        images=torch.rand(batch, views, 3, 112, 144, generator=generator),
        intrinsics=intrinsics.expand(batch, views, 3, 3).contiguous(),
        cam_from_world=cameras.expand(batch, views, 4, 4).contiguous(),
        support_height=torch.zeros(batch),
        posed=torch.tensor(posed),
    )


@torch.inference_mode()
def test_the_shared_pass_is_two_separate_passes(model):
    given = inputs(3)
    single = model.base.single_views(given.images, model.calibrate(given))
    passes = model.dual_pass(single)
    for rows, tokens in zip(("none", "all"), passes, strict=True):
        with lora_rows(model.base, rows):
            torch.testing.assert_close(
                tokens, model.base.cross_views(single.tokens, single.calibration.rotation), atol=1e-5, rtol=0
            )
    assert float((passes[0] - passes[1]).abs().max()) > 1e-2


@pytest.mark.parametrize("posed", [1.0, 0.0])
@torch.inference_mode()
def test_geometry_is_that_of_the_frozen_base(model, posed):
    given = inputs(2, posed=(posed,))
    with lora_rows(model.base, "none"):
        alone = model.base(given)
    output = model(given)
    torch.testing.assert_close(output.depth(), alone.depth(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.foreground_logits, alone.foreground_logits, atol=1e-4, rtol=0)


def test_training_moves_only_what_is_new_and_sees_the_same(model):
    given = inputs(2)
    with torch.inference_mode():
        expected = model(given)
    model.train()
    assert not model.base.training  # statistics of the base are frozen like its weights
    model.eval()
    output = model(given)
    torch.testing.assert_close(output.queries.mask_logits, expected.queries.mask_logits, atol=1e-3, rtol=0)
    queries = output.queries
    total = queries.mask_logits.square().mean() + queries.text_embedding.sum() + queries.quality_logits.sum()
    (total + sum(layer.objectness_logits.sum() for layer in queries.layers)).backward()
    for name, parameter in model.named_parameters():
        new = not name.startswith("base.") or ".lora." in name
        assert parameter.requires_grad == new, name
        assert (parameter.grad is not None) == new, name
    model.zero_grad()


@torch.inference_mode()
def test_anchors_start_at_votes_for_centres(model):
    given = inputs(3)
    single = model.base.single_views(given.images, model.calibrate(given))
    plain, adapted = model.dual_pass(single)
    dense, scene = model.base.dense(single, plain)
    votes = torch.full_like(scene.centers4, 0.02)
    votes[:, 1] = torch.tensor([0.1, -0.2, 0.05])
    scene = replace(scene, centers4=votes, foreground4=torch.zeros_like(scene.foreground4))
    scene.foreground4[:, 1, 8:12] = 1.0
    geometry = scene_geometry(model.base, given, single, (dense, scene))
    places, features = model._seeds(model.pixels(adapted, single.stem, geometry.points4), geometry)
    torch.testing.assert_close(places[0, 0] * UNIT_M, torch.tensor([0.1, -0.2, 0.05]))
    assert features.shape == (1, 6, 32)


@pytest.mark.parametrize("views", [1, 2, 4])
@torch.inference_mode()
def test_one_view_and_mixed_knowledge_are_no_special_case(model, views):
    given = inputs(views, posed=(1.0, 0.0))
    output = model(given)
    assert output.queries.mask_logits.shape == (2, 6, views, 56, 72)
    assert len(output.queries.layers) == 4 and output.mask_features.shape == (2, views, 32, 28, 36)
    for value in (output.queries.mask_logits, output.queries.text_embedding, output.anchors, output.depth()):
        assert bool(value.isfinite().all())
    alone = model(replace(given, **{name: getattr(given, name)[:1] for name in vars(given)}))
    torch.testing.assert_close(alone.queries.mask_logits[0], output.queries.mask_logits[0], atol=1e-3, rtol=0)


@torch.inference_mode()
def test_equal_views_give_equal_masks(model):
    given = inputs(2)
    same = replace(
        given, images=given.images[:, :1].expand_as(given.images), cam_from_world=given.cam_from_world[:, :1].repeat(1, 2, 1, 1)
    )
    masks = model(same).queries.mask_logits
    torch.testing.assert_close(masks[:, :, 0], masks[:, :, 1], atol=1e-3, rtol=0)


@torch.inference_mode()
def test_points_and_cameras_of_a_scene_share_a_frame_with_poses_and_without(model):
    given = inputs(2, posed=(1.0, 0.0))
    single = model.base.single_views(given.images, model.calibrate(given))
    dense, scene = model.base.dense(single, model.dual_pass(single)[0])
    geometry = scene_geometry(model.base, given, single, (dense, scene))
    points = transform_points(geometry.cam_from_scene.flatten(0, 1), geometry.points4.flatten(0, 1).flatten(1, 2))
    pixels, _ = project(points, grid_intrinsics(given.intrinsics, 4).flatten(0, 1))
    expected = pixel_grid(28, 36).reshape(-1, 2)
    torch.testing.assert_close(pixels, expected.expand_as(pixels), atol=0.02, rtol=0)
    middle = geometry.points4[1].flatten(0, 2).median(0).values
    torch.testing.assert_close(middle, torch.zeros(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "changes", [{"start": "learned"}, {"attention": "everywhere"}, {"start": "learned", "attention": "everywhere"}]
)
@torch.inference_mode()
def test_what_it_is_compared_with_runs_as_well(changes):
    model = build(decoder={**DECODER, **changes}, falloff=False)
    assert bool(model(inputs(2)).queries.mask_logits.isfinite().all())
    assert hasattr(model, "seed") == ("start" not in changes)


def test_settings_survive_plain_values_and_unknown_names_are_refused():
    settings = Fast3disMiniSettings.from_dict({"base": {"stem": [8, 16, 24]}, "decoder": {"queries": 5}, "falloff": False})
    assert settings.decoder.queries == 5 and settings.decoder.start == "seeds" and settings.base["stem"] == (8, 16, 24)
    assert Fast3disMiniSettings.from_dict(settings.to_dict()) == settings
    assert isinstance(Fast3disMiniSettings().decoder, AnchorSettings)
    with pytest.raises(ValueError, match="model.decoder.heights: expected one of queries, .*, got an unknown name"):
        Fast3disMiniSettings.from_dict({"decoder": {"heights": 3}})
    with pytest.raises(ValueError, match="model.rank: expected one of base, .*, got an unknown name"):
        Fast3disMiniSettings.from_dict({"rank": 3})


@torch.inference_mode()
def test_the_shipped_network_can_be_its_base():
    shipped = read_checkpoint(DEFAULT_WEIGHTS).model
    assert isinstance(shipped, PanMini)
    architecture = json.loads(read_metadata(DEFAULT_WEIGHTS)["content"])["architecture"]
    network = Fast3disMini(Fast3disMiniSettings.from_dict({"base": architecture}))
    names = {name.replace(".linear.", ".") for name in network.base.state_dict() if ".lora." not in name}
    assert names == set(shipped.state_dict())


@torch.no_grad()
def test_low_rank_corrections_are_added_to_what_is_there():
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4))
    x = torch.rand(5, 6)
    expected = layers(x)
    add_lora(layers, rank=2, alpha=4.0)
    assert torch.equal(layers(x), expected) and isinstance(layers[2], LoraLinear)
    torch.nn.init.normal_(layers[2].lora.lora_B.weight)
    changed = layers(x)
    assert not torch.allclose(changed, expected)
    merge_lora(layers)
    torch.testing.assert_close(layers(x), changed)
