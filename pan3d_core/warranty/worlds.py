"""What scores of `pan3d-mini` were worth in rendered worlds: `pan3d bench warranty --seed 1000000 --write FILE`, in bins."""

from __future__ import annotations

from collections.abc import Mapping

from pan3d_core.warranty.guarantee import Confirmation

# "answers/right" of each bin, from score 0 on.
ANSWERS: Mapping[str, Mapping[str, str]] = {
    "object": {
        "cell": "- - - - - - 1/0 - - - - 1/1 - 2/2 - 2/2 1/1 6/6 33/33 24/24",
        "unseen-kinds": "- - - - - - 3/0 3/0 2/0 3/0 3/1 1/1 4/3 3/1 10/6 7/4 8/6 24/20 12/12 1/1",
        "surfaces": "- - - - - - 2/0 1/0 - 1/0 - - - 2/0 1/1 2/2 3/3 7/7 32/32 14/14",
        "lights": "- - - - - - - - - - - - - 1/0 2/2 2/1 6/4 8/8 32/32 13/13",
        "cameras": "- - - - - - 1/0 - 1/0 2/1 1/0 - 1/1 4/2 5/4 4/4 10/10 8/6 26/26 10/10",
        "surroundings": "- - - - - - 1/0 - 4/1 1/0 - 1/0 2/1 2/0 2/1 5/4 3/2 12/11 29/29 9/9",
        "effects": "- - - - - - 1/0 - - - - - - 2/2 2/1 2/2 4/3 10/10 30/30 19/19",
        "wild": "- - - - - - 1/0 2/0 2/1 6/1 - - - 5/1 4/3 8/4 7/6 10/10 22/22 2/2",
        "heaps": "- - - - - - 5/0 2/0 2/0 2/0 2/1 3/2 6/3 5/5 3/1 14/10 15/13 25/24 29/29 8/8",
        "modelled": "- - - - - - - 1/0 4/1 1/0 2/1 2/1 2/0 2/1 3/3 4/3 4/4 13/13 13/13 2/2",
        "modelled-surfaces": "- - - - - - 4/0 - 1/0 3/0 5/0 3/1 4/0 3/2 3/3 4/3 5/5 13/11 6/6 1/1",
        "modelled-wild": "- - - - - - 4/0 4/0 4/1 4/0 3/1 8/2 4/1 2/1 4/3 2/1 3/2 7/5 2/2 -",
        "modelled-heaps": "- - - - - - 1/0 2/0 4/0 6/1 2/0 5/0 1/0 4/1 10/4 9/6 8/6 9/8 2/2 -",
    },
    "words": {
        "cell": "- - - - 1/1 1/1 2/1 1/1 1/1 4/4 5/4 4/3 2/2 4/4 9/9 9/9 17/17 - 1/1 -",
        "unseen-kinds": "- - 4/0 4/0 3/2 1/0 1/0 2/1 1/1 - - - 1/1 - - - - - - -",
        "surfaces": "- - - 2/1 - - 1/1 - 2/2 1/1 2/2 1/1 8/7 3/2 10/10 10/10 8/8 4/4 - -",
        "lights": "- - - - - 2/1 2/1 1/1 3/1 8/4 5/5 3/3 1/1 6/5 10/10 12/12 7/7 2/2 1/1 -",
        "cameras": "- - 3/0 1/1 3/2 2/2 3/2 5/5 1/1 5/5 1/1 7/5 6/6 5/4 3/3 4/4 3/3 - 1/1 -",
        "surroundings": "- - 1/0 1/1 - 1/1 2/2 2/2 - 3/3 4/4 - 3/2 6/6 8/7 12/12 7/7 3/3 - -",
        "effects": "- - - - - 2/0 2/2 2/2 1/1 4/3 5/5 2/1 3/3 7/7 11/11 13/13 9/9 1/1 - -",
        "wild": "- - - 1/0 4/2 3/2 5/2 2/1 2/2 5/3 2/2 3/3 4/3 1/1 5/5 11/10 1/1 1/1 - -",
        "heaps": "- 2/0 2/0 2/1 3/1 8/4 4/3 8/6 2/1 5/2 3/3 7/5 6/4 16/12 9/9 5/5 1/1 2/2 - -",
        "modelled": "- - - - - - - - - - - - - - - - - - - -",
        "modelled-surfaces": "- - - 1/0 - - - - 1/0 - - - - - - - - - - -",
        "modelled-wild": "- 1/0 - - 1/0 - - - - - - - - - - - - - - -",
        "modelled-heaps": "- - - 1/0 - - - - - - - - - - - - - - - -",
    },
}


def answers_of_worlds(kind: str, without: str = "") -> list[Confirmation]:
    """Give the answers of rendered worlds.

    Args:
        kind: "object" or "words".
        without: A world whose answers are left out.

    Returns:
        An answer for each that was seen, with the score in the middle of its bin.
    """
    return [item for world, row in ANSWERS[kind].items() if world != without for item in _read(row)]


def _read(row: str) -> list[Confirmation]:
    cells, answers = row.split(), []
    for place, cell in enumerate(cells):
        if cell != "-":
            count, right = map(int, cell.split("/"))
            answers += [Confirmation((place + 0.5) / len(cells), number < right) for number in range(count)]
    return answers
