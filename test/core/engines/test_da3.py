"""The engine `da3` with small members: geometry of every kind of member, no objects, and what it says of files and views."""

import logging
from dataclasses import replace

import da3_members
import pytest
import torch
from safetensors.torch import save_file

from pan3d_core.config import ModelConfig, PreprocessConfig
from pan3d_core.engines import build_engine
from pan3d_core.engines.da3 import known_cameras
from pan3d_core.models.da3.cameras import relative_to_first
from pan3d_core.models.da3.network import METRIC_FOCAL
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.views.preprocessing import preprocess

SMALL_SIZE = PreprocessConfig(height=70, width=70, mode="longest", resample="opencv")
MODEL_NAMES = {"anyview": "", "nested": "", "mono": "da3mono-large", "metric": "da3metric-large"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    da3_members.make_small(monkeypatch)


@pytest.fixture()
def make(tmp_path):
    def build(kind: str, **settings):
        path = da3_members.write_member(tmp_path / kind, "mono" if kind == "metric" else kind, MODEL_NAMES[kind])
        engine = build_engine(ModelConfig(name="da3", weights=str(path), device="cpu", **settings))
        return replace(engine, facts=replace(engine.facts, preprocess=SMALL_SIZE))

    return build


def batch(cell, engine, count=4, **changes):
    views = [replace(view, **{"depth": None, **changes}) for view in cell.views[:count]]
    return preprocess(views, engine.facts.preprocess)


@pytest.mark.parametrize("kind", MODEL_NAMES)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_member_gives_geometry_and_no_objects(make, cell, kind, count):
    engine = make(kind)
    reconstruction, instances = engine(batch(cell, engine, count))
    assert reconstruction.depth.shape == reconstruction.depth_conf.shape == (count, 56, 70)
    assert bool(torch.isfinite(reconstruction.depth).all()) and bool(torch.isfinite(reconstruction.cam_from_world).all())
    assert reconstruction.is_metric == (kind in ("nested", "metric"))
    assert len(instances.scores) == 0 and instances.mask_logits.shape == (0, count, 56, 70)
    assert len(engine.facts.labels) == 0 and not engine.facts.finds_objects and not engine.facts.needs_depth


def test_known_cameras_reach_the_network_relative_to_the_first(make, cell):
    engine = make("anyview")
    views = batch(cell, engine)
    posed, free = engine(views)[0], engine(replace(views, cam_from_world=None))[0]
    with torch.inference_mode():
        told = relative_to_first(views.cam_from_world[None])[0], views.intrinsics[None]
        expected = engine.model(views.images[None], cameras=told)
    torch.testing.assert_close(posed.depth, expected.depth[0])
    assert not torch.allclose(free.depth, posed.depth, rtol=1e-3)
    assert known_cameras(replace(views, intrinsics=None), torch.device("cpu")) is None
    center = posed.intrinsics[:, :2, 2]
    torch.testing.assert_close(center, torch.tensor([[34.5, 27.5]]).expand(4, 2))  # integers are centres of pixels


def test_metric_large_is_metres_by_the_focal_length_and_mono_large_has_no_unit(make, cell):
    metric, mono = make("metric"), make("mono")
    views = batch(cell, metric)
    given, own = metric(views)[0], mono(views)[0]
    focal = (views.intrinsics[:, 0, 0] + views.intrinsics[:, 1, 1]) / 2
    torch.testing.assert_close(given.depth, own.depth * (focal / METRIC_FOCAL)[:, None, None])
    assert torch.equal(given.cam_from_world, views.cam_from_world) and torch.equal(given.intrinsics, views.intrinsics)
    assert bool((own.cam_from_world[:, :3, 3] == 0).all())  # so that nothing aligns them to metres
    assert bool((given.depth[given.depth_conf == 0] == 0).all())  # sky
    alone = metric(batch(cell, metric, 1, cam_from_world=None))[0]
    assert alone.is_metric and torch.equal(alone.cam_from_world[0], torch.eye(4))


@pytest.mark.parametrize("kind", ["metric", "mono"])
@pytest.mark.parametrize("field", ["intrinsics", "cam_from_world"])
def test_members_that_see_views_alone_name_what_is_missing(make, cell, kind, field):
    engine = make(kind)
    with pytest.raises(
        ValueError, match=rf"ViewBatch\.{field}: expected that of every view, since da3-{kind}-large sees each alone"
    ):
        engine(batch(cell, engine, **{field: None}))


@pytest.mark.parametrize(
    ("kind", "count", "measured", "posed", "is_metric"),
    [
        ("metric", 4, False, True, True),
        ("metric", 1, False, False, False),  # metres of a network alone are not the robot's
        ("mono", 4, False, True, False),
        ("mono", 4, True, True, True),
        ("nested", 1, False, True, True),
        ("nested", 4, False, False, False),
        ("anyview", 1, False, True, False),
        ("anyview", 4, True, False, True),
    ],
)
def test_results_are_metric_where_something_gives_metres(make, cell, kind, count, measured, posed, is_metric):
    views = [view if measured else replace(view, depth=None) for view in cell.views[:count]]
    views = views if posed else [replace(view, cam_from_world=None) for view in views]
    engine = make(kind)
    pipeline = PerceptionPipeline(engine)
    # Random weights: their depth has neither the shape nor the size of the scene.
    align = replace(pipeline.config.align, max_depth_spread=2.0, max_scene_depth_m=1e6)
    pipeline.config = replace(pipeline.config, align=align)
    result = pipeline.process(views)
    assert result.is_metric == is_metric, result.reconstruction.alignment
    assert result.panoptic.segments == () and not result.finds_objects
    assert "finds no objects: that there are none here says nothing" in result.warnings[-1]


def test_licences_are_pointed_out(make, caplog, tmp_path):
    with caplog.at_level(logging.INFO, logger="pan3d"):
        make("anyview")
        assert "licence of these weights: Apache-2.0" in caplog.text and "finds no objects" in caplog.text
        assert not [record for record in caplog.records if record.levelno == logging.WARNING and "licence" in record.message]
        make("nested")
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING and "licence" in record.message]
    assert len(warned) == 1 and "CC-BY-NC-4.0" in warned[0]
    with pytest.raises(ValueError, match="ModelConfig.weights: expected the path of a Depth Anything 3 checkpoint.*CC-BY-NC"):
        build_engine(ModelConfig(name="da3"))


