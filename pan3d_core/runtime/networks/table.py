"""Runtimes by name, and which of them runs a network."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from pan3d_core.runtime.lazy import load
from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.guarded import GuardedNetwork
from pan3d_core.runtime.networks.interface import Graph, Network, PrecisionRefused, RuntimeUnavailable
from pan3d_core.runtime.networks.torch_network import TorchNetwork
from pan3d_core.runtime.networks.verify import OutputError, require_verified
from pan3d_core.runtime.progress import step

if TYPE_CHECKING:
    from pan3d_core.runtime.networks import onnxruntime_network, openvino_network, tensorrt_network

logger = logging.getLogger("pan3d.runtime.networks")
NetworkBuilder = Callable[[Graph, Wanted], Network]


@dataclass(frozen=True)
class Runtime:
    """What one runtime needs."""

    builder: str  # place of a `NetworkBuilder`
    packages: tuple[str, ...]  # any of them
    devices: tuple[str, ...]  # as torch names kinds of devices
    precisions: tuple[str, ...]
    install: str


# The fastest first: `auto` takes the first that is installed and fits. Torch is what remains.
RUNTIMES = {
    "tensorrt": Runtime(
        "pan3d_core.runtime.networks.tensorrt_network:open_network", ("tensorrt", "tensorrt_rtx"), ("cuda",),
        ("float32", "float16", "bfloat16"), "TensorRT comes with JetPack; on a PC: pip install tensorrt-rtx",
    ),
    "openvino": Runtime(
        "pan3d_core.runtime.networks.openvino_network:open_network", ("openvino",), ("cpu",),
        ("float32", "float16", "bfloat16"),
        'pip install "pan3d[openvino]"',
    ),
    "onnxruntime": Runtime(
        "pan3d_core.runtime.networks.onnxruntime_network:open_network", ("onnxruntime",), ("cpu",),
        ("float32", "float16"),  # its products on CPUs know no bfloat16
        'pip install "pan3d[onnx]"',
    ),
}  # fmt: skip

if TYPE_CHECKING:  # as in the table of engines
    BUILDERS: tuple[NetworkBuilder, ...] = (
        tensorrt_network.open_network,
        openvino_network.open_network,
        onnxruntime_network.open_network,
    )


def is_installed(name: str) -> bool:
    """Whether one of a runtime's packages is there; nothing is imported."""
    return any(importlib.util.find_spec(package) is not None for package in RUNTIMES[name].packages)


def misfit(name: str, device: str, precision: str) -> str:
    """Say why a runtime cannot run a network here; empty where it may.

    Args:
        name: Of the runtime.
        device: Kind of device of the network.
        precision: As `ModelConfig.precision`.

    Returns:
        The reason and the remedy.
    """
    runtime = RUNTIMES[name]
    if not is_installed(name):
        return f"{name} is not installed; {runtime.install}"
    if device not in runtime.devices:
        return f"{name} runs networks on {' or '.join(runtime.devices)}, and this one is on {device}; set model.device"
    if precision not in runtime.precisions:
        return f"{name} runs in {' or '.join(runtime.precisions)} here; model.precision {precision} is left to torch"
    return ""


def open_network(graph: Graph, runtime: str, wanted: Wanted) -> Network:
    """Open a network in the runtime that is asked for; torch takes over where that fails, and its facts say why.

    Args:
        graph: The network, its weights on the device where it shall run.
        runtime: As `ModelConfig.runtime`. `auto` takes the fastest one that is installed, fits and is built already.
        wanted: Threads, precision, whether files may be built.

    Returns:
        The network, ready to run.
    """
    device = next(graph.module.parameters()).device.type
    if runtime == "torch":
        return TorchNetwork(graph, wanted.precision, wanted.reason)
    if runtime == "auto":
        return _fastest(graph, device, wanted)
    try:
        if reason := misfit(runtime, device, wanted.precision):
            raise RuntimeUnavailable(reason)
        return _opened(graph, runtime, wanted)
    except PrecisionRefused as error:
        return _wide(graph, runtime, error)
    except RuntimeUnavailable as error:
        logger.warning("%s: model.runtime %s does not run here, torch takes over: %s", graph.engine, runtime, error)
        return TorchNetwork(graph, wanted.precision, f"instead of {runtime}: {error}", fell_back=True)


def prepared(graph: Graph, runtime: str, wanted: Wanted) -> list[OutputError]:
    """Build what a runtime needs for a network and compare it with torch, so that `auto` finds it from then on.

    Args:
        graph: The network.
        runtime: Its name.
        wanted: Threads and precision.

    Returns:
        How far each output is from torch's.

    Raises:
        RuntimeUnavailable: The runtime is not there, fails, or answers otherwise than torch; or nobody has judged the precision.
    """
    return require_verified(graph, bare_network(graph, runtime, wanted), wanted)


def bare_network(graph: Graph, runtime: str, wanted: Wanted) -> Network:
    """Open a network in a runtime that nobody has compared with torch yet; errors as `prepared`."""
    device = next(graph.module.parameters()).device.type
    if reason := misfit(runtime, device, wanted.precision):
        raise RuntimeUnavailable(reason)
    builder: NetworkBuilder = load(RUNTIMES[runtime].builder)
    return builder(graph, wanted)


def _fastest(graph: Graph, device: str, wanted: Wanted) -> Network:
    reasons = []
    for name in RUNTIMES:
        reason = misfit(name, device, wanted.precision)
        if not reason:
            try:
                return _opened(graph, name, replace(wanted, build=False, reason="the fastest that is installed and built"))
            except PrecisionRefused as error:
                return _wide(graph, name, error)
            except RuntimeUnavailable as error:
                reason = f"{name}: {error}"
        if is_installed(name):
            reasons.append(reason)
    return TorchNetwork(graph, wanted.precision, "; ".join(reasons) or f"no other runtime for {device} is installed")


def _wide(graph: Graph, runtime: str, error: PrecisionRefused) -> Network:
    """Torch in float32, since narrow numbers were judged and did harm."""
    logger.warning("%s: torch runs in float32 instead: %s", graph.engine, error)
    return TorchNetwork(graph, "float32", f"in float32 instead of {runtime}: {error}", fell_back=True)


def _opened(graph: Graph, runtime: str, wanted: Wanted) -> Network:
    builder: NetworkBuilder = load(RUNTIMES[runtime].builder)
    with step(f"opening {graph.engine} in {runtime}"):
        network = builder(graph, wanted)
        require_verified(graph, network, wanted)
    facts = network.facts
    logger.info("%s runs in %s %s on %s: %s", graph.engine, facts.name, facts.version, facts.device, facts.reason)
    return GuardedNetwork(network, TorchNetwork(graph, wanted.precision, "takes over"))


def installed_runtimes() -> dict[str, str]:
    """Name the runtimes that are installed, torch among them, with their versions."""
    found = {"torch": str(torch.__version__)}
    for name, runtime in RUNTIMES.items():
        for package in runtime.packages:
            if importlib.util.find_spec(package) is not None:
                found[name] = _version(package)
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"
