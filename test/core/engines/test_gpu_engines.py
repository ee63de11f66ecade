"""Engines of TensorRT for RTX 30, 40 and 50, built from whole networks on a machine without any of them; none is run here."""

from __future__ import annotations

import da3_members
import pytest
import torch
from tiny_graphs import writes_a_graph

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_graph, da3, segvggt
from pan3d_core.models.vggt.segvggt import official_name
from pan3d_core.runtime.networks import onnx_files, write_onnx
from pan3d_core.runtime.networks.tensorrt_network import write_engine

PICTURE = (56, 70)
TARGETS = ("SM86", "SM89", "SM120")


@pytest.fixture
def graph_of(tmp_path, monkeypatch, procedural):
    """Name of a kind of network -> its graph: the shipped one of pan3d-mini, small ones of the others."""

    def build(name):
        config = ModelConfig(name=name, device="cpu")
        if name == "segvggt":
            monkeypatch.setattr(segvggt, "segvggt_1b", procedural.tiny_segvggt)
            monkeypatch.setattr(segvggt, "network_size", lambda config, hw=None: PICTURE)
            model = procedural.fill(procedural.tiny_segvggt(18), official_name)
            torch.save({"model": {official_name(n): value for n, value in model.state_dict().items()}}, tmp_path / "weights.pt")
            config = ModelConfig(name=name, weights=str(tmp_path / "weights.pt"), device="cpu")
        if name == "da3":
            da3_members.make_small(monkeypatch)
            monkeypatch.setattr(da3, "network_size", lambda config, hw=None: PICTURE)
            config = ModelConfig(name=name, weights=str(da3_members.write_member(tmp_path / "da3", "anyview")), device="cpu")
        return build_graph(config)

    return build


@writes_a_graph
@pytest.mark.parametrize("name", ["pan3d-mini", "segvggt", "da3"])
def test_one_file_for_three_generations_of_gpus_is_built_without_any(graph_of, tmp_path, monkeypatch, name):
    pytest.importorskip("onnxscript")
    library = pytest.importorskip("tensorrt_rtx")
    if name == "segvggt":  # weights beside the file, as those of the published size are
        monkeypatch.setattr(onnx_files, "LARGEST_IN_ONE_FILE", 0)
    graph = graph_of(name)
    write_onnx(graph, tmp_path / "network.onnx")
    write_engine(graph, library, tmp_path / "network.onnx", tmp_path / "network.engine", TARGETS)
    assert (tmp_path / "network.engine").stat().st_size > 100_000
