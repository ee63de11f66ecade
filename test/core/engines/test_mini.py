"""The pan3d-mini engine with a small untrained network, and the checkpoint that comes with the package."""

import json
import logging
from dataclasses import replace

import pytest
import torch
from raycast_scene import TABLE_SCENE, cast
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pan3d_core.config import ModelConfig
from pan3d_core.engines.mini import (
    FORMATS,
    SHIPPED,
    build,
    engine_of,
    read_checkpoint,
)
from pan3d_core.engines.parts.mini_inputs import mini_inputs, support_height_from_depth
from pan3d_core.geometry.transforms import invert_rigid, look_at
from pan3d_core.models.mini.cameras import cameras_from_head
from pan3d_core.models.mini.network import MiniArchitecture, PanMini
from pan3d_core.runtime.checksums import write_weights
from pan3d_core.views.preprocessing import preprocess

TINY = {
    "dim": 48, "heads": 3, "blocks": 2, "stem": (8, 16, 24), "pyramid": (8, 16, 24), "queries": 6, "decoder_layers": 1,
    "text_dim": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    tensors = {name: value.clone() for name, value in PanMini(MiniArchitecture(**TINY)).state_dict().items()}
    tensors["decoder.mask_bias"] = torch.tensor(1.0)  # untrained masks are empty otherwise
    tensors["names.embeddings"] = torch.nn.functional.normalize(torch.randn(3, 16), dim=-1).half()
    content = {"architecture": TINY, "names": ["mug", "cup", "ball"], "class_names": ["mug", "mug", "ball"], "facts": {}}
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(tensors, path, metadata={"format": FORMATS["pan3d-mini"], "content": json.dumps(content)})
    return path


@pytest.fixture(scope="module")
def engine(weights):
    return build(ModelConfig(weights=str(weights), device="cpu", min_score=0.0))


@pytest.fixture(scope="module")
def scene():
    return cast(TABLE_SCENE)


def batch_of(scene, engine, *, depth=False, poses=True, intrinsics=True, support=0.0):
    views = [
        replace(
            view,
            depth=view.depth if depth else None,
            cam_from_world=view.cam_from_world if poses else None,
            intrinsics=view.intrinsics if intrinsics else None,
        )
        for view in scene.views
    ]
    return preprocess(views, engine.facts.preprocess, support)


def test_known_cameras_give_metres_in_the_world(engine, scene):
    views = batch_of(scene, engine)
    reconstruction, instances = engine(views)
    assert reconstruction.is_metric and torch.equal(reconstruction.cam_from_world, views.cam_from_world)
    assert reconstruction.depth.shape == reconstruction.depth_conf.shape == (4, 112, 144)
    assert bool((reconstruction.depth_conf > 0).all())
    count = len(instances.scores)
    assert 0 < count <= 6 and instances.mask_logits.shape == (count, 4, 56, 72)
    assert instances.class_logits.shape == (count, 3) and instances.labels.names == ("mug", "ball")
    assert instances.text_embeddings.shape == (count, 16)
    assert bool((instances.scores[:-1] >= instances.scores[1:]).all())


@pytest.mark.parametrize("missing", [{"poses": False}, {"intrinsics": False}, {"poses": False, "intrinsics": False}])
def test_without_calibration_nothing_is_metric(engine, scene, missing):
    reconstruction, _ = engine(batch_of(scene, engine, **missing))
    assert not reconstruction.is_metric
    torch.testing.assert_close(reconstruction.cam_from_world[0], torch.eye(4), atol=1e-5, rtol=0)
    rotation = reconstruction.cam_from_world[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(4, 3, 3), atol=1e-5, rtol=0)


def test_unknown_support_height_is_measured_or_makes_it_not_metric(engine, scene, caplog):
    views = batch_of(scene, engine, depth=True, support=None)
    assert support_height_from_depth(views) == pytest.approx(0.0, abs=0.002)
    assert engine(views)[0].is_metric
    with caplog.at_level(logging.WARNING):
        assert not engine(batch_of(scene, engine, support=None))[0].is_metric
    assert "support height is unknown" in caplog.text


def test_min_score_and_count_limit_the_instances(weights, scene):
    few = build(ModelConfig(weights=str(weights), min_score=0.0, max_instances=1, nms_iou=1.0))
    assert len(few(batch_of(scene, few))[1].scores) == 1
    none = build(ModelConfig(weights=str(weights), min_score=1.0))
    reconstruction, instances = none(batch_of(scene, none))
    assert len(instances.scores) == 0 and instances.mask_logits.shape == (0, 4, 56, 72) and instances.class_logits.shape == (0, 3)


def test_folding_batch_norms_changes_nothing(weights, scene, engine):
    plain = read_checkpoint(weights).model
    views = batch_of(scene, engine)
    with torch.no_grad():
        expected = plain(mini_inputs(views, torch.device("cpu"))).depth()[0]
    torch.testing.assert_close(engine(views)[0].depth, expected, atol=1e-4, rtol=1e-4)


def test_camera_head_gives_the_cameras_that_it_was_taught():
    eyes = torch.tensor([[0.6, 0.0, 0.4], [0.0, 0.6, 0.5], [-0.5, 0.2, 0.6]])
    cameras = torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])
    view1_from_cam = cameras[:1] @ invert_rigid(cameras)
    numbers = torch.cat([view1_from_cam[:, :3, :2].transpose(1, 2).flatten(1), view1_from_cam[:, :3, 3]], dim=-1)
    torch.testing.assert_close(cameras_from_head(numbers), cameras @ invert_rigid(cameras[:1]), atol=1e-5, rtol=0)


