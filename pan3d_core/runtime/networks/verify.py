"""Whether a runtime answers as torch does: compared once for each network, runtime, version and machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pan3d_core.runtime.networks.built import Wanted, network_entry
from pan3d_core.runtime.networks.cache import CacheEntry
from pan3d_core.runtime.networks.interface import Graph, Network, RuntimeUnavailable
from pan3d_core.runtime.networks.judged import require_judged
from pan3d_core.runtime.networks.precision import WIDE
from pan3d_core.runtime.networks.torch_network import TorchNetwork
from pan3d_core.runtime.progress import step

VIEWS = (1, 2, 4, 8)


@dataclass(frozen=True)
class OutputError:
    """How far one output is from torch's."""

    name: str
    largest: float  # absolute; NaN where an answer is no number
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether it counts as equal."""
        return self.largest <= self.tolerance


@torch.inference_mode()
def output_errors(graph: Graph, network: Network, views: Sequence[int] = VIEWS) -> list[OutputError]:
    """Compare a network with torch on the graph's samples.

    Args:
        graph: The network.
        network: The same in another runtime.
        views: Numbers of views that are tried; those outside the graph's range are left out.

    Returns:
        The largest error of every output.
    """
    low, high = graph.axes.get("views", (min(views), max(views)))
    largest = dict.fromkeys((spec.name for spec in graph.outputs), 0.0)
    reference = TorchNetwork(graph, "float32", "the reference")
    tried = [count for count in views if low <= count <= high]
    kinds = [graph.samples, *([] if graph.unposed_samples is None else [graph.unposed_samples])]
    for inputs in (samples(count) for samples in kinds for count in tried):
        expected, found = reference(inputs), network(inputs)
        for name, value in expected.items():
            error = float((found[name].to(value.device) - value).abs().max())
            largest[name] = max(largest[name], error) if error == error else error  # max() drops what is no number
    return [OutputError(name, error, graph.tolerance[name]) for name, error in largest.items()]


def require_verified(graph: Graph, network: Network, wanted: Wanted) -> list[OutputError]:
    """Refuse a network that does not answer as torch does, or in narrow numbers one whose results nobody has judged.

    Args:
        graph: The network.
        network: The same in another runtime.
        wanted: Says whether what has not been compared yet may be, which takes seconds.

    Returns:
        What was found when they were compared.

    Raises:
        RuntimeUnavailable: It answers otherwise, or has not been compared and may not be now.
    """
    facts = network.facts
    if facts.precision != WIDE:
        require_judged(graph, facts)
        return []
    if wanted.file is not None:
        return _compared(graph, network)
    parts = {
        "network": network_entry(graph).key, "runtime": facts.name, "version": facts.version, "device": facts.device,
        "precision": facts.precision,
    }  # fmt: skip
    entry = CacheEntry(graph.engine, parts, "verified.json")
    path = entry.find()
    if path is None:
        if not wanted.build:
            raise RuntimeUnavailable(
                f"{facts.name} {facts.version} has not been compared with torch on this machine; pan3d export {graph.engine} does"
            )
        with step(f"comparing {facts.name} with torch for {graph.engine}"):
            found = _compared(graph, network)
        content = json.dumps([vars(error) for error in found])
        try:
            entry.build(lambda at: _write(at, content))
        except OSError as error:
            raise RuntimeUnavailable(f"{entry.filename} cannot be kept: {error}") from error
        return found
    return [OutputError(**error) for error in json.loads(path.read_text(encoding="utf-8"))]


def _compared(graph: Graph, network: Network) -> list[OutputError]:
    found = output_errors(graph, network)
    wrong = [error for error in found if not error.holds]
    if wrong:
        words = ", ".join(f"{error.name} by {error.largest:.2g} (at most {error.tolerance:.2g})" for error in wrong)
        raise RuntimeUnavailable(f"{network.facts.name} answers otherwise than torch: {words}; it is not used")
    return found


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
