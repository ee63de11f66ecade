"""The race of runtimes on a network of a few numbers."""

import torch
from tiny_graphs import tiny_graph

from pan3d_core.runtime.networks.torch_network import TorchNetwork
from pan3d_ros.bags.judging.figures import resident_mb
from pan3d_tools.bench.networks.runtimes import parse, race


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
