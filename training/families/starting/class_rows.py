"""Class heads made one's own: the last layer of a network for other classes than those of the file that it starts from.

A class that the file has, by its name, keeps its row, and so does "no match". Where a new one begins is a setting:

mean    the mean of the file's classes: an object, of whichever class
text    their mean weighted by how alike the names are (needs the text encoder): "armchair" begins near "chair"
random  as in a fresh network
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.language.minilm import TextEncoder

LIKENESS_TEMPERATURE = 0.07  # difference of cosines that changes the share of a class by a factor of e


@dataclass(frozen=True)
class ClassRows:
    """The last layer of a class head for new classes, and what became of them."""

    weight: Tensor  # (C + 1, hidden)
    bias: Tensor  # (C + 1,)
    kept: tuple[str, ...]
    new: tuple[str, ...]


def adapted_rows(
    layer: tuple[Tensor, Tensor], names: Sequence[str], fresh: tuple[Tensor, Tensor], classes: Sequence[str], start: str
) -> ClassRows:
    """Make the last layer of a class head for other classes.

    Args:
        layer: Weight (N + 1, hidden) and bias (N + 1,) of the file, the last row being "no match".
        names: Of the file's N classes; empty where nobody knows them, when only "no match" is kept.
        fresh: Weight (C + 1, hidden) and bias (C + 1,) of a fresh network.
        classes: The C wanted ones.
        start: Where new ones begin: mean, text or random.

    Returns:
        The layer.

    Raises:
        TextEncoderUnavailable: `start` is text, and its package is not installed.
    """
    table = torch.cat([layer[0], layer[1][:, None]], dim=1)
    own = torch.cat([fresh[0], fresh[1][:, None]], dim=1).detach().clone().to(table)
    places = {_plain(name): row for row, name in enumerate(names)}
    kept = [name for name in classes if _plain(name) in places]
    new = [name for name in classes if _plain(name) not in places]
    own[-1] = table[-1]
    if new and names and start != "random":
        shares = torch.full((len(new), len(names)), 1 / len(names))
        if start == "text":
            encoder = TextEncoder()
            cosines = encoder.encode([_plain(name) for name in new]) @ encoder.encode([_plain(name) for name in names]).T
            shares = torch.softmax(cosines / LIKENESS_TEMPERATURE, dim=1)
        own[[list(classes).index(name) for name in new]] = shares.to(table) @ table[:-1]
    for name in kept:
        own[list(classes).index(name)] = table[places[_plain(name)]]
    return ClassRows(own[:, :-1].contiguous(), own[:, -1].contiguous(), tuple(kept), tuple(new))


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())
