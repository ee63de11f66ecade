"""How the C library's heap gives memory back, in a process that makes and drops large tensors for hours."""

from __future__ import annotations

import ctypes
import os

# Blocks from this size on never make the heap grow: where no gap in it fits, they are mapped for themselves and given back when
# they are freed, so that no small block that is kept can lie behind them and pin them.
MAPPED_BYTES = 2**20
# What is free at the heap's end stays, up to this much: the next view set needs it again. It is what makes mapping cheap, too.
KEPT_BYTES = 2**28
# Parameters of mallopt in malloc.h of glibc, and what a user may have set in their place.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_heap_steady() -> bool:
    """Let this process hold the same memory after many view sets as after few.

    By default glibc moves the limit from which on it maps blocks for themselves up to 32 MB as such blocks are freed. Tensors of
    a view set then lie in one heap, between small ones that are kept: the heap grows into gaps that fit nothing, and its end is
    given back to the system and taken again with every set. With fixed limits neither happens.

    Returns:
        Whether the limits were set: not where the user has set some in the environment, nor without glibc.
    """
    if any(name in os.environ for name in _VARIABLES):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    return bool(libc.mallopt(_MMAP_THRESHOLD, MAPPED_BYTES) and libc.mallopt(_TRIM_THRESHOLD, KEPT_BYTES))
