"""The engine around MapAnything: metres, whatever is known; the terms of its weights; wrong files."""

from dataclasses import replace

import pytest
import torch
from map_anything_files import write_map_anything

from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.engines import build_engine, mapanything
from pan3d_core.engines.table import build_graph
from pan3d_core.models.mapanything import known_of_views
from pan3d_core.models.mapanything.graph import map_anything_inputs, map_anything_output
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.views.preprocessing import preprocess


@pytest.fixture
def weights(tmp_path):
    return write_map_anything(tmp_path / "map.pth")


def engine_of(weights):
    engine = build_engine(ModelConfig(name="mapanything", weights=weights, device="cpu"))
    return replace(engine, facts=replace(engine.facts, preprocess=replace(engine.facts.preprocess, height=84, width=84)))


@pytest.mark.parametrize("unknown", [(), ("depth",), ("depth", "cam_from_world"), ("depth", "cam_from_world", "intrinsics")])
def test_it_takes_whatever_is_known_and_answers_in_metres(weights, cell, unknown):
    engine = engine_of(weights)
    views = preprocess([replace(view, **dict.fromkeys(unknown)) for view in cell.views[:3]], engine.facts.preprocess)
    reconstruction, instances = engine(views)
    height, width = views.hw
    assert (height, width) == (70, 84) and reconstruction.is_metric and not engine.facts.finds_objects
    assert reconstruction.depth.shape == reconstruction.depth_conf.shape == (3, height, width)
    assert bool(torch.isfinite(reconstruction.depth).all()) and float(reconstruction.depth.max()) > 0
    assert reconstruction.cam_from_world.shape == (3, 4, 4) and reconstruction.intrinsics.shape == (3, 3, 3)
    assert len(instances.scores) == 0 and instances.mask_logits.shape == (0, 3, height, width)
    if "intrinsics" not in unknown:
        torch.testing.assert_close(reconstruction.intrinsics, views.intrinsics)


def test_a_pipeline_says_that_nobody_looked_for_objects(weights, cell):
    result = PerceptionPipeline(engine_of(weights), PipelineConfig()).process([replace(v, depth=None) for v in cell.views[:2]])
    assert not result.panoptic.segments and any("no objects" in text or "looks for none" in text for text in result.warnings)


def test_terms_are_pointed_out_and_other_files_refused(weights, tmp_path, caplog):
    with caplog.at_level("WARNING", "pan3d.engines.mapanything"):
        engine_of(weights)
    assert "map-anything-apache the licence Apache-2.0" in caplog.text and "CC-BY-NC-4.0" in caplog.text
    with pytest.raises(ValueError, match="ModelConfig.weights: expected the path of a MapAnything checkpoint, got none"):
        build_engine(ModelConfig(name="mapanything"))
    torch.save({"model": {"scale_token": torch.zeros(4)}}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="expected those of MapAnything with encoder.model.pos_embed, got none in"):
        build_engine(ModelConfig(name="mapanything", weights=str(tmp_path / "other.pth")))


@pytest.mark.parametrize("unknown", [(), ("depth",), ("depth", "cam_from_world"), ("depth", "cam_from_world", "intrinsics")])
def test_one_graph_takes_whatever_is_known(weights, cell, unknown, monkeypatch):
    monkeypatch.setattr(mapanything, "network_size", lambda config, hw=None: (70, 84))
    engine, graph = engine_of(weights), build_graph(ModelConfig(name="mapanything", weights=weights, device="cpu"))
    views = preprocess([replace(view, **dict.fromkeys(unknown)) for view in cell.views[:3]], engine.facts.preprocess)
    known = known_of_views(views.hw, views.intrinsics, views.cam_from_world, views.depth)
    with torch.no_grad():
        expected = engine.model(views.images[None], known)
        named = map_anything_inputs(views.images[None], known)
        assert {name: tuple(value.shape) for name, value in named.items()} == {
            spec.name: tuple(3 if size == "views" else size for size in spec.shape) for spec in graph.inputs
        }
        answers = graph.module(*named.values())
    found = map_anything_output(dict(zip([spec.name for spec in graph.outputs], answers, strict=True)))
    for name, value in vars(expected).items():
        torch.testing.assert_close(getattr(found, name), value, atol=1e-5, rtol=1e-5)
