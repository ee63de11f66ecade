"""Sentence embeddings of the objects' descriptions: what the queries' text vectors learn to match.

Made by `python -m training.data.targets.text --data DIR --out DIR/text_embeddings.npz`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from pan3d_core.language.minilm import TextEncoder
from pan3d_core.runtime.files import named_file, written_whole
from training.data.arrays import ShardSet


@dataclass(frozen=True)
class TextTargets:
    """M descriptions of K kinds. The first `synonyms_per_kind` of each kind name it and no other."""

    kinds: tuple[str, ...]
    texts: tuple[str, ...]
    kind: Tensor  # (M,) int64
    embeddings: Tensor  # (M, text_dim) unit vectors
    synonyms_per_kind: int

    def draw(self, generator: Generator) -> Tensor:
        """One random description per kind (K, text_dim)."""
        noise = torch.rand(len(self.kind), generator=generator)
        rows = [torch.nonzero(self.kind == k)[:, 0] for k in range(len(self.kinds))]
        return self.embeddings[torch.stack([r[noise[r].argmax()] for r in rows])]

    def is_name(self) -> Tensor:
        """(M,) bool: the description is the kind's name or a synonym."""
        rank = torch.tensor([int((self.kind[:i] == k).sum()) for i, k in enumerate(self.kind)])
        return rank < self.synonyms_per_kind

    def kind_similarity(self, vectors: Tensor) -> Tensor:
        """Unit vectors (N, text_dim) -> (N, K): the highest cosine with any name of each kind."""
        names = self.is_name()
        cosine = vectors @ self.embeddings[names].T
        best = torch.full((len(vectors), len(self.kinds)), -1.0)
        return best.scatter_reduce(1, self.kind[names].expand(len(vectors), -1), cosine, "amax")


def encode_descriptions(vocabulary: dict) -> TextTargets:
    """Embed every description of a `vocabulary.json`; needs the text encoder's package."""
    kinds = tuple(vocabulary["kinds"])
    pairs = [(k, text) for k, kind in enumerate(kinds) for text in vocabulary["descriptions"][kind]]
    texts = tuple(text for _, text in pairs)
    with torch.no_grad():
        embeddings = TextEncoder().encode(list(texts)).float()
    return TextTargets(kinds, texts, torch.tensor([k for k, _ in pairs]), embeddings, int(vocabulary.get("synonyms_per_kind", 1)))


def save_text_targets(targets: TextTargets, path: Path) -> None:
    """Keep them as one file, which appears whole or not at all."""
    with written_whole(path) as part, part.open("wb") as stream:
        np.savez(
            stream, kinds=np.array(targets.kinds), texts=np.array(targets.texts), kind=targets.kind.numpy(),
            embeddings=targets.embeddings.numpy(), synonyms_per_kind=np.array(targets.synonyms_per_kind),
        )  # fmt: skip


def load_text_targets(path: Path) -> TextTargets:
    """Read what `save_text_targets` wrote. Raises `ValueError` that names the file for another content."""
    with named_file(path, "embedded descriptions"), np.load(path, allow_pickle=False) as data:
        return TextTargets(
            tuple(map(str, data["kinds"])), tuple(map(str, data["texts"])), torch.from_numpy(data["kind"]),
            torch.from_numpy(data["embeddings"]), int(data["synonyms_per_kind"]),
        )  # fmt: skip


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and val/ shard folders")
    parser.add_argument("--out", type=Path, required=True, help="file to write (.npz)")
    arguments = parser.parse_args()
    vocabulary = ShardSet(arguments.data / "train").vocabulary()
    save_text_targets(encode_descriptions(vocabulary), arguments.out)


if __name__ == "__main__":
    main()
