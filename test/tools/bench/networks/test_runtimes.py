"""The race of runtimes on a network of a few numbers."""

import pytest
import torch
from tiny_graphs import tiny_graph

from pan3d_core.runtime.networks.torch_network import TorchNetwork
from pan3d_ros.bags.judging.figures import resident_mb
from pan3d_tools.bench.cost.da3 import PEAKS, da3_cost, floor_s
from pan3d_tools.bench.networks import runtimes
from pan3d_tools.bench.networks.fast3dis import QUICK
from pan3d_tools.bench.networks.published import DA3_HW, PUBLISHED, any_view_da3, published
from pan3d_tools.bench.networks.runtimes import over_floor, parse, race, run


def test_ratios_are_to_torch_in_the_same_round():
    graph = tiny_graph()
    networks = {"torch": TorchNetwork(graph, "float32", ""), "again": TorchNetwork(graph, "float32", "")}
    found = race(graph, networks, views=2, rounds=3)
    assert set(found) == {"torch", "again"} and found["torch"]["wall_over_torch"] == 1.0
    assert found["again"]["wall_ms"] > 0 and 0.01 < found["again"]["wall_over_torch"] < 100


def test_memory_in_use_grows_with_what_is_held():
    before = resident_mb()
    held = torch.ones(64 * 2**18)
    assert resident_mb() - before > 50 and held[0] == 1


def test_it_measures_what_the_page_says():
    arguments = parse([])
    assert arguments.views == [1, 2, 4, 8] and arguments.threads == [1, 2]


def test_a_published_network_is_raced_with_random_weights_that_are_the_same_each_time(monkeypatch):
    monkeypatch.setitem(PUBLISHED, "da3-large", any_view_da3(QUICK.variants["tiny"]))
    monkeypatch.setattr(runtimes, "RUNTIMES", {})
    found = run(["--published", "da3-large", "--views", "1", "--threads", "1", "--rounds", "1", "--device", "cpu"])
    assert found["weights_mb"] > 0
    assert found["engine"] == "da3-large" and "written_s" not in found
    row = found["threads 1"]["views 1"]["torch"]
    assert row["wall_ms"] > 0 and "x_floor" not in row
    first, second = (published("da3-large", torch.device("cpu")) for _ in range(2))
    assert first.graph.checksum == second.graph.checksum
    for one, other in zip(first.graph.module.parameters(), second.graph.module.parameters(), strict=True):
        assert torch.isfinite(one).all() and torch.equal(one, other)
    assert first.cost(3) == da3_cost(QUICK.variants["tiny"], 3, DA3_HW)


def test_times_are_put_over_the_least_of_a_device_that_is_known():
    least = floor_s(da3_cost(QUICK.variants["tiny"], 2, (42, 56)), "NVIDIA H200")
    assert least is not None and "H200" in PEAKS
    assert over_floor({"torch": {"wall_ms": 3e3 * least}}, least)["torch"]["x_floor"] == pytest.approx(3.0)


def test_a_runtime_that_is_missing_is_left_out_with_the_reason(monkeypatch):
    monkeypatch.setattr("pan3d_core.runtime.networks.table.is_installed", lambda name: False)
    networks, opened = runtimes.open_all(tiny_graph(), runtimes.Wanted(1), [2])
    assert set(networks) == {"torch"} and opened["torch"]["largest_error"] == 0.0
    assert "not installed" in opened["onnxruntime"]["left_out"]
