"""Small members of the large families in other runtimes: one file for any number of views, equal to torch."""

from dataclasses import replace

import da3_members
import pytest
import torch
from map_anything_files import write_map_anything
from tiny_graphs import writes_a_graph

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine, build_graph, da3, eps3d, fast3dis, mapanything, segvggt
from pan3d_core.geometry.transforms import look_at
from pan3d_core.models.da3.backbone import BackboneSettings
from pan3d_core.models.da3.graph import da3_graph
from pan3d_core.models.da3.head import HeadSettings
from pan3d_core.models.da3.network import AnyViewDa3, Da3Settings, MonocularDa3, NestedDa3
from pan3d_core.models.eps3d.graph import eps3d_output
from pan3d_core.models.fast3dis.graph import fast3dis_inputs, fast3dis_output
from pan3d_core.models.vggt.segvggt import official_name
from pan3d_core.runtime.networks import Wanted
from pan3d_core.runtime.networks.table import prepared
from pan3d_core.structures import ViewBatch

PICTURE = (56, 70)
SLOW_MEMBER = {"marks": pytest.mark.slow}  # it has parts of the any-view member, which is always written


@pytest.fixture
def checkpoint(tmp_path, monkeypatch, procedural):
    """A small SegVGGT for small pictures, and a cache in which nothing is."""
    monkeypatch.setattr(segvggt, "segvggt_1b", procedural.tiny_segvggt)
    monkeypatch.setattr(segvggt, "network_size", lambda config, hw=None: PICTURE)
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "cache"))
    reference = procedural.fill(procedural.tiny_segvggt(18), official_name)
    torch.save({"model": {official_name(n): value for n, value in reference.state_dict().items()}}, tmp_path / "segvggt.pt")
    return tmp_path / "segvggt.pt"


@pytest.fixture
def da3_file(tmp_path, monkeypatch):
    """A small any-view member of Depth Anything 3, likewise."""
    da3_members.make_small(monkeypatch)
    monkeypatch.setattr(da3, "network_size", lambda config, hw=None: PICTURE)
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "cache"))
    return da3_members.write_member(tmp_path / "da3", "anyview")


def views(count):
    return ViewBatch(
        images=torch.rand(count, 3, *PICTURE, generator=torch.Generator().manual_seed(count)),
        intrinsics=None,
        cam_from_world=None,
        depth=None,
        stamps_ns=(0,) * count,
        cameras=tuple(map(str, range(count))),
        original_hw=(PICTURE,) * count,
        network_from_original=torch.eye(3).expand(count, 3, 3),
    )


def test_nothing_is_summed_up_for_nothing(checkpoint):
    engine = build_engine(ModelConfig(name="segvggt", weights=str(checkpoint), device="cpu"))
    assert engine.networks is None and engine.facts.runtime is None


def test_a_graph_says_what_a_decoder_needs(checkpoint):
    graph = build_graph(ModelConfig(name="segvggt", weights=str(checkpoint), device="cpu"))
    assert graph.inputs[0].shape == (1, "views", 3, *PICTURE) and "chair" in graph.metadata["content"]
    outputs = dict(zip([spec.name for spec in graph.outputs], graph.module(graph.samples(2)["images"])))
    for spec in graph.outputs:
        assert tuple(outputs[spec.name].shape) == tuple(2 if axis == "views" else axis for axis in spec.shape), spec.name


def engine_of_runtimes(config):
    """The engine after its graph was written for every runtime of the CPU: auto finds what was prepared."""
    for runtime in ("onnxruntime", "openvino"):
        pytest.importorskip(runtime)
        errors = prepared(build_graph(config), runtime, Wanted(threads=1))
        assert max(error.largest for error in errors) < 1e-4
    engine = build_engine(config)
    assert engine.facts.runtime().name == "openvino"
    return engine


