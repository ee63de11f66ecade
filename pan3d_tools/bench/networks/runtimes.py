"""`pan3d bench runtimes`: one network in every runtime that is installed, side by side.

Rounds are interleaved: each runtime runs once per round, so that whatever else the machine does meets all of them alike. The
figures to quote are ratios to torch, round by round. What is not in the cache yet is built first, as `pan3d export` does.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable

import torch

from pan3d_core.config import ModelConfig
from pan3d_core.engines import GRAPHS, build_graph
from pan3d_core.models.mini.graph import MiniGraph, graph_inputs, sample_inputs
from pan3d_core.runtime.networks import RUNTIMES, Graph, Network, Wanted, open_network
from pan3d_core.runtime.networks.built import network_file
from pan3d_core.runtime.networks.table import misfit
from pan3d_core.runtime.networks.verify import output_errors
from pan3d_ros.bags.judging.figures import resident_mb
from pan3d_tools.bench.options import add_device_option, add_engine_options

ANEW = "torch, calibration anew"


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench runtimes", description=__doc__)
    add_engine_options(parser, GRAPHS)
    add_device_option(parser)
    parser.add_argument("--views", type=int, nargs="+", default=[1, 2, 4, 8], help="numbers of views (default: 1 2 4 8)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="CPU threads (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=12, help="measured rounds of each (default: %(default)s)")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Measure: wall and processor time, errors, time to open, memory."""
    arguments = parse(argv)
    graph = build_graph(ModelConfig(name=arguments.engine, weights=arguments.weights, device=arguments.device))
    network_file(graph, Wanted(threads=1))
    result: dict = {"engine": arguments.engine, "rounds": arguments.rounds, "cores": len(os.sched_getaffinity(0))}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        networks, opened = open_all(graph, threads)
        result[f"threads {threads}"] = {
            "opened": opened,
            **{f"views {views}": race(graph, networks, views, arguments.rounds) for views in arguments.views},
        }
    result["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result


def open_all(graph: Graph, threads: int) -> tuple[dict[str, Network], dict]:
    """Every runtime that fits, by name, and what opening each took and how far it is from torch."""
    device = next(graph.module.parameters()).device.type
    networks: dict[str, Network] = {}
    facts: dict = {}
    for name in ("torch", *RUNTIMES):
        reason = "" if name == "torch" else misfit(name, device, "float32")
        if reason:
            facts[name] = {"left_out": reason}
            continue
        before, start = resident_mb(), time.perf_counter()
        network = open_network(graph, name, Wanted(threads))
        if network.facts.name != name:
            facts[name] = {"left_out": network.facts.reason}
            continue
        opened = time.perf_counter() - start
        with torch.inference_mode():
            errors = {error.name: error.largest for error in output_errors(graph, network)}
        facts[name] = {
            "version": network.facts.version,
            "open_s": opened,
            "memory_mb": resident_mb() - before,
            "largest_error": max(errors.values()),
        }
        networks[name] = network
    return networks, facts


@torch.inference_mode()
def race(graph: Graph, networks: dict[str, Network], views: int, rounds: int) -> dict:
    """Medians of one number of views, and ratios to torch in the same round."""
    inputs = graph.samples(views)
    runners: dict[str, Callable[[], object]] = {name: _runner(network, inputs) for name, network in networks.items()}
    if isinstance(graph.module, MiniGraph):
        mini, scene = graph.module.network, sample_inputs(views, (inputs["images"].shape[-2], inputs["images"].shape[-1]))
        runners[ANEW] = lambda: networks["torch"](graph_inputs(scene, mini.calibrate(scene)))
    walls: dict[str, list[float]] = {name: [] for name in runners}
    cpus: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(rounds + 2):
        for name, runner in runners.items():
            wall, cpu = time.perf_counter(), time.process_time()
            runner()
            if number >= 2:
                walls[name].append(time.perf_counter() - wall)
                cpus[name].append(time.process_time() - cpu)
    return {
        name: {
            "wall_ms": 1e3 * statistics.median(walls[name]),
            "cpu_ms": 1e3 * statistics.median(cpus[name]),
            "wall_over_torch": _ratio(walls[name], walls["torch"]),
            "cpu_over_torch": _ratio(cpus[name], cpus["torch"]),
        }
        for name in runners
    }


def _runner(network: Network, inputs: dict[str, torch.Tensor]) -> Callable[[], object]:
    return lambda: network(inputs)


def _ratio(own: list[float], torchs: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(own, torchs))
