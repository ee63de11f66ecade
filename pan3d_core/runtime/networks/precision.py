"""Networks with products in half precision: which ones, in which files, and what the facts say of it.

Products with weights (linear layers and convolutions) take inputs and weights in the narrow type and give their results in
float32. Everything else is as wide as ever: norms, softmax and the products of attention, exponentials, sampling, cameras.
The types stand in the file, so that every runtime reads the same, TensorRT's strongly typed networks among them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pan3d_core.runtime.networks.built import Wanted, built, network_entry, network_file
from pan3d_core.runtime.networks.cache import CacheEntry
from pan3d_core.runtime.networks.interface import Graph, RuntimeUnavailable
from pan3d_core.runtime.networks.onnx_files import INSTALL, LARGEST_IN_ONE_FILE

WIDE = "float32"
CHANGED = "changed"  # name of the words in the file that say what is narrow
POLICY = "1"  # of which products are narrow; another makes other files
# The convolutions of this ONNX version have no bfloat16.
PRODUCTS = {"float16": ("MatMul", "Gemm", "Conv", "ConvTranspose"), "bfloat16": ("MatMul", "Gemm")}
LARGEST_FLOAT16 = 65504.0


def runnable_file(graph: Graph, wanted: Wanted) -> tuple[Path, str]:
    """Find the ONNX file of a network in the precision that is wanted, or make it.

    Args:
        graph: The network.
        wanted: Names the precision, and the file or whether it may be made.

    Returns:
        The file, and what in it is narrower than float32; empty where nothing is.

    Raises:
        RuntimeUnavailable: It is not there and may not be, or cannot be, made.
    """
    if wanted.precision == WIDE:
        return network_file(graph, wanted), ""
    parts = {"network": network_entry(graph).key, "precision": wanted.precision, "policy": POLICY}
    entry = CacheEntry(graph.engine, parts, f"network_{wanted.precision}.onnx")
    path = built(entry, lambda at: write_narrow(network_file(graph, wanted), wanted.precision, at), wanted)
    return path, _changed(path)


def write_narrow(source: Path, precision: str, path: Path) -> None:
    """Write an ONNX file anew, its products with weights in a narrow type.

    Args:
        source: The file in float32.
        precision: "float16" or "bfloat16".
        path: Where the new file is written, in place.

    Raises:
        RuntimeUnavailable: The package that reads and writes ONNX is not installed, or there is no such product.
    """
    try:
        import onnx
    except ImportError as error:
        raise RuntimeUnavailable(f"{path}: writing it needs the package onnx ({error}); {INSTALL}") from error
    model = onnx.load_model(str(source))
    weights = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    count, left = _Narrowing(onnx, model.graph, precision)()
    if not count:
        raise RuntimeUnavailable(f"{source}: expected products with weights to make {precision}, got none")
    kept = f", {left} kept wide for their range" if left else ""
    words = f"{count} products with weights in {precision}{kept}; all else in float32"
    onnx.helper.set_model_props(model, {**{p.key: p.value for p in model.metadata_props}, "precision": precision, CHANGED: words})
    onnx.save_model(model, str(path), save_as_external_data=weights > LARGEST_IN_ONE_FILE, location=f"{path.name}.data")


class _Narrowing:
    """Puts casts around the products of a graph, in place."""

    def __init__(self, onnx: Any, graph: Any, precision: str) -> None:
        self._onnx, self._graph, self._products = onnx, graph, PRODUCTS[precision]
        self._narrow = {"float16": onnx.TensorProto.FLOAT16, "bfloat16": onnx.TensorProto.BFLOAT16}[precision]
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._fixed = set(self._weights)  # what follows from weights alone
        self._casts: dict[str, str] = {}  # of a tensor that has been cast already: its narrow name

    def __call__(self) -> tuple[int, int]:
        """How many products were narrowed, and how many left alone because a weight is too large for the type."""
        count = left = 0
        nodes: list[Any] = []
        for node in list(self._graph.node):
            if node.input and all(name in self._fixed for name in node.input if name):
                self._fixed.update(node.output)
            product = node.op_type in self._products and any(name in self._fixed for name in node.input)
            if not product or node.output[0] in self._fixed or not self._is_float(node):
                nodes.append(node)
                continue
            if self._is_too_large(node):
                left += 1
                nodes.append(node)
                continue
            nodes += self._narrowed(node)
            count += 1
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        used = {name for node in nodes for name in node.input} | {value.name for value in self._graph.output}
        kept = [tensor for tensor in self._weights.values() if tensor.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        return count, left

    def _is_float(self, node: Any) -> bool:
        given = [self._weights[name] for name in node.input if name in self._weights]
        return all(tensor.data_type == self._onnx.TensorProto.FLOAT for tensor in given)

    def _is_too_large(self, node: Any) -> bool:
        if self._narrow != self._onnx.TensorProto.FLOAT16:
            return False
        given = [self._onnx.numpy_helper.to_array(self._weights[name]) for name in node.input if name in self._weights]
        return any(array.size and abs(array).max() > LARGEST_FLOAT16 for array in given)

    def _narrowed(self, node: Any) -> list[Any]:
        """The casts that are not there yet, the product itself, and the cast of its result."""
        make, before = self._onnx.helper.make_node, []
        for position, name in enumerate(node.input):
            if not name:
                continue
            if name not in self._casts:
                self._casts[name] = narrow = f"{name}_narrow"
                if name in self._weights:
                    self._weights[narrow] = self._narrow_weight(self._weights[name], narrow)
                else:
                    before.append(make("Cast", [name], [narrow], to=self._narrow, name=f"{narrow}_cast"))
            node.input[position] = self._casts[name]
        wide = node.output[0]
        node.output[0] = f"{wide}_result"
        return [*before, node, make("Cast", [node.output[0]], [wide], to=self._onnx.TensorProto.FLOAT, name=f"{wide}_cast")]

    def _narrow_weight(self, tensor: Any, name: str) -> Any:
        array = self._onnx.numpy_helper.to_array(tensor)
        return self._onnx.helper.make_tensor(name, self._narrow, tensor.dims, self._bits(array), raw=True)

    def _bits(self, array: Any) -> bytes:
        kind = torch.float16 if self._narrow == self._onnx.TensorProto.FLOAT16 else torch.bfloat16
        values: bytes = torch.from_numpy(array.copy()).to(kind).view(torch.int16).numpy().tobytes()
        return values


def _changed(path: Path) -> str:
    import onnx

    model = onnx.load_model(str(path), load_external_data=False)
    words: dict[str, str] = {item.key: item.value for item in model.metadata_props}
    return words.get(CHANGED, "")