def require_alike(plain, engine, scenes):
    for given in scenes:
        (expected, _), (found, _) = plain(given), engine(given)
        torch.testing.assert_close(found.depth, expected.depth, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(found.cam_from_world, expected.cam_from_world, atol=1e-4, rtol=0)


@writes_a_graph
def test_segvggt_answers_the_same_in_every_runtime(checkpoint):
    pytest.importorskip("onnxscript")
    config = ModelConfig(name="segvggt", weights=str(checkpoint), device="cpu", min_score=0.0)
    plain = build_engine(config)
    require_alike(plain, engine_of_runtimes(config), [views(1), views(3)])


def calibrated(count):
    angles = 2 * torch.pi * torch.arange(count) / 3
    eyes = torch.stack([angles.cos(), angles.sin(), torch.ones(count)], dim=-1)
    intrinsics = torch.tensor([[70.0, 0.0, 34.5], [0.0, 70.0, 27.5], [0.0, 0.0, 1.0]])
    cameras = torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])
    return replace(views(count), intrinsics=intrinsics.expand(count, 3, 3), cam_from_world=cameras)


def test_the_graph_of_calibrated_views_is_the_network(da3_file):
    config = ModelConfig(name="da3", weights=str(da3_file), device="cpu")
    engine, graph = build_engine(config), build_graph(config)
    given = calibrated(3)
    cameras = da3.known_cameras(given, torch.device("cpu"))
    with torch.no_grad():
        expected = engine.model(given.images[None], cameras=cameras)
        named = da3.da3_inputs(given.images[None], cameras)
        found = graph.module(*(named[spec.name] for spec in graph.inputs))
    output = da3.da3_output(dict(zip([spec.name for spec in graph.outputs], found)))
    torch.testing.assert_close(output.depth, expected.depth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.cam_from_world, expected.cam_from_world, atol=1e-5, rtol=0)


def named_outputs(graph, inputs):
    """What a graph's module answers in torch, by name, and of the shapes that it says."""
    with torch.no_grad():
        found = graph.module(*(inputs[spec.name] for spec in graph.inputs))
    named = dict(zip([spec.name for spec in graph.outputs], found, strict=True))
    for spec in graph.outputs:
        views = inputs["images"].shape[1]
        assert tuple(named[spec.name].shape) == tuple(views if axis == "views" else axis for axis in spec.shape), spec.name
    return named


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_graph_chooses_the_reference_of_unposed_views_as_the_network_does(da3_file, count):
    config = ModelConfig(name="da3", weights=str(da3_file), device="cpu")
    engine, graph = build_engine(config), build_graph(config)
    images = views(count).images[None]
    with torch.no_grad():
        expected = engine.model(images)
    output = da3.da3_output(named_outputs(graph, da3.da3_inputs(images, None)))
    torch.testing.assert_close(output.depth, expected.depth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.cam_from_world, expected.cam_from_world, atol=1e-5, rtol=0)


def test_the_graph_of_views_alone_and_that_of_both_networks(da3_file, tmp_path):
    path = da3_members.write_member(tmp_path / "mono", "mono", "da3mono-large")
    alone = build_graph(ModelConfig(name="da3", weights=str(path), device="cpu"))
    assert [spec.name for spec in alone.inputs] == ["images"] and alone.unposed_samples is None
    engine = build_engine(ModelConfig(name="da3", weights=str(path), device="cpu"))
    with torch.no_grad():
        expected = engine.model(views(2).images[None])
    named = named_outputs(alone, {"images": views(2).images[None]})
    torch.testing.assert_close(named["metric_depth"], expected.depth, atol=1e-5, rtol=1e-5)
    path = da3_members.write_member(tmp_path / "nested", "nested")
    nested = build_graph(ModelConfig(name="da3", weights=str(path), device="cpu"))
    assert {"pose_encoding", "sky"} <= set(named_outputs(nested, nested.samples(3))) and "nested" in nested.metadata["content"]


@pytest.fixture
def fast3dis_file(tmp_path, monkeypatch):
    """A small FAST3DIS, likewise."""
    monkeypatch.setattr(fast3dis, "network_size", lambda config, hw=None: PICTURE)
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "cache"))
    return da3_members.write_fast3dis(tmp_path / "fast3dis.safetensors")


