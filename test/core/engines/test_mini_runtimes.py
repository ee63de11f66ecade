"""Small untrained networks of the `pan3d-mini` family in other runtimes: the engines answer the same, posed or not."""

import json
from dataclasses import replace

import pytest
import torch
from raycast_scene import TABLE_SCENE, cast
from safetensors.torch import save_file
from tiny_graphs import writes_a_graph

from pan3d_core.config import ModelConfig
from pan3d_core.engines import ENGINES, GRAPHS, build_engine, build_graph
from pan3d_core.engines.mini import FORMATS
from pan3d_core.engines.table import WITHOUT_GRAPH
from pan3d_core.models.mini.eps3d import Eps3dMini, Eps3dMiniSettings
from pan3d_core.models.mini.fast3dis import Fast3disMini, Fast3disMiniSettings
from pan3d_core.models.mini.graph import sample_inputs
from pan3d_core.models.mini.network import MiniArchitecture, PanMini
from pan3d_core.runtime.networks.verify import output_errors
from pan3d_core.views.preprocessing import preprocess

TINY = {
    "dim": 32, "heads": 2, "blocks": 2, "stem": (4, 8, 12), "pyramid": (4, 8, 12), "queries": 3, "decoder_layers": 1,
    "text_dim": 8, "sweep_heights": (0.0, 0.05),
}  # fmt: skip
ON_CPU = ("onnxruntime", "openvino")


