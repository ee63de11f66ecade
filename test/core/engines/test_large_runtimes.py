"""Small members of the large families in other runtimes: one file for any number of views, equal to torch."""

import pytest
import torch

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine, build_graph, segvggt
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
