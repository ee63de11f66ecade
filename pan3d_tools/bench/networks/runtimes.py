"""`pan3d bench runtimes`: one network in every runtime that is installed, side by side.

Rounds are interleaved: each runtime runs once per round, so that whatever else the machine does meets all of them alike. The
figures to quote are ratios to torch, round by round. What is not in the cache yet is built first, as `pan3d export` does.

`--published` takes a network of a published size with random weights instead of an engine. On a GPU `x_floor` is then the time
over the least that `bench/cost` counts for that device in half precision.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Sequence

import torch

from pan3d_core.config import ModelConfig
from pan3d_core.engines import GRAPHS, build_graph
from pan3d_core.models.mini.graph import MiniGraph, graph_inputs, sample_inputs
from pan3d_core.runtime.device import select_device
from pan3d_core.runtime.networks import RUNTIMES, Graph, Network, RuntimeUnavailable, Wanted
from pan3d_core.runtime.networks.built import network_file
from pan3d_core.runtime.networks.room import weight_bytes
from pan3d_core.runtime.networks.table import bare_network, misfit
from pan3d_core.runtime.networks.torch_network import TorchNetwork
from pan3d_core.runtime.networks.verify import output_errors
from pan3d_ros.bags.judging.figures import resident_mb
from pan3d_tools.bench.cost.da3 import floor_s
from pan3d_tools.bench.networks.published import PUBLISHED, published
from pan3d_tools.bench.options import add_device_option, add_engine_options

ANEW = "torch, calibration anew"
PRECISIONS = ("float32", "float16", "bfloat16")  # those of `ModelConfig.precision`


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench runtimes", description=__doc__)
    add_engine_options(parser, GRAPHS)
    parser.add_argument("--published", choices=PUBLISHED, help="a network with random weights instead")
    add_device_option(parser)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of every runtime (default: %(default)s)")
    parser.add_argument("--views", type=int, nargs="+", default=[1, 2, 4, 8], help="numbers of views (default: 1 2 4 8)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="CPU threads (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=12, help="measured rounds of each (default: %(default)s)")
    parser.add_argument(
        "--runtimes",
        choices=RUNTIMES,
        nargs="+",
        default=list(RUNTIMES),
        help="beside torch; each holds the weights once (default: all)",
    )
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Measure: wall and processor time, errors, time to open, memory."""
    arguments = parse(argv)
    graph, floors = _network_of(arguments)
    result: dict = {
        "engine": arguments.published or arguments.engine,
        "precision": arguments.precision,
        "rounds": arguments.rounds,
        "cores": len(os.sched_getaffinity(0)),
        "weights_mb": weight_bytes(graph) / 2**20,
    }
    device = next(graph.module.parameters()).device.type
    if not all(misfit(name, device, arguments.precision) for name in arguments.runtimes):
        began = time.perf_counter()
        network_file(graph, Wanted(threads=1))
        result["written_s"] = time.perf_counter() - began
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        networks, opened = open_all(graph, Wanted(threads, arguments.precision), arguments.views, arguments.runtimes)
        result[f"threads {threads}"] = {
            "opened": opened,
            **{
                f"views {views}": over_floor(race(graph, networks, views, arguments.rounds), floors(views))
                for views in arguments.views
            },
        }
    result["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result


def _network_of(arguments: argparse.Namespace) -> tuple[Graph, Callable[[int], float | None]]:
    """What is raced, and the least seconds that so many views take on the device; None where that is not known."""
    if arguments.published is None:
        return build_graph(ModelConfig(name=arguments.engine, weights=arguments.weights, device=arguments.device)), lambda _: None
    device = select_device(arguments.device)
    network = published(arguments.published, device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return network.graph, lambda views: floor_s(network.cost(views), name)


def over_floor(rows: dict[str, dict], least_s: float | None) -> dict[str, dict]:
    """The rows of a race with `x_floor`, where the least time is known."""
    if least_s is None:
        return rows
    return {name: {**row, "x_floor": row["wall_ms"] / (1e3 * least_s)} for name, row in rows.items()}


def open_all(
    graph: Graph, wanted: Wanted, views: Sequence[int], runtimes: Iterable[str] = RUNTIMES
) -> tuple[dict[str, Network], dict]:
    """Torch and those of the runtimes that fit, by name, and what opening each took and how far it is from torch in float32."""
    networks: dict[str, Network] = {}
    facts: dict = {}
    for name in ("torch", *runtimes):
        before, start = resident_mb(), time.perf_counter()
        try:
            network = TorchNetwork(graph, wanted.precision, "") if name == "torch" else bare_network(graph, name, wanted)
        except RuntimeUnavailable as error:
            facts[name] = {"left_out": str(error)}
            continue
        opened = time.perf_counter() - start
        errors = {error.name: error.largest for error in output_errors(graph, network, views)}
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
    """A call that ends when its answers are there."""
    device = next(iter(inputs.values())).device

    def run_once() -> None:
        network(inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run_once


def _ratio(own: list[float], torchs: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(own, torchs))
