"""What scores of `pan3d-mini` were worth in rendered worlds: `pan3d bench warranty --seed 1000000 --write FILE`, in bins."""

from __future__ import annotations

from collections.abc import Mapping

from pan3d_core.warranty.guarantee import Confirmation

BINS = 20  # of scores, equally wide
Counts = tuple[tuple[int, int, int], ...]  # bin, answers in it, those of them that were right

ANSWERS: Mapping[str, Mapping[str, Counts]] = {"object": {}, "words": {}}


def answers_of_worlds(kind: str, without: str = "") -> list[Confirmation]:
    """Give the answers of rendered worlds.

    Args:
        kind: "object" or "words".
        without: A world whose answers are left out.

    Returns:
        An answer for each that was seen, with the score in the middle of its bin.
    """
    return [
        Confirmation((place + 0.5) / BINS, number < right)
        for world, counts in ANSWERS[kind].items()
        if world != without
        for place, count, right in counts
        for number in range(count)
    ]
