"""Small members of the large families in other runtimes: one file for any number of views, equal to torch."""

from dataclasses import replace

import da3_members
import pytest
import torch

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine, build_graph, da3, segvggt
from pan3d_core.geometry.transforms import look_at
from pan3d_core.models.vggt.segvggt import official_name
from pan3d_core.runtime.networks import Wanted
from pan3d_core.runtime.networks.table import prepared
from pan3d_core.structures import ViewBatch

PICTURE = (56, 70)


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


@pytest.mark.slow
@pytest.mark.timeout(1800)  # writing a graph takes minutes on a busy machine
def test_segvggt_answers_the_same_in_every_runtime(checkpoint):
    pytest.importorskip("onnxscript")
    config = ModelConfig(name="segvggt", weights=str(checkpoint), device="cpu", min_score=0.0)
    plain = build_engine(config)
    for runtime in ("onnxruntime", "openvino"):
        pytest.importorskip(runtime)
        errors = prepared(build_graph(config), runtime, Wanted(threads=1))
        assert max(error.largest for error in errors) < 1e-4
    engine = build_engine(config)  # auto finds what was prepared
    assert engine.facts.runtime().name == "openvino"
    for count in (1, 3):
        (expected, _), (found, _) = plain(views(count)), engine(views(count))
        torch.testing.assert_close(found.depth, expected.depth, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(found.cam_from_world, expected.cam_from_world, atol=1e-4, rtol=0)


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
        named = da3.da3_inputs(given.images[None], *cameras)
        found = graph.module(*(named[spec.name] for spec in graph.inputs))
    output = da3.da3_output(dict(zip([spec.name for spec in graph.outputs], found)))
    torch.testing.assert_close(output.depth, expected.depth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.cam_from_world, expected.cam_from_world, atol=1e-5, rtol=0)


def test_members_that_see_views_alone_have_no_graph(da3_file, tmp_path):
    path = da3_members.write_member(tmp_path / "mono", "mono", "da3mono-large")
    with pytest.raises(ValueError, match="export: expected SMALL, BASE, LARGE or GIANT .* got da3-mono-large"):
        build_graph(ModelConfig(name="da3", weights=str(path), device="cpu"))


@pytest.mark.slow
@pytest.mark.timeout(1800)  # writing a graph takes minutes on a busy machine
def test_da3_answers_the_same_in_every_runtime(da3_file):
    pytest.importorskip("onnxscript")
    config = ModelConfig(name="da3", weights=str(da3_file), device="cpu")
    plain = build_engine(config)
    for runtime in ("onnxruntime", "openvino"):
        pytest.importorskip(runtime)
        errors = prepared(build_graph(config), runtime, Wanted(threads=1))
        assert max(error.largest for error in errors) < 1e-4
    engine = build_engine(config)
    assert engine.facts.runtime().name == "openvino"
    for given in (calibrated(1), calibrated(3), views(3)):  # without cameras in torch
        (expected, _), (found, _) = plain(given), engine(given)
        torch.testing.assert_close(found.depth, expected.depth, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(found.cam_from_world, expected.cam_from_world, atol=1e-4, rtol=0)
