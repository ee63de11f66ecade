"""What is wanted of a runtime, and the files that runtimes are built from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from pan3d_core.runtime.networks.cache import CacheEntry
from pan3d_core.runtime.networks.interface import Graph, RuntimeUnavailable
from pan3d_core.runtime.networks.onnx_files import FORMAT, OPSET, require_same_network, write_onnx
from pan3d_core.runtime.networks.room import memory_words, require_room
from pan3d_core.runtime.progress import step

logger = logging.getLogger("pan3d.runtime.networks")


@dataclass(frozen=True)
class Wanted:
    """How a network is to be run."""

    threads: int  # on the CPU
    precision: str = "float32"  # as `ModelConfig.precision`
    build: bool = True  # make what is not in the cache; False: refuse
    file: Path | None = None  # an ONNX file of the network; None: the one in the cache
    reason: str = "asked for"


def network_entry(graph: Graph) -> CacheEntry:
    """The place in the cache of a network's ONNX file."""
    parts = {
        "format": FORMAT, "engine": graph.engine, "checksum": graph.checksum, "opset": str(OPSET), "torch": torch.__version__,
        "inputs": repr(graph.inputs), "outputs": repr(graph.outputs), "axes": repr(dict(graph.axes)),
    }  # fmt: skip
    return CacheEntry(graph.engine, parts, "network.onnx")


def network_file(graph: Graph, wanted: Wanted) -> Path:
    """Find the ONNX file of a network, or make it.

    Args:
        graph: The network.
        wanted: Names the file, or says whether it may be made.

    Returns:
        The file.

    Raises:
        RuntimeUnavailable: It is not there and may not be, or cannot be, made; or the one that is named is of another network.
    """
    if wanted.file is not None:
        require_same_network(wanted.file, graph)
        return wanted.file
    entry = network_entry(graph)
    if wanted.build and entry.find() is None:
        require_room(graph, entry.folder)
    return built(entry, lambda path: write_onnx(graph, path), wanted)


def built(entry: CacheEntry, write: Callable[[Path], None], wanted: Wanted) -> Path:
    """Find a file in the cache, or build it there.

    Args:
        entry: Which file.
        write: Makes it at the path that it is given.
        wanted: Says whether it may be made.

    Returns:
        The file.

    Raises:
        RuntimeUnavailable: It is not there and may not be, or cannot be, made.
    """
    found = entry.find()
    if found is not None:
        return found
    if not wanted.build:
        raise RuntimeUnavailable(
            f"{entry.filename} is not built yet for such pictures; pan3d export {entry.group} [--picture WxH] builds it once"
        )
    logger.info("building %s for %s, which happens once", entry.filename, entry.group)
    started = time.monotonic()
    try:
        with step(f"building {entry.filename} for {entry.group}"):
            path = entry.build(write)
    except MemoryError as error:
        raise RuntimeUnavailable(memory_words(f"{entry.filename} cannot be built")) from error
    except (OSError, ValueError) as error:  # a full disk, an axis that became fixed
        raise RuntimeUnavailable(f"{entry.filename} cannot be built: {error}") from error
    logger.info("built %s for %s in %.1f s", entry.filename, entry.group, time.monotonic() - started)
    return path