@pytest.mark.parametrize("given", ["posed", "unposed"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_graph_of_anchors_is_the_network(fast3dis_file, count, given):
    config = ModelConfig(name="fast3dis", weights=str(fast3dis_file), device="cpu")
    engine, graph = build_engine(config), build_graph(config)
    images = views(count).images[None]
    cameras = da3.known_cameras(calibrated(count), torch.device("cpu")) if given == "posed" else None
    with torch.no_grad():
        expected = engine.network(images, cameras=cameras)
    output = fast3dis_output(named_outputs(graph, fast3dis_inputs(images, cameras)))
    torch.testing.assert_close(output.mask_logits(), expected.mask_logits(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(output.class_logits, expected.class_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.geometry.cam_from_world, expected.geometry.cam_from_world, atol=1e-5, rtol=0)


@pytest.fixture
def eps3d_file(tmp_path, monkeypatch, procedural):
    """A small EPS3D, likewise."""
    model = procedural.fill(procedural.tiny_eps3d(), str).eval()
    monkeypatch.setattr(eps3d, "load_eps3d", lambda path: model)
    monkeypatch.setattr(eps3d, "network_size", lambda config, hw=None: PICTURE)
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "cache"))
    return tmp_path / "none.safetensors"


def test_the_graph_of_gaussians_is_the_network(eps3d_file):
    config = ModelConfig(name="eps3d", weights=str(eps3d_file), device="cpu")
    engine, graph = build_engine(config), build_graph(config)
    images = views(2).images[None]
    with torch.no_grad():
        expected = engine.network(images).gaussians[0]
        found = eps3d_output(graph.module.network, named_outputs(graph, {"images": images})).gaussians[0]
    assert len(found) == pytest.approx(len(expected), abs=2)
    torch.testing.assert_close(found.means.mean(0), expected.means.mean(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.semantic_features.mean(0), expected.semantic_features.mean(0), atol=1e-4, rtol=0)


def quick_da3(kind):
    """A member so small that writing it takes seconds."""
    torch.manual_seed(0)
    head = HeadSettings(16, (8, 8, 8, 8))
    if kind == "nested":
        return NestedDa3(quick_da3("any view"), quick_da3("views alone")).eval()
    first = 2 if kind == "any view" else None
    settings = Da3Settings(BackboneSettings(32, 4, 2, (0, 1, 2, 3), first), head, "none")
    return (AnyViewDa3 if kind == "any view" else MonocularDa3)(settings).eval()


@pytest.mark.timeout(1800)  # writing a graph takes a minute on a busy machine
@pytest.mark.parametrize("kind", [pytest.param("views alone", **SLOW_MEMBER), "any view", pytest.param("nested", **SLOW_MEMBER)])
def test_every_kind_of_member_is_written_and_answers_the_same(tmp_path, monkeypatch, kind):
    pytest.importorskip("onnxscript")
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "cache"))
    graph = da3_graph(quick_da3(kind), (28, 42), "0" * 64)
    for runtime in ("onnxruntime", "openvino"):
        pytest.importorskip(runtime)
        assert max(error.largest for error in prepared(graph, runtime, Wanted(threads=1))) < 1e-4


@pytest.mark.slow
@pytest.mark.timeout(3600)  # writing a graph takes minutes on a busy machine
@pytest.mark.parametrize("engine", ["fast3dis", "eps3d"])
def test_the_others_answer_the_same_in_every_runtime(request, engine):
    pytest.importorskip("onnxscript")
    config = ModelConfig(name=engine, weights=str(request.getfixturevalue(f"{engine}_file")), device="cpu", min_score=0.0)
    plain = build_engine(config)
    require_alike(plain, engine_of_runtimes(config), [calibrated(1), calibrated(3), views(3)])


@writes_a_graph
def test_da3_answers_the_same_in_every_runtime(da3_file):
    pytest.importorskip("onnxscript")
    config = ModelConfig(name="da3", weights=str(da3_file), device="cpu")
    plain = build_engine(config)
    require_alike(plain, engine_of_runtimes(config), [calibrated(1), calibrated(3), views(3)])


@writes_a_graph
def test_mapanything_answers_the_same_in_every_runtime_whatever_is_known(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(mapanything, "network_size", lambda config, hw=None: PICTURE)
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "cache"))
    config = ModelConfig(name="mapanything", weights=write_map_anything(tmp_path / "map.pth"), device="cpu")
    measured = replace(calibrated(3), depth=1 + torch.rand(3, *PICTURE, generator=torch.Generator().manual_seed(0)))
    require_alike(build_engine(config), engine_of_runtimes(config), [calibrated(1), calibrated(3), measured, views(3)])