def written(path, engine, network, architecture):
    """A checkpoint of a network with two names, and of what is no object one."""
    tensors = {name: value.clone() for name, value in network.state_dict().items()}
    for bias in {"decoder.mask_bias", "base.decoder.mask_bias", "mask_bias"} & set(tensors):
        tensors[bias] = torch.tensor(1.0)  # untrained masks are empty otherwise
    for name, count in (("embeddings", 2), ("stuff", 1)):
        tensors[f"names.{name}"] = torch.nn.functional.normalize(torch.randn(count, 8), dim=-1)
    content = {"architecture": architecture, "names": ["mug", "ball"], "class_names": ["mug", "ball"], "stuff": ["table"]}
    content["facts"] = {"image_hw": (48, 64)}
    save_file(tensors, path, metadata={"format": FORMATS[engine], "content": json.dumps(content)})
    return str(path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = PanMini(MiniArchitecture(**TINY))
    return written(tmp_path_factory.mktemp("weights") / "tiny.safetensors", "pan3d-mini", network, TINY)


@pytest.fixture(scope="module")
def gaussians(tmp_path_factory):
    """A checkpoint of a small `pan3d-mini-eps3d`."""
    torch.manual_seed(0)
    settings = Eps3dMiniSettings(base=TINY, width=4, features=6)
    path = tmp_path_factory.mktemp("weights") / "gaussians.safetensors"
    return written(path, "pan3d-mini-eps3d", Eps3dMini(settings), settings.to_dict())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One for the whole module: writing the network takes seconds."""
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAN3D_CACHE", str(folder))
        yield folder


def answers_of(*engines):
    """What engines say of the same table: from all views, from one, and from all without poses."""
    views = preprocess(cast(TABLE_SCENE).views, engines[0].facts.preprocess, 0.0)
    for given in (views, views.select([1]), replace(views, cam_from_world=None)):
        yield [engine(given) for engine in engines]


def answers_in_every_runtime(**settings):
    """Pairs of what torch and what another runtime says, for every runtime of the CPU."""
    plain = build_engine(ModelConfig(runtime="torch", **settings))
    for runtime in ON_CPU:
        pytest.importorskip(runtime)
        engine = build_engine(ModelConfig(runtime=runtime, **settings))
        assert engine.facts.runtime().name == runtime
        yield from answers_of(plain, engine)


@pytest.mark.parametrize("runtime", ON_CPU)
def test_the_engine_answers_as_in_torch(weights, cache, runtime):
    pytest.importorskip(runtime)
    plain = build_engine(ModelConfig(weights=weights, runtime="torch", min_score=0.0))
    engine = build_engine(ModelConfig(weights=weights, runtime=runtime, min_score=0.0))
    assert engine.facts.runtime().name == runtime and plain.facts.runtime().name == "torch"
    for (expected, instances), (found, others) in answers_of(plain, engine):
        torch.testing.assert_close(found.depth, expected.depth, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.cam_from_world, expected.cam_from_world, atol=1e-4, rtol=0)
        torch.testing.assert_close(others.mask_logits, instances.mask_logits, atol=1e-3, rtol=0)
        torch.testing.assert_close(others.class_logits, instances.class_logits, atol=1e-3, rtol=0)


@writes_a_graph
def test_gaussians_are_the_same_in_every_runtime(gaussians, cache):
    """Without poses torch looks for cameras by what it finds, in any case."""
    settings = {"name": "pan3d-mini-eps3d", "weights": gaussians, "min_score": 0.0}
    for (expected, _), (found, _) in answers_in_every_runtime(**settings):
        torch.testing.assert_close(found.depth, expected.depth, atol=1e-4, rtol=1e-4)
        assert len(found.gaussians) == pytest.approx(len(expected.gaussians), rel=0.01)  # a point may cross a voxel's border
        for name in ("means", "semantic_features", "instance_features"):
            mine, theirs = getattr(found.gaussians, name), getattr(expected.gaussians, name)
            torch.testing.assert_close(mine.mean(0), theirs.mean(0), atol=1e-3, rtol=1e-3)
    assert build_engine(ModelConfig(**settings)).facts.runtime().name == "openvino"


def test_the_graph_of_pixels_is_the_network(gaussians):
    graph = build_graph(ModelConfig(name="pan3d-mini-eps3d", weights=gaussians))
    engine = build_engine(ModelConfig(name="pan3d-mini-eps3d", weights=gaussians, runtime="torch"))
    scene = sample_inputs(3, (48, 64))
    with torch.no_grad():
        expected = engine._model(scene)
    found = engine.network(scene)
    assert torch.equal(found.gaussians[0].means, expected.gaussians[0].means)
    assert torch.equal(found.gaussians[0].instance_features, expected.gaussians[0].instance_features)
    assert {spec.name for spec in graph.outputs} >= {"raw", "semantics", "instances"} and graph.unposed_samples is None
    content = json.loads(graph.metadata["content"])
    assert set(graph.beside) == {"names.embeddings", "names.stuff", "text_decoder.weight", "text_decoder.bias"}
    assert content["stuff"] == ["table"] and graph.metadata["format"] == FORMATS["pan3d-mini-eps3d"]


@pytest.fixture(scope="module")
def anchors(tmp_path_factory):
    """A checkpoint of a small `pan3d-mini-fast3dis`."""
    torch.manual_seed(0)
    decoder = {"queries": 3, "dim": 16, "heads": 2, "feed_forward": 16, "layers": 2, "bands": 4}
    settings = Fast3disMiniSettings(base=TINY, decoder=replace(Fast3disMiniSettings().decoder, **decoder), lora_rank=2)
    path = tmp_path_factory.mktemp("weights") / "anchors.safetensors"
    return written(path, "pan3d-mini-fast3dis", Fast3disMini(settings), settings.to_dict())


@writes_a_graph
def test_small_anchors_answer_as_in_torch(anchors, cache):
    settings = {"name": "pan3d-mini-fast3dis", "weights": anchors, "min_score": 0.0}
    for (expected, instances), (found, others) in answers_in_every_runtime(**settings):
        torch.testing.assert_close(found.depth, expected.depth, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(others.mask_logits, instances.mask_logits, atol=1e-3, rtol=0)


@writes_a_graph
def test_anchors_answer_as_in_torch_where_poses_are_known(cache):
    """The checkpoint that comes with the package; without poses torch runs it in any case."""
    pytest.importorskip("openvino")
    plain, engine = (build_engine(ModelConfig(name="pan3d-mini-fast3dis", runtime=name)) for name in ("torch", "openvino"))
    assert engine.facts.runtime().name == "openvino"
    for (expected, instances), (found, others) in answers_of(plain, engine):
        torch.testing.assert_close(found.depth, expected.depth, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(others.scores, instances.scores, atol=1e-3, rtol=0)
        torch.testing.assert_close(others.mask_logits, instances.mask_logits, atol=1e-2, rtol=0)


@pytest.mark.parametrize("runtime", ON_CPU)
def test_auto_takes_what_was_prepared(weights, cache, runtime):
    pytest.importorskip(runtime)
    assert build_engine(ModelConfig(weights=weights)).facts.runtime().name in ON_CPU


def test_pictures_of_another_shape_go_to_torch(weights, cache, caplog):
    pytest.importorskip("onnxruntime")
    engine = build_engine(ModelConfig(weights=weights, runtime="onnxruntime"))
    scene = cast(TABLE_SCENE)
    wide = [replace(view, image=view.image[..., : view.image.shape[-2] // 2, :], depth=None) for view in scene.views]
    reconstruction, _ = engine(preprocess(wide, engine.facts.preprocess, 0.0))
    assert reconstruction.depth.shape[1:] != (48, 64) and engine.facts.runtime().name == "torch"
    assert "pan3d export pan3d-mini" in caplog.text


def test_the_graph_of_other_pictures_is_another(weights):
    usual, wide = (build_graph(ModelConfig(weights=weights), size) for size in (None, (360, 640)))
    assert usual.inputs[0].shape == (1, "views", 3, 48, 64) and wide.inputs[0].shape == (1, "views", 3, 48, 80)
    content = json.loads(wide.metadata["content"])
    assert content["names"] == ["mug", "ball"] and content["preprocess"]["width"] == 80
    assert wide.beside["names.embeddings"].shape == (2, 8) and len(wide.checksum) == 64


def test_torch_is_its_own_equal(weights):
    graph = build_graph(ModelConfig(weights=weights))
    engine = build_engine(ModelConfig(weights=weights, runtime="torch"))
    errors = output_errors(graph, engine._networks((48, 64)), views=(1, 3))
    assert {error.largest for error in errors} == {0.0} and len(errors) == len(graph.outputs)


def test_engines_without_a_graph_are_named(weights):
    with pytest.raises(ValueError, match="export: depth_clusters has no network.*expected one of pan3d-mini"):
        build_graph(ModelConfig(name="depth_clusters"))
    with pytest.raises(ValueError, match="export: expected one of pan3d-mini.*got 'pan3d-maxi'"):
        build_graph(ModelConfig(name="pan3d-maxi"))


def test_an_engine_without_a_network_says_so(caplog):
    engine = build_engine(ModelConfig(name="depth_clusters", runtime="openvino"))
    assert engine.facts.runtime is None and "model.runtime openvino: depth_clusters has no network" in caplog.text


def test_every_engine_with_a_network_has_a_graph():
    assert set(ENGINES) == set(GRAPHS) | set(WITHOUT_GRAPH)