def test_bad_checkpoints_are_refused_with_the_reason(weights, tmp_path):
    with pytest.raises(FileNotFoundError, match="weights: expected a file"):
        build(ModelConfig(weights=str(tmp_path / "none.safetensors")))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="expected a complete safetensors file"):
        build(ModelConfig(weights=str(cut)))
    foreign = tmp_path / "foreign.safetensors"
    save_file({"aggregator.camera_token": torch.zeros(1, 2, 1, 8)}, foreign)
    with pytest.raises(ValueError, match=r"expected a checkpoint of format 'pan3d-mini/1'.*is it for another model\?"):
        build(ModelConfig(weights=str(foreign)))
    tensors = load_file(weights)
    tensors.pop("norm.weight")
    lacking = tmp_path / "lacking.safetensors"
    content = {"architecture": TINY, "names": ["a"] * 3, "class_names": ["a"] * 3, "facts": {}}
    save_file(tensors, lacking, metadata={"format": FORMATS["pan3d-mini"], "content": json.dumps(content)})
    with pytest.raises(ValueError, match="1 missing: norm.weight"):
        build(ModelConfig(weights=str(lacking)))


@pytest.mark.parametrize("name", ["pan3d-mini", "pan3d-mini-fast3dis"])
def test_weights_of_its_kin_are_refused(name):
    other = next(own for own in SHIPPED if own != name)
    assert engine_of(SHIPPED[name]) == name
    with pytest.raises(ValueError, match=rf"expected a checkpoint of format '{name}/1', got .*of format '{other}/1'"):
        build(ModelConfig(name=name, weights=str(SHIPPED[other])))


def test_a_network_of_another_size_is_refused(tmp_path):
    """The file says other sizes than its tensors have."""
    path = SHIPPED["pan3d-mini-fast3dis"]
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    content = json.loads(metadata["content"])
    content["architecture"]["decoder"]["dim"] = 64
    changed = tmp_path / "changed.safetensors"
    write_weights(changed, load_file(path), {**metadata, "content": json.dumps(content)})
    with pytest.raises(ValueError, match=r"changed.safetensors does not fit Fast3disMini\s+166 of another shape: pixels"):
        build(ModelConfig(name="pan3d-mini-fast3dis", weights=str(changed)))


def test_files_of_other_models_are_for_none_of_these(tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    save_file({"aggregator.camera_token": torch.zeros(1, 2, 1, 8)}, foreign)
    with pytest.raises(ValueError, match="expected a checkpoint of pan3d-mini or .* or pan3d-mini-eps3d, got .*'unknown'"):
        engine_of(foreign)


@pytest.mark.parametrize("poses", [True, False])
@pytest.mark.parametrize("name", ["pan3d-mini", "pan3d-mini-fast3dis"])
def test_the_shipped_checkpoints_find_what_stands_on_a_table(scene, name, poses):
    """Ray-cast balls and boxes look unlike the training images; most of them should be found all the same."""
    engine = build(ModelConfig(name=name, device="cpu"))
    assert SHIPPED[name].stat().st_size <= 20 * 2**20
    reconstruction, instances = engine(batch_of(scene, engine, poses=poses))
    assert reconstruction.is_metric == poses
    masks = torch.nn.functional.interpolate(instances.mask_logits, scene.depth.shape[-2:], mode="bilinear") > 0
    truth = torch.stack([scene.ids == k + 1 for k in range(len(TABLE_SCENE))])
    overlap = (masks[:, None] & truth[None]).flatten(2).sum(-1)
    union = (masks[:, None] | truth[None]).flatten(2).sum(-1)
    assert int(((overlap / union).amax(0) > 0.5).sum()) >= 3
    near = scene.depth < 1.5
    depth = torch.nn.functional.interpolate(reconstruction.depth[None], scene.depth.shape[-2:], mode="nearest")[0]
    assert float(((depth - scene.depth).abs() / scene.depth)[near].mean()) < (0.08 if poses else 0.3)


def test_the_look_of_a_view_does_not_depend_on_what_objects_are_found_and_is_of_these_weights(engine, scene):
    views = batch_of(scene, engine)
    features = engine.facts.appearance(views)
    assert features.shape == (views.num_views, TINY["stem"][2], views.hw[0] // 8, views.hw[1] // 8)
    assert torch.equal(features, engine.appearance(views)) and bool(features.isfinite().all()) and float(features.std()) > 0
    assert len(engine.facts.checkpoint) == 64
