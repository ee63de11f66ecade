"""Long work in portions, so that it can be spread over view sets instead of making one of them late."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
# Work that pauses after its portions and returns its result in the end.
Portions = Generator[None, None, T]


def advance(work: Portions[T], count: int) -> T | None:
    """Do the next portions.

    Args:
        work: That is not done yet.
        count: Portions at most.

    Returns:
        The result, when these were the last portions; else None.
    """
    try:
        for _ in range(count):
            next(work)
    except StopIteration as done:
        result: T = done.value
        return result
    return None


def at_once(work: Portions[T]) -> T:
    """Do all portions that are left and give the result."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result
