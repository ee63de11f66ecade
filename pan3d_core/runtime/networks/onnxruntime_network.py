"""A network in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.interface import Graph, RuntimeFacts, RuntimeUnavailable, ShapeGate, Tensors
from pan3d_core.runtime.networks.precision import runnable_file
from pan3d_core.runtime.networks.room import is_memory_fault, memory_words

INSTALL = 'pip install "pan3d[onnx]"'


class OnnxRuntimeNetwork:
    """One session for any number of views."""

    def __init__(self, graph: Graph, session: Any, facts: RuntimeFacts) -> None:
        """`session`: an `onnxruntime.InferenceSession` of the graph."""
        self._graph, self._session, self.facts = graph, session, facts
        self._check = ShapeGate(graph.inputs, graph.axes)
        self._names = [spec.name for spec in graph.outputs]

    def __call__(self, inputs: Tensors) -> dict[str, Tensor]:
        """As `Network` has it."""
        self._check(inputs)
        arrays = {spec.name: inputs[spec.name].contiguous().numpy(force=True) for spec in self._graph.inputs}
        try:
            outputs = self._session.run(self._names, arrays)
        except Exception as error:
            raise RuntimeUnavailable(f"onnxruntime: failed while running: {error}") from error
        return {name: torch.from_numpy(value) for name, value in zip(self._names, outputs, strict=True)}


def open_network(graph: Graph, wanted: Wanted) -> OnnxRuntimeNetwork:
    """Open a network in ONNX Runtime; errors as `runtime.networks.open_network` has them for every runtime."""
    path, changed = runnable_file(graph, wanted)
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        raise RuntimeUnavailable(f"onnxruntime: cannot be imported ({error}); {INSTALL}") from error
    session = _session(onnxruntime, path, wanted)
    device = session.get_providers()[0].removesuffix("ExecutionProvider")
    version, precision = onnxruntime.__version__, wanted.precision
    facts = RuntimeFacts("onnxruntime", version, device, precision, wanted.reason, changed=changed)
    return OnnxRuntimeNetwork(graph, session, facts)


def _session(onnxruntime: Any, path: Path, wanted: Wanted) -> Any:
    try:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = wanted.threads
        options.inter_op_num_threads = 1
        # Threads that wait by spinning take the cores that the cameras' messages need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if is_memory_fault(error):
            raise RuntimeUnavailable(memory_words(f"onnxruntime: cannot open {path}")) from error
        raise RuntimeUnavailable(f"onnxruntime: cannot open {path}: {error}") from error
