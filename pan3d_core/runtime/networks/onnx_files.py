"""ONNX files of networks: written from torch for any number of views, with what an engine needs beside the network in them."""

from __future__ import annotations

import base64
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from pan3d_core.runtime.networks.interface import Graph, RuntimeUnavailable
from pan3d_core.runtime.networks.room import is_memory_fault, memory_words, weight_bytes

OPSET = 20
FORMAT = "pan3d-onnx/2"
EXAMPLE_VIEWS = 4  # neither 1 nor 2, which the exporter takes for lengths that never change
LARGEST_IN_ONE_FILE = 1_500_000_000  # bytes of weights; more lie beside it, since such files end at 2 GB
INSTALL = 'pip install "pan3d[onnx]"'
BESIDE = "tensor."  # before the names of numbers that lie beside a network


class _InOrder(nn.Module):
    """A module that takes any number of tensors, as the exporter wants their shapes in one form for all."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.module(*tensors)
        return outputs


def write_onnx(graph: Graph, path: Path) -> None:
    """Export a network.

    Args:
        graph: The network; every axis that its shapes name stays free in the file.
        path: Where the file is written, in place.

    Raises:
        RuntimeUnavailable: The packages that write ONNX are not installed, or the network cannot be exported.
        ValueError: An axis became fixed although the network should take any length of it.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript.optimizer
    except ImportError as error:
        raise RuntimeUnavailable(f"export: needs the packages onnx and onnxscript ({error}); {INSTALL}") from error
    inputs = graph.samples(EXAMPLE_VIEWS)
    dims = {axis: Dim(axis, min=low, max=high) for axis, (low, high) in graph.axes.items()}
    shapes = [{n: dims[axis] for n, axis in enumerate(spec.shape) if isinstance(axis, str)} for spec in graph.inputs]
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                _InOrder(graph.module).eval(),
                tuple(inputs[spec.name] for spec in graph.inputs),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=(tuple(shape or None for shape in shapes),),
                input_names=[spec.name for spec in graph.inputs],
                output_names=[spec.name for spec in graph.outputs],
                optimize=False,  # the runtimes optimise anyway, and this takes minutes
                verbose=False,
            )
    except Exception as error:
        if is_memory_fault(error):
            raise RuntimeUnavailable(memory_words(f"export: {graph.engine} cannot be written as ONNX")) from error
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RuntimeUnavailable(f"export: {graph.engine} cannot be written as ONNX: {first}") from error
    if program is None:
        raise RuntimeUnavailable(f"export: {graph.engine} cannot be written as ONNX: the exporter gave nothing")
    _require_free_axes(graph, program.model)
    # TensorRT wants the axes of reductions as constants, not as what follows from constants, and knows no sequences of tensors.
    with _quiet():
        onnxscript.optimizer.fold_constants(program.model, onnx_shape_inference=False)
        onnxscript.optimizer.remove_unused_nodes(program.model)
    words = {**graph.metadata, **{f"{BESIDE}{name}": packed(value) for name, value in graph.beside.items()}}
    words |= {"pan3d_format": FORMAT, "engine": graph.engine, "checksum": graph.checksum, "inputs": _sizes(graph)}
    program.model.metadata_props.update(words)
    program.save(str(path), external_data=weight_bytes(graph) > LARGEST_IN_ONE_FILE)


def _require_free_axes(graph: Graph, model: Any) -> None:
    """The exporter fixes an axis without an error when the network's code depends on its length."""
    lengths = {value.name: list(value.shape) for value in model.graph.inputs}
    for spec in graph.inputs:
        for axis, length in zip(spec.shape, lengths[spec.name]):
            if isinstance(axis, str) and isinstance(length, int):
                raise ValueError(
                    f"export: expected {spec.name} to take any number of {axis}, got {length} alone from the exporter"
                )


def read_onnx_metadata(path: Path | str) -> dict[str, str]:
    """Read the words in an ONNX file that pan3d wrote.

    Args:
        path: The file.

    Returns:
        Name -> words.

    Raises:
        FileNotFoundError: There is no such file.
        RuntimeUnavailable: Nothing that reads ONNX is installed.
        ValueError: It is no ONNX file, or not one of this version of pan3d's; says what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights: expected a file, got {path}, which does not exist")
    words = dict(_metadata_props(path))
    if words.get("pan3d_format") != FORMAT:
        raise ValueError(
            f"weights: expected an ONNX file of format {FORMAT!r}, got {path} of {words.get('pan3d_format', 'unknown')!r}; "
            "write it again with pan3d export"
        )
    return words


def packed(tensor: Tensor) -> str:
    """A tensor in float32 as words: JSON of its shape and, in base64, its values."""
    values = tensor.detach().cpu().float().contiguous().numpy()
    return json.dumps({"shape": list(tensor.shape), "float32": base64.b64encode(values.tobytes()).decode()})


def unpacked(words: str) -> Tensor:
    """The tensor that `packed` made words of; `ValueError` for other words."""
    try:
        content = json.loads(words)
        values = torch.frombuffer(bytearray(base64.b64decode(content["float32"])), dtype=torch.float32)
        return values.reshape(content["shape"])
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"tensor: expected the words of one, got {words[:40]!r} ({error})") from error


def require_same_network(path: Path, graph: Graph) -> None:
    """Refuse an ONNX file that was written from another network, other weights or for other pictures.

    Args:
        path: The file.
        graph: The network that it should be of.

    Raises:
        RuntimeUnavailable: It is of another one, damaged or not there; says of which and what to do.
    """
    try:
        words = read_onnx_metadata(path)
    except (OSError, ValueError) as error:
        raise RuntimeUnavailable(str(error)) from error
    for name, expected in (("engine", graph.engine), ("checksum", graph.checksum), ("inputs", _sizes(graph))):
        found = words.get(name, "none")
        if found != expected:
            raise RuntimeUnavailable(
                f"{path}: expected the network of {graph.engine} with {name} {expected[:40]}, got {found[:40]} of "
                f"{words.get('engine', 'unknown')}; pan3d export {graph.engine} writes it anew"
            )


def _sizes(graph: Graph) -> str:
    """Shapes of the inputs, so that pictures of another size are told from these."""
    return "; ".join(f"{spec.name} {'x'.join(map(str, spec.shape))}" for spec in graph.inputs)


def _metadata_props(path: Path) -> Mapping[str, str]:
    try:
        import onnx
    except ImportError as error:
        raise RuntimeUnavailable(f"{path}: reading it needs the package onnx ({error}); {INSTALL}") from error
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except Exception as error:
        raise ValueError(f"weights: expected a complete ONNX file, got {path} ({type(error).__name__})") from error
    return {item.key: item.value for item in model.metadata_props}


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of its own insides; what fails is raised."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
