"""The benchmark of EPS3D runs: the small engine by stages, and the network of the published kind on a device."""

import json

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine
from pan3d_core.engines.eps3d_mini import Eps3dMiniEngine
from pan3d_core.engines.mini import EPS3D, MINI, SHIPPED, MiniCheckpoint, read_checkpoint
from pan3d_core.language.known_names import KnownNames
from pan3d_core.models.eps3d.network import eps3d_1b
from pan3d_core.models.layers.transformer import merge_lora
from pan3d_core.models.mini.eps3d import Eps3dMini
from pan3d_core.models.vggt.segvggt import instance_feature_map
from pan3d_core.views.scene_folder import Scene
from pan3d_tools import cli
from pan3d_tools.bench.cost.da3 import floor_s
from pan3d_tools.bench.cost.eps3d import eps3d_cost, geometry_cost, segvggt_cost
from pan3d_tools.bench.networks import eps3d as bench
from pan3d_tools.bench.official.turns import Clock


@pytest.fixture(scope="module")
def engine():
    """The engine with random weights."""
    known = read_checkpoint(SHIPPED[MINI]).known_names
    stuff = KnownNames(("table",), ("table",), known.embeddings[:1])
    torch.manual_seed(0)
    checkpoint = MiniCheckpoint(Eps3dMini().eval(), known, {}, stuff)
    return Eps3dMiniEngine(checkpoint, ModelConfig(name=EPS3D, threads=1), torch.device("cpu"))


@pytest.fixture
def scene(cell):
    return Scene("cell", tuple(cell.views), None, 0.0).without_depth()


@torch.inference_mode()
def test_stages_of_the_small_engine(engine, scene):
    baseline = build_engine(ModelConfig(name=MINI, threads=1))
    arguments = bench.parse(["--rounds", "1", "--no-pixels"])
    found = bench.of_views(engine, baseline, scene, 2, arguments)
    assert set(found) == {
        "gaussians", "stored_bytes_per_gaussian", MINI, "network", "voxels", "rendering", "readout", "whole",
    }  # fmt: skip
    assert 0 < found["gaussians"] <= 2 * 112 * 144
    assert found["stored_bytes_per_gaussian"] == 4 * (3 + 3 + 4 + 1 + 3 + 2 * 32)
    stages = ("network", "rendering", "readout")
    assert found["whole"]["cpu_s"] == pytest.approx(sum(found[name]["cpu_s"] for name in stages))
    for name in (*stages, "voxels", "whole"):
        assert found[name]["x_mini"] == pytest.approx(found[name]["cpu_s"] / found[MINI]["cpu_s"])


@torch.inference_mode()
def test_stages_are_what_a_call_does(engine, scene):
    """Nothing that the engine does between images and objects is left out, but for scores and names."""
    asked = []

    class Recorded:
        facts = engine.facts

        def network(self, inputs):
            asked.append(inputs.images.shape[1])
            return engine.network(inputs)

        def render(self, outputs, inputs):
            asked.append(len(outputs.gaussians))
            return engine.render(outputs, inputs)

    clock = Clock()
    bench.stages(Recorded(), bench.views_of(scene, 3, engine), clock)
    assert asked == [3, 1] and list(clock.parts) == ["network", "rendering", "readout"]


@torch.inference_mode()
def test_the_network_of_the_published_kind_on_a_device(procedural):
    found = bench.official(procedural.tiny_eps3d(), torch.device("cpu"), (1, 2), (56, 70), 1)
    assert set(found) == {"1 views", "2 views"}
    for row in found.values():
        stages = ("geometry launched", "network launched", "to_objects")
        assert set(row) == {"gaussians", "objects", "rendering", "readout", *stages}
        assert row.pop("gaussians") > 0 <= row.pop("objects") and all(stage["wall_s"] > 0 for stage in row.values())
        assert all(row[stage]["x_floor"] == "no floor known for cpu" for stage in stages)


@torch.inference_mode()
def test_the_cameras_of_the_benchmark_see_a_Gaussian_in_nearly_every_pixel(procedural):
    model = bench.with_cameras(procedural.fill(procedural.tiny_eps3d(voxel_size=0.002), str).eval())
    output = model(torch.rand(1, 1, 3, 56, 70))
    cameras, intrinsics = (values[0] for values in output.geometry.cameras())
    assert torch.equal(cameras[0], torch.eye(4)) and 2 * torch.atan(35 / intrinsics[0, 0, 0]) == pytest.approx(1.0)
    assert len(output.gaussians[0]) > 0.9 * 56 * 70


@pytest.mark.parametrize("parts", [(), None])
def test_operations_are_those_that_torch_counts(procedural, parts):
    model, image_hw = procedural.tiny_eps3d().requires_grad_(False), (56, 70)
    cost = eps3d_cost(model, 3, image_hw) if parts is None else geometry_cost(model.vggt, 3, image_hw)
    # With gradients on: torch does not count products that are added in place.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(torch.rand(1, 3, 3, *image_hw), parts=parts)
    assert cost.operations == pytest.approx(counter.get_total_flops(), rel=3e-3)


def test_operations_of_segvggt_are_those_that_torch_counts_but_for_its_queries(procedural):
    model, image_hw = procedural.tiny_segvggt().requires_grad_(False), (56, 70)
    merge_lora(model)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        features = model.vggt.features(torch.rand(1, 3, 3, *image_hw))
        model.vggt.predict(features, image_hw)
        instance_feature_map(model.semantic_head, features, image_hw, (4, 5))
    assert segvggt_cost(model, 3, image_hw).operations == pytest.approx(counter.get_total_flops(), rel=3e-3)


def test_floors_of_the_published_size():
    with torch.device("meta"):
        model = eps3d_1b()
    few, many = (floor_s(eps3d_cost(model, views, (448, 448)), "NVIDIA H200") for views in (2, 8))
    assert 0.005 < few < 0.02 and 4 < many / few < 8  # attention between views grows with their square
    assert geometry_cost(model.vggt, 2, (448, 448)).operations < eps3d_cost(model, 2, (448, 448)).operations


def test_command_line_without_a_device(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    path = tmp_path / "figures.json"
    assert cli.main(["bench", "--json", str(path), "eps3d", "--parts", "cuda"]) == 0
    assert json.loads(path.read_text())["result"]["cuda"] == "not measured: no CUDA device"
    for wrong in (["--views", "2", "0"], ["--rounds", "0"], ["--threads", "0"]):
        with pytest.raises(SystemExit):
            bench.parse(wrong)
        assert f"{wrong[0]}: expected at least 1" in capsys.readouterr().err
