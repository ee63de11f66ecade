"""Whether there is memory and disk for building, told before minutes are spent; and what was memory's fault."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from pan3d_core.runtime.networks.interface import Graph, RuntimeUnavailable

MEMORY_FILE = Path("/proc/meminfo")
# Beside the weights that the network holds already: once more while they are written, and what graphs take.
COPIES, GRAPH_BYTES = 1.0, 3e8
ELSEWHERE = "free some, or build it with pan3d export while nothing else runs; until then model.runtime torch"


def weight_bytes(graph: Graph) -> int:
    """Of all weights and buffers of a network."""
    return sum(tensor.numel() * tensor.element_size() for tensor in graph.module.state_dict().values())


def available_memory() -> int | None:
    """Bytes that programs can still have without swapping; None where the system does not tell."""
    try:
        lines = MEMORY_FILE.read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def require_room(graph: Graph, folder: Path) -> None:
    """Refuse to write a network where its weights have no room.

    Args:
        graph: The network.
        folder: Where it is to be written; need not be there yet.

    Raises:
        RuntimeUnavailable: Disk or memory are too small; says how much is free and what to do.
    """
    wanted = weight_bytes(graph)
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < wanted:
        raise RuntimeUnavailable(
            f"{graph.engine} takes {wanted / 1e6:.0f} MB of disk, and {there} has {free / 1e6:.0f} MB free (the disk is full); "
            "pan3d export --prune removes what was built, PAN3D_CACHE names another disk"
        )
    memory, taken = available_memory(), COPIES * wanted + GRAPH_BYTES
    if memory is not None and memory < taken:
        raise RuntimeUnavailable(
            f"building {graph.engine} takes {taken / 1e9:.1f} GB of memory beside what is used already, and "
            f"{memory / 1e9:.1f} GB are free; {ELSEWHERE}"
        )


def is_memory_fault(error: BaseException) -> bool:
    """Whether memory was too small, in the words of Python, torch or C++."""
    words = str(error).lower()
    told = any(sign in words for sign in ("allocate memory", "out of memory", "bad_alloc", "failed to allocate"))
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or told


def memory_words(doing: str) -> str:
    """What is said when memory was too small."""
    memory = available_memory()
    left = "" if memory is None else f" ({memory / 1e9:.1f} GB are free now)"
    return f"{doing}: too little memory{left}; {ELSEWHERE}"
