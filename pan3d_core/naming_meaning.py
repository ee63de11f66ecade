"""What words mean: known names with stored embeddings, the text encoder behind them, and how well a noun fits a segment."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pan3d_core.config import NamingConfig
from pan3d_core.labels import LabelSpace
from pan3d_core.naming_words import OTHER_THINGS
from pan3d_core.structures import Panoptic3D, Segment
from pan3d_core.text import TextEncoder, TextEncoderUnavailable

logger = logging.getLogger("pan3d.naming")

MIN_EVIDENCE, MAX_EVIDENCE = 1e-3, 0.999
# A noun that is one of the known names has its own class, so another class must be closer than usual
# to be meant as well (a cup for a mug).
_KNOWN_NOUN_MARGIN = 0.12


class Encoder(Protocol):
    """Anything that maps N texts to (N, E) unit rows."""

    def encode(self, texts: Sequence[str]) -> Tensor: ...


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


class Namer:
    """Resolves prompts and names segments. The text encoder is loaded when a word first needs it.

    Args:
        known: names of the engine's classes, usually from its checkpoint; None when the engine has none.
        encoder: text encoder; None = load the installed one when it is first needed, if it is installed.
        config: thresholds.
    """

    def __init__(
        self, known: KnownNames | None = None, encoder: Encoder | None = None, config: NamingConfig | None = None
    ) -> None:
        self.known = known
        self.config = config or NamingConfig()
        self._encoder = encoder
        self._encoder_problem = ""
        self._cache: dict[str, Tensor] = {}
        self._classes: KnownNames | None = None
        self._others: Tensor | None = None

    @property
    def encoder_problem(self) -> str:
        """Why words outside the known names cannot be understood; empty when they can or nothing was tried."""
        return self._encoder_problem

    def embed(self, phrase: str) -> Tensor | None:
        """(E,) unit vector of a phrase: from the known names, else from the encoder, else None."""
        if phrase not in self._cache:
            rows = self.known.lookup(phrase) if self.known else ()
            if rows:
                embedding = self.known.embeddings[list(rows)].mean(0)
            elif (encoder := self._load_encoder()) is not None:
                embedding = encoder.encode([phrase])[0].cpu()
            else:
                return None
            if len(self._cache) > 1000:
                self._cache.clear()
            self._cache[phrase] = torch.nn.functional.normalize(embedding.float(), dim=0)
        return self._cache[phrase]

    def _load_encoder(self) -> Encoder | None:
        if self._encoder is None and not self._encoder_problem:
            try:
                self._encoder = TextEncoder()
            except TextEncoderUnavailable as error:
                self._encoder_problem = str(error)
                logger.warning("only known names are understood: %s", error)
        return self._encoder

    def set_classes(self, names: Sequence[str]) -> None:
        """Name segments with these words from now on instead of the engine's classes; an empty list undoes it.

        Raises `ValueError` for a word that cannot be embedded.
        """
        if not names:
            self._classes = None
            return
        rows = []
        for name in dict.fromkeys(names):
            embedding = self.embed(name) if name.strip() else None
            if embedding is None:
                raise ValueError(f"classes: expected words that can be embedded, got {name!r}. {self._encoder_problem}")
            rows.append(embedding)
        unique = tuple(dict.fromkeys(names))
        self._classes = KnownNames(unique, unique, torch.stack(rows))

    def classify(self, panoptic: Panoptic3D) -> Panoptic3D:
        """The scene with segments named by the words of `set_classes`; unchanged when none were set."""
        if self._classes is None:
            return panoptic
        labels = LabelSpace.things(self._classes.names)
        segments = []
        for segment in panoptic.segments:
            fits = np.array([self.noun_evidence(name, segment, panoptic.labels)[0] for name in labels.names])
            best = int(fits.argmax())
            known = fits[best] >= self.config.min_score
            segments.append(replace(segment, class_id=best if known else -1, class_score=float(fits[best]) if known else 0.0))
        class_of = {segment.instance_id: segment.class_id for segment in segments}
        semantic_id = torch.full_like(panoptic.semantic_id, -1)
        for instance_id, class_id in class_of.items():
            semantic_id[panoptic.instance_id == instance_id] = class_id
        return replace(panoptic, segments=tuple(segments), labels=labels, semantic_id=semantic_id)

    def noun_evidence(self, noun: str, segment: Segment, labels: LabelSpace) -> tuple[float, str]:
        """Probability that `noun` describes the segment, and why; `noun` must be one that `embed` knows.

        Two ways lead to it, and the better one counts: the noun agrees with the segment's own embedding, or with what the
        segment's class is called. A low cosine alone says little, because a predicted embedding is a noisy one.
        """
        embedding = self.embed(noun)
        beliefs = self._class_beliefs(segment, labels)
        fit = MIN_EVIDENCE + sum(share * self._class_fit(noun, embedding, name) for name, share in beliefs.items())
        likeliest = max(beliefs, key=lambda name: beliefs[name], default="")
        reason = f"{noun!r} fits, as {likeliest} ({beliefs[likeliest]:.2f}) is likeliest:" if likeliest else "unnamed"
        if segment.text_embedding is not None and embedding is not None:
            cosine = float(segment.text_embedding.cpu().float() @ embedding)
            if (direct := self._likelihood(noun, cosine)) > fit:
                fit, reason = direct, f"{noun!r} agrees in meaning ({cosine:.2f})"
        fit = min(fit, MAX_EVIDENCE)
        return fit, f"{reason} {fit:.2f}"

    def _class_beliefs(self, segment: Segment, labels: LabelSpace) -> dict[str, float]:
        """Class name -> probability, from the class head and from the embedding's likeness to the known names."""
        beliefs: dict[str, float] = {}
        by_meaning = self.known is not None and segment.text_embedding is not None
        named = labels.name(segment.class_id)
        if named:
            beliefs[named] = segment.class_score * (self.config.class_weight if by_meaning else 1.0)
        if by_meaning:
            cosines = self.known.embeddings @ segment.text_embedding.cpu().float()
            best = dict.fromkeys(self.known.class_names, -1.0)
            for name, cosine in zip(self.known.class_names, cosines.tolist()):
                best[name] = max(best[name], cosine)
            shares = torch.softmax(torch.tensor(list(best.values())) / self.config.similarity_temperature, dim=0)
            weight = 1.0 - self.config.class_weight if named else 1.0
            for name, share in zip(best, shares.tolist()):
                beliefs[name] = beliefs.get(name, 0.0) + weight * share
        return beliefs

    def _class_fit(self, noun: str, embedding: Tensor | None, class_name: str) -> float:
        """Probability that `noun` can describe an object of a class, from the class's names."""
        if name_variants(noun) & name_variants(class_name):
            return 1.0
        if self.known is None or class_name not in self.known.class_names:
            own = self.embed(class_name)
            return 0.0 if own is None or embedding is None else self._likelihood(noun, float(own @ embedding))
        rows = [row for row, name in enumerate(self.known.class_names) if name == class_name]
        if set(self.known.lookup(noun)) & set(rows):
            return 1.0
        if embedding is None:
            return 0.0
        cosine = float((self.known.embeddings[rows] @ embedding).max())
        return self._likelihood(noun, cosine) * self._share_against_others(noun, embedding, cosine)

    def _share_against_others(self, noun: str, embedding: Tensor, cosine: float) -> float:
        """1 when a known name is nearer to the noun than all everyday things without a class, else less."""
        if self._encoder is None or self.known.lookup(noun):
            return 1.0
        if self._others is None:
            words = [word.replace("-", " ") for word in OTHER_THINGS]
            self._others = self._encoder.encode([word for word in words if not self.known.lookup(word)]).cpu()
        nearest = float((self._others @ embedding).max())
        return float(np.exp(min(0.0, cosine - nearest) / self.config.similarity_temperature))

    def _likelihood(self, noun: str, cosine: float) -> float:
        margin = _KNOWN_NOUN_MARGIN if self.known and self.known.lookup(noun) else 0.0
        return _sigmoid((cosine - self.config.none_similarity - margin) / self.config.similarity_temperature)


def _sigmoid(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0))))
