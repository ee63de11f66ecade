"""A network in TensorRT, that of JetPack or TensorRT for RTX: an engine built from the ONNX file for this GPU.

Neither can run where there is no GPU; what this file does has been built and parsed without one, and run on none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pan3d_core.runtime.networks.built import Wanted, built
from pan3d_core.runtime.networks.cache import CacheEntry
from pan3d_core.runtime.networks.interface import Graph, RuntimeFacts, RuntimeUnavailable, ShapeGate, Tensors
from pan3d_core.runtime.networks.precision import runnable_file
from pan3d_core.runtime.networks.room import memory_words

BEST_VIEWS = 4  # that kernels are chosen for
# Reported for Depth Anything v2 and 3: depth at a wrong, jumping scale, gone in 10.14 to 10.16.
WRONG_SCALE = {"da3": (10, 14), "fast3dis": (10, 14)}
INSTALL = "TensorRT comes with JetPack; on a PC: pip install tensorrt-rtx"


class TensorRtNetwork:
    """One engine with one profile, on torch's current stream."""

    def __init__(self, graph: Graph, library: Any, engine: Any, facts: RuntimeFacts) -> None:
        """`library`: the package. `engine`: an `ICudaEngine` of the graph."""
        self._graph, self._library, self._engine, self.facts = graph, library, engine, facts
        self._context = engine.create_execution_context()
        if self._context is None:
            raise RuntimeUnavailable(memory_words(f"tensorrt: cannot prepare {graph.engine} on {facts.device}"))
        self._check = ShapeGate(graph.inputs, graph.axes)

    def __call__(self, inputs: Tensors) -> dict[str, Tensor]:
        """As `Network` has it; the outputs are the caller's own."""
        self._check(inputs)
        held = {spec.name: inputs[spec.name].contiguous() for spec in self._graph.inputs}
        for name, value in held.items():
            self._context.set_input_shape(name, tuple(value.shape))
            self._context.set_tensor_address(name, value.data_ptr())
        device = next(iter(held.values())).device
        outputs = {
            spec.name: torch.empty(tuple(self._context.get_tensor_shape(spec.name)), dtype=spec.dtype, device=device)
            for spec in self._graph.outputs
        }
        for name, value in outputs.items():
            self._context.set_tensor_address(name, value.data_ptr())
        if not self._context.execute_async_v3(torch.cuda.current_stream(device).cuda_stream):
            raise RuntimeUnavailable(f"{self.facts.name}: failed while running; its own log says why")
        return outputs


def open_network(graph: Graph, wanted: Wanted) -> TensorRtNetwork:
    """Open a network in TensorRT; errors as `runtime.networks.open_network` has them for every runtime."""
    library = _library()
    _refuse_wrong_scale(graph, library)
    file, changed = runnable_file(graph, wanted)
    device = next(graph.module.parameters()).device
    entry = engine_entry(graph, library, device, wanted.precision)
    path = built(entry, lambda at: write_engine(graph, library, file, at), wanted)
    engine = read_engine(library, path)
    name = torch.cuda.get_device_name(device)
    facts = RuntimeFacts("tensorrt", library.__version__, name, wanted.precision, wanted.reason, changed=changed)
    return TensorRtNetwork(graph, library, engine, facts)


def read_engine(library: Any, path: Path) -> Any:
    """Read an engine that was built for this GPU; `RuntimeUnavailable` for one that is not, or is of another version."""
    engine = library.Runtime(library.Logger(library.Logger.WARNING)).deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise RuntimeUnavailable(
            f"tensorrt: cannot open {path}, which was built for another GPU or version, or is damaged; pan3d export --prune "
            "removes it, and it is built again"
        )
    return engine


def engine_entry(graph: Graph, library: Any, device: torch.device, precision: str) -> CacheEntry:
    """The place in the cache of an engine for one GPU.

    Args:
        graph: The network.
        library: The TensorRT package.
        device: The GPU.
        precision: As `ModelConfig.precision`.

    Returns:
        The entry; another GPU, driver or version is another one.
    """
    gpu = torch.cuda.get_device_properties(device)
    parts = {
        "engine": graph.engine, "checksum": graph.checksum, "inputs": repr(graph.inputs), "axes": repr(dict(graph.axes)),
        "precision": precision, "library": f"{library.__name__} {library.__version__}", "gpu": repr(gpu),
        "cuda": str(torch.version.cuda),
    }  # fmt: skip
    return CacheEntry(graph.engine, parts, "tensorrt.engine")


def write_engine(graph: Graph, library: Any, file: Path, path: Path, targets: tuple[str, ...] = ()) -> None:
    """Build an engine from an ONNX file.

    Args:
        graph: The network.
        library: The TensorRT package.
        file: The network as ONNX.
        path: Where the engine is written, in place.
        targets: Names of `ComputeCapability` that it is for, such as SM89, which TensorRT for RTX alone knows; none: this GPU's.

    Raises:
        RuntimeUnavailable: It cannot be parsed or built.
    """
    builder = library.Builder(library.Logger(library.Logger.WARNING))
    network = builder.create_network(1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = library.OnnxParser(network, library.Logger(library.Logger.WARNING))
    if not parser.parse(file.read_bytes(), str(file)):  # the path, as weights of large networks lie in a file beside it
        first = parser.get_error(0).desc() if parser.num_errors else "no reason given"
        raise RuntimeUnavailable(f"tensorrt: cannot parse {file}: {first}")
    settings = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for spec in graph.inputs:
        ranges = [graph.axes[axis] if isinstance(axis, str) else (axis, axis) for axis in spec.shape]
        low, high = (tuple(r[0] for r in ranges), tuple(r[1] for r in ranges))
        profile.set_shape(spec.name, low, tuple(min(max(BEST_VIEWS, a), b) for a, b in ranges), high)
    settings.add_optimization_profile(profile)
    if targets:
        settings.num_compute_capabilities = len(targets)
        for number, target in enumerate(targets):
            settings.set_compute_capability(getattr(library.ComputeCapability, target), number)
    serialized = builder.build_serialized_network(network, settings)
    if serialized is None:
        raise RuntimeUnavailable(memory_words(f"tensorrt: cannot build {graph.engine}; its own log says why, often"))
    path.write_bytes(serialized)


def _library() -> Any:
    try:
        import tensorrt as library
    except (ImportError, OSError) as first:
        try:
            import tensorrt_rtx as library
        except (ImportError, OSError) as error:
            raise RuntimeUnavailable(f"tensorrt: cannot be imported ({first}; {error}); {INSTALL}") from error
    missing = [name for name in ("Builder", "OnnxParser", "Runtime", "__version__") if not hasattr(library, name)]
    if missing:  # what is left of a package that was removed can be imported
        raise RuntimeUnavailable(f"tensorrt: cannot be used, {library.__name__} has no {missing[0]}; install it again: {INSTALL}")
    return library


def _refuse_wrong_scale(graph: Graph, library: Any) -> None:
    least = WRONG_SCALE.get(graph.engine)
    version = tuple(int(part) for part in library.__version__.split(".")[:2])
    if least is not None and library.__name__ == "tensorrt" and version < least:
        raise RuntimeUnavailable(
            f"tensorrt {library.__version__} is known to give wrong depth scales for {graph.engine}; take "
            f"{'.'.join(map(str, least))} or later (JetPack 7.2), or model.runtime torch"
        )
