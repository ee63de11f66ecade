"""A network as a function of named tensors: what is exported, what runs it, and what may be asked of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

Tensors = Mapping[str, Tensor]


class OutsideProfile(ValueError):
    """An axis is longer or shorter than a built network takes; names it and its range."""


class RuntimeUnavailable(RuntimeError):
    """A runtime cannot run a network here; the message says why and what to do about it."""


class PrecisionRefused(RuntimeUnavailable):
    """Narrow numbers did harm where they were judged; the message says how much."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output."""

    name: str
    shape: tuple[int | str, ...]  # a word is an axis of any length within its range, the same wherever it stands
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class Graph:
    """What of an engine runs in a runtime: no decisions by values, no text, only tensors."""

    engine: str
    module: nn.Module  # the inputs in their order -> a tuple of the outputs in theirs; in evaluation mode
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    axes: Mapping[str, tuple[int, int]]  # of each word in the shapes: its least and greatest length
    samples: Callable[[int], dict[str, Tensor]]  # number of views -> inputs such as the engine gives, always the same ones
    tolerance: Mapping[str, float]  # of each output: the largest error in float32 that counts as equal
    checksum: str  # of the weights
    metadata: Mapping[str, str] = field(default_factory=dict)  # what an engine needs beside the network, by name
    beside: Mapping[str, Tensor] = field(default_factory=dict)  # numbers likewise, such as vectors of names
    unposed_samples: Callable[[int], dict[str, Tensor]] | None = None  # likewise, of unknown cameras; None: no difference


@dataclass(frozen=True)
class RuntimeFacts:
    """What runs a network, and why that."""

    name: str  # torch, onnxruntime, openvino or tensorrt
    version: str
    device: str
    precision: str
    reason: str
    fell_back: bool = False  # something else was asked for, and `reason` says why it does not run
    changed: str = ""  # what is narrower than float32, and what is not; empty where nothing is


class Network(Protocol):
    """Named tensors in, named tensors out."""

    @property
    def facts(self) -> RuntimeFacts: ...

    def __call__(self, inputs: Tensors) -> dict[str, Tensor]:
        """Run it.

        Raises:
            ValueError: An input is missing, or of another shape or type; names it.
            OutsideProfile: An axis is out of its range.
            RuntimeUnavailable: The runtime failed.
        """


class ShapeGate:
    """Compares inputs with what a network takes; shapes that have passed once pass at once."""

    def __init__(self, specs: Sequence[TensorSpec], axes: Mapping[str, tuple[int, int]]) -> None:
        self._specs, self._axes = specs, axes
        self._passed: set[tuple[object, ...]] = set()

    def __call__(self, inputs: Tensors) -> dict[str, int]:
        """Return the length of every axis.

        Raises:
            ValueError: As `Network.__call__`.
        """
        missing = [spec.name for spec in self._specs if spec.name not in inputs]
        if missing:
            raise ValueError(f"inputs: expected {', '.join(spec.name for spec in self._specs)}, got none named {missing[0]}")
        found: dict[str, int] = {}
        for spec in self._specs:
            found |= zip((axis for axis in spec.shape if isinstance(axis, str)), _lengths(spec, inputs[spec.name]))
        kind = tuple((inputs[spec.name].shape, inputs[spec.name].dtype) for spec in self._specs)
        if kind not in self._passed:
            for spec in self._specs:
                self._compare(spec, inputs[spec.name], found)
            self._passed.add(kind)
        return found

    def _compare(self, spec: TensorSpec, tensor: Tensor, found: Mapping[str, int]) -> None:
        wanted = tuple(found[axis] if isinstance(axis, str) else axis for axis in spec.shape)
        if tuple(tensor.shape) != wanted or tensor.dtype != spec.dtype:
            raise ValueError(
                f"{spec.name}: expected {', '.join(map(str, spec.shape))} of {spec.dtype}, "
                f"got {tuple(tensor.shape)} of {tensor.dtype}"
            )
        for axis in (axis for axis in spec.shape if isinstance(axis, str)):
            low, high = self._axes[axis]
            if not low <= found[axis] <= high:
                raise OutsideProfile(f"{spec.name}: expected {low} to {high} {axis}, got {found[axis]}")


def _lengths(spec: TensorSpec, tensor: Tensor) -> list[int]:
    if tensor.ndim != len(spec.shape):
        raise ValueError(f"{spec.name}: expected {len(spec.shape)} axes ({', '.join(map(str, spec.shape))}), got {tensor.ndim}")
    return [length for axis, length in zip(spec.shape, tensor.shape) if isinstance(axis, str)]