def test_members_of_equal_tensors_are_told_by_config_or_file_name(tmp_path):
    path = da3_members.write_member(tmp_path / "named", "mono", file="DA3MONO-LARGE.safetensors")
    assert build_engine(ModelConfig(name="da3", weights=str(path))).name == "da3-mono-large"
    path = da3_members.write_member(tmp_path / "unnamed", "mono")
    with pytest.raises(ValueError, match="expected 'metric' or 'mono' in model_name of config.json beside"):
        build_engine(ModelConfig(name="da3", weights=str(path)))
    (path.parent / "config.json").write_text("{")
    with pytest.raises(ValueError, match="expected JSON in .*config.json beside the checkpoint"):
        build_engine(ModelConfig(name="da3", weights=str(path)))


def test_unsuitable_checkpoints(tmp_path):
    def refuse(error, words, path):
        with pytest.raises(error, match=words):
            build_engine(ModelConfig(name="da3", weights=str(path)))

    refuse(FileNotFoundError, "weights: expected a file", tmp_path / "none.safetensors")
    path = da3_members.write_member(tmp_path, "anyview")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refuse(ValueError, "cut short", path)
    refuse(
        ValueError,
        "expected a checkpoint of Depth Anything 3, got .*, which looks like FAST3DIS",
        da3_members.write_fast3dis(tmp_path / "fast3dis.safetensors"),
    )
    found = da3_members.weights("anyview")
    for name in list(found):
        if ".blocks.9." in name:
            del found[name]
    save_file(found, tmp_path / "short.safetensors")
    refuse(
        ValueError, "weights: expected one of da3-small, .* with 9 blocks of width 64 that meet", tmp_path / "short.safetensors"
    )
    found = da3_members.weights("anyview")
    found["model.head.norm.weight"] = torch.ones(7)
    save_file(found, tmp_path / "odd.safetensors")
    refuse(ValueError, r"head.norm.weight expected \(128,\), got \(7,\)", tmp_path / "odd.safetensors")
