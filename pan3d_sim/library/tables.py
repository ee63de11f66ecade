"""The tables of this package: which modelled objects are used, of which kind and split, and the words for their kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pan3d_core.runtime.files import read_rows
from pan3d_sim.objects.vocabulary import DESCRIPTIONS, HELD_OUT_DESCRIPTIONS, PARAPHRASES

# Shown in training; never shown, though others of the kind are; nothing of the kind is ever shown.
TRAIN, UNSEEN_OBJECT, UNSEEN_KIND = SPLITS = ("train", "unseen-object", "unseen-kind")
NAMES_PER_KIND = 4  # leading words that mean one kind and no other

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class KindWords:
    """What people call a kind."""

    names: tuple[str, ...]  # the kind itself first
    looser: tuple[str, ...]
    paraphrases: tuple[str, ...]  # never trained on
    materials: tuple[str, ...]

    @property
    def descriptions(self) -> tuple[str, ...]:
        """Names, looser descriptions, and names with a material."""
        kind = self.names[0]
        made = [text for material in self.materials for text in (f"{material} {kind}", f"{kind} made of {material}")]
        return tuple(text for text in (*self.names, *self.looser, *made) if text not in self.paraphrases)


@dataclass(frozen=True)
class ListedObject:
    """One row of the table of objects."""

    catalogue: str
    model: str  # its name in the catalogue
    kind: str
    split: str  # one of SPLITS
    longest_m: float | None  # longest extent where it is not the catalogue's own

    @property
    def name(self) -> str:
        """Unique among all objects."""
        return f"{self.catalogue}-{self.model}"


@cache
def kind_words() -> dict[str, KindWords]:
    """Words of the kinds that are modelled only, in their fixed order."""
    found = {}
    for kind, names, looser, paraphrases, materials in read_rows(_FOLDER / "kinds.txt", 5):
        found[kind] = KindWords((kind, *_listed(names)), _listed(looser), _listed(paraphrases), _listed(materials))
    return found


@cache
def listed_objects() -> tuple[ListedObject, ...]:
    """All objects that are used, in the order of their kinds."""
    rows = []
    for catalogue, model, kind, split, longest in read_rows(_FOLDER / "objects.txt", 5):
        rows.append(ListedObject(catalogue, model, kind, split, None if longest == "-" else float(longest) / 100))
    return tuple(rows)


def modelled_kinds(*splits: str) -> tuple[str, ...]:
    """The kinds of all objects of some splits: those that are drawn procedurally too, then the others in their fixed order."""
    shown = {item.kind for item in listed_objects() if item.split in splits}
    return tuple(kind for kind in (*DESCRIPTIONS, *HELD_OUT_DESCRIPTIONS, *kind_words()) if kind in shown)


def modelled_vocabulary(kinds: Sequence[str]) -> dict:
    """What is written beside data of procedural and modelled kinds, as `pan3d_sim.objects.vocabulary` does for procedural ones.

    Args:
        kinds: In the order of their indices.

    Returns:
        `kinds`, `descriptions`, `synonyms_per_kind`, `paraphrases`.

    Raises:
        ValueError: A kind has no words.
    """
    procedural, modelled = DESCRIPTIONS | HELD_OUT_DESCRIPTIONS, kind_words()
    if unknown := [kind for kind in kinds if kind not in procedural and kind not in modelled]:
        raise ValueError(f"kinds: expected kinds with words, got {', '.join(unknown)}")
    descriptions = {kind: modelled[kind].descriptions if kind in modelled else procedural[kind] for kind in kinds}
    paraphrases = {kind: modelled[kind].paraphrases if kind in modelled else PARAPHRASES[kind] for kind in kinds}
    return {
        "kinds": list(kinds),
        "descriptions": {kind: list(texts) for kind, texts in descriptions.items()},
        "synonyms_per_kind": NAMES_PER_KIND,
        "paraphrases": {kind: list(texts) for kind, texts in paraphrases.items()},
    }


def _listed(cell: str) -> tuple[str, ...]:
    return tuple(text.strip() for text in cell.split(",") if text.strip())
