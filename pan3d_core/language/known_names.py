"""Names of classes with stored embeddings, and when two phrases are the same name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from pan3d_core.language.encoders import Encoder


@dataclass(frozen=True)
class KnownNames:
    """Names and synonyms of classes with their embeddings; stored in a checkpoint, so that they work without the encoder."""

    names: tuple[str, ...]  # K names
    class_names: tuple[str, ...]  # K: the class that each name belongs to
    embeddings: Tensor  # (K, E) unit rows

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.class_names) == self.embeddings.shape[0]:
            counts = (len(self.names), len(self.class_names), self.embeddings.shape[0])
            raise ValueError(f"KnownNames: expected as many names as class_names and embeddings, got {counts}")

    @classmethod
    def encode(cls, names_by_class: Mapping[str, Sequence[str]], encoder: Encoder) -> KnownNames:
        """{class: [synonym, ...]}; the class's own name is always included."""
        pairs = [(name, key) for key, names in names_by_class.items() for name in dict.fromkeys([key, *names])]
        names, class_names = zip(*pairs)
        return cls(names, class_names, encoder.encode(list(names)).cpu())

    def lookup(self, phrase: str) -> tuple[int, ...]:
        """Rows whose name equals the phrase up to case, articles and plural; empty when none does."""
        wanted = name_variants(phrase)
        return tuple(row for row, variants in enumerate(self._variants) if wanted & variants)

    @cached_property
    def _variants(self) -> tuple[set[str], ...]:
        """Of each name; a prompt looks names up a hundred times."""
        return tuple(name_variants(name) for name in self.names)


def name_variants(phrase: str) -> set[str]:
    """The phrase in lower case without leading articles, with singular forms of its last word."""
    words = re.sub(r"[^\w\s]", " ", phrase.lower()).split()
    while words and words[0] in ("a", "an", "the", "some"):
        words.pop(0)
    if not words:
        return set()
    last, stems = words[-1], {words[-1]}
    if len(last) > 3 and last.endswith("s") and not last.endswith("ss"):
        stems.add(last[:-1])
    if len(last) > 4 and last.endswith("es"):
        stems.add(last[:-2])
    if len(last) > 4 and last.endswith("ies"):
        stems.add(last[:-3] + "y")
    return {" ".join([*words[:-1], stem]) for stem in stems}
