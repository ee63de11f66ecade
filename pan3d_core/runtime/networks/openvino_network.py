"""A network in OpenVINO: compiled for each number of views that it meets, at every start.

Compiled models are not kept. Read back (`CACHE_DIR`, `export_model`) by OpenVINO 2026.4.1 they answered other numbers than
before, and half of the two seconds are spent all the same.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pan3d_core.runtime.networks.built import Wanted
from pan3d_core.runtime.networks.interface import Graph, RuntimeFacts, RuntimeUnavailable, ShapeGate, Tensors
from pan3d_core.runtime.networks.precision import runnable_file
from pan3d_core.runtime.networks.room import is_memory_fault, memory_words

INSTALL = 'pip install "pan3d[openvino]"'
KEPT = 4  # numbers of views that stay compiled, each with memory of its own
DEVICE = "CPU"


class OpenVinoNetwork:
    """One compiled model for each combination of axes' lengths; they are fixed there, since free ones do not compile."""

    def __init__(self, graph: Graph, openvino: Any, file: Path, wanted: Wanted, changed: str = "") -> None:
        """`openvino`: the package. `file`: the network as ONNX. `changed`: what in it is narrower than float32."""
        self._graph, self._file = graph, file
        self._check = ShapeGate(graph.inputs, graph.axes)
        self._requests: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._core = openvino.Core()
        self._settings = {
            "INFERENCE_NUM_THREADS": wanted.threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        device = self._core.get_property(DEVICE, "FULL_DEVICE_NAME")
        version = openvino.__version__.split("-")[0]
        self.facts = RuntimeFacts("openvino", version, device, wanted.precision, wanted.reason, changed=changed)

    def __call__(self, inputs: Tensors) -> dict[str, Tensor]:
        """As `Network` has it; the first set of a new number of views waits for it to be compiled."""
        lengths = self._check(inputs)
        request = self._request(lengths)
        arrays = {spec.name: inputs[spec.name].contiguous().numpy(force=True) for spec in self._graph.inputs}
        try:
            # Outputs are copied: the next set is written into the same memory.
            outputs = request.infer(arrays, share_inputs=True)
        except Exception as error:
            raise RuntimeUnavailable(f"openvino: failed while running: {error}") from error
        return {spec.name: torch.from_numpy(outputs[number]) for number, spec in enumerate(self._graph.outputs)}

    def _request(self, lengths: dict[str, int]) -> Any:
        kind = tuple(lengths[axis] for axis in sorted(lengths))
        if kind not in self._requests:
            while len(self._requests) >= KEPT:
                self._requests.popitem(last=False)
            self._requests[kind] = self._compile(lengths).create_infer_request()
        self._requests.move_to_end(kind)
        return self._requests[kind]

    def _compile(self, lengths: dict[str, int]) -> Any:
        try:
            model = self._core.read_model(str(self._file))
            shapes = {s.name: [lengths[axis] if isinstance(axis, str) else axis for axis in s.shape] for s in self._graph.inputs}
            model.reshape(shapes)
            return self._core.compile_model(model, DEVICE, self._settings)
        except (RuntimeError, MemoryError) as error:
            if is_memory_fault(error):
                raise RuntimeUnavailable(memory_words(f"openvino: cannot compile {self._file}")) from error
            raise RuntimeUnavailable(f"openvino: cannot compile {self._file}: {error}") from error


def open_network(graph: Graph, wanted: Wanted) -> OpenVinoNetwork:
    """Open a network in OpenVINO; errors as `runtime.networks.open_network` has them for every runtime."""
    file, changed = runnable_file(graph, wanted)
    if changed:
        changed = f"{changed}; on this device weights alone are narrow, and it computes in float32"
    try:
        import openvino

        return OpenVinoNetwork(graph, openvino, file, wanted, changed)
    except Exception as error:
        raise RuntimeUnavailable(f"openvino: cannot be used here ({error}); {INSTALL}") from error
