"""What words mean: known names with stored embeddings, the text encoder behind them, and how well a noun fits a segment."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pan3d_core.config import NamingConfig
from pan3d_core.labels import LabelSpace
from pan3d_core.language.encoders import EMBEDDED, Encoder, PromptEnsemble, build_text_encoder
from pan3d_core.language.grammar.words import OTHER_THINGS
from pan3d_core.language.known_names import KnownNames, name_variants
from pan3d_core.language.text_space import TextSpace
from pan3d_core.runtime.minilm_files import TextEncoderUnavailable
from pan3d_core.structures import Panoptic3D, Segment

Floats = npt.NDArray[np.float64]
logger = logging.getLogger("pan3d.naming")

MIN_EVIDENCE, MAX_EVIDENCE = 1e-3, 0.999
MAX_CACHED = 20_000  # phrases whose vectors are kept, 30 MB of the embedded encoder's
# A noun that is one of the known names has its own class, so another class must be closer than usual
# to be meant as well (a cup for a mug).
_KNOWN_NOUN_MARGIN = 0.12


class Vocabulary(Protocol):
    """What a namer asks of an engine's facts."""

    @property
    def known_names(self) -> KnownNames | None: ...

    @property
    def text_space(self) -> TextSpace | None: ...


@dataclass(frozen=True)
class Nouns:
    """Phrases with what comparing them needs; `embeddings` None = none of them could be embedded."""

    phrases: tuple[str, ...]  # T
    embeddings: Tensor | None  # (T, E) unit rows
    known_rows: tuple[frozenset[int], ...]  # rows of `KnownNames` that each of them is, by `name_variants`
    # Fits with a class are the same for all segments and views.
    fits: dict[tuple[str, NamingConfig], Floats] = field(default_factory=dict, compare=False)


class Namer:
    """Resolves prompts and names segments. The embedded text encoder is loaded when a word first needs it, others at once;
    without weights for one that only the engine asks for, words outside the known names are not understood.

    Args:
        known: names of the engine's classes, usually from its checkpoint; None when the engine has none.
        encoder: text encoder; None = the one that `config` names, the embedded one only where it is installed.
        config: thresholds, and which encoder.
        space: of the engine's features, whose temperature and "none of these" hold for comparisons with segments.

    Raises what `build_text_encoder` does, but for the embedded encoder, and `ValueError` for an encoder of another space.
    """

    def __init__(
        self,
        known: KnownNames | None = None,
        encoder: Encoder | None = None,
        config: NamingConfig | None = None,
        space: TextSpace | None = None,
    ) -> None:
        self.known = known
        self.config = config or NamingConfig()
        own = space.encoder if space is not None else EMBEDDED
        self.encoder_name = own if self.config.encoder == "auto" else self.config.encoder
        if space is not None and self.encoder_name != own:
            raise ValueError(f"naming.encoder: expected {own}, in whose space the engine's features lie, got {self.encoder_name}")
        self.taught: tuple[str, ...] = ()  # names of taught objects, which prompts may hold
        self._space = space
        self._encoder = encoder
        self._encoder_problem = ""
        self._cache: dict[str, Tensor] = {}
        self._classes: Nouns | None = None
        self._last: Nouns | None = None
        self._others: Tensor | None = None
        if encoder is None and self.encoder_name != EMBEDDED:
            if self.config.encoder == "auto" and not self.config.encoder_weights:  # nobody asked for names
                self._encoder_problem = f"The engine's features are compared with texts by {own}: set naming.encoder_weights"
                logger.warning("only known names are understood. %s", self._encoder_problem)
            else:
                self._encoder = self._built_encoder()

    @classmethod
    def of_facts(cls, facts: Vocabulary, config: NamingConfig | None = None) -> Namer:
        """The namer that speaks the language of the engine with these facts: its known names and the space of its features."""
        return cls(facts.known_names, config=config, space=facts.text_space)

    @property
    def encoder_problem(self) -> str:
        """Why words outside the known names cannot be understood; empty when they can or nothing was tried."""
        return self._encoder_problem

    def embed(self, phrase: str) -> Tensor | None:
        """(E,) unit vector of a phrase: from the known names, else from the encoder, else None."""
        return self.embed_all([phrase])[0]

    def embed_all(self, phrases: Sequence[str]) -> list[Tensor | None]:
        """`embed` of many phrases; the encoder gets those that it has not seen lately in one call."""
        found = {phrase: self._cache.get(phrase) for phrase in phrases}
        unseen = [phrase for phrase, vector in found.items() if vector is None]
        made = {phrase: vector for phrase in unseen if (vector := self._known_vector(phrase)) is not None}
        strange = [phrase for phrase in unseen if phrase not in made]
        if strange and (encoder := self._load_encoder()) is not None:
            made |= dict(zip(strange, encoder.encode(strange).cpu()))
        made = {phrase: torch.nn.functional.normalize(vector.float(), dim=0) for phrase, vector in made.items()}
        if len(self._cache) + len(made) > MAX_CACHED:
            self._cache.clear()
        self._cache.update(made)
        return [made[phrase] if phrase in made else found[phrase] for phrase in phrases]

    def _known_rows(self, phrase: str) -> tuple[int, ...]:
        return self.known.lookup(phrase) if self.known else ()

    def _known_vector(self, phrase: str) -> Tensor | None:
        """Mean of the known names that the phrase is, None where it is none of them."""
        rows = self._known_rows(phrase)
        return self.known.embeddings[list(rows)].mean(0) if self.known and rows else None

    def _load_encoder(self) -> Encoder | None:
        if self._encoder is None and not self._encoder_problem:
            try:
                self._encoder = self._built_encoder()
            except TextEncoderUnavailable as error:
                self._encoder_problem = str(error)
                logger.warning("only known names are understood: %s", error)
        return self._encoder

    def _built_encoder(self) -> Encoder:
        encoder = build_text_encoder(self.encoder_name, self.config.encoder_weights)
        return PromptEnsemble(encoder, self.config.templates) if self.config.templates else encoder

    def nouns(self, phrases: Sequence[str]) -> Nouns:
        """What comparing these phrases needs; `ValueError` where only some of them can be embedded, or into several spaces."""
        found = self.embed_all(phrases)
        vectors = [vector for vector in found if vector is not None]
        lacking = [phrase for phrase, vector in zip(phrases, found) if vector is None]
        if lacking and len(phrases) > 1:
            raise ValueError(f"classes: expected words that can be embedded, got {lacking[0]!r}. {self._encoder_problem}")
        widths = sorted({len(vector) for vector in vectors})
        if len(widths) > 1:
            raise ValueError(f"naming.encoder: expected vectors of the known names' length {widths}, of {self.encoder_name}")
        rows = tuple(frozenset(self._known_rows(phrase)) for phrase in phrases)
        return Nouns(tuple(phrases), None if lacking else torch.stack(vectors), rows)

    def set_classes(self, names: Sequence[str]) -> tuple[str, ...]:
        """Name segments with these words from now on instead of the engine's classes; an empty list undoes it.

        Returns the names in force: blanks around and within names are tidied, and of names that differ in nothing but that and
        case the first counts. Raises `ValueError` for a name without a word and for one that cannot be embedded.
        """
        tidy: dict[str, str] = {}
        for name in names:
            words = " ".join(name.split())
            if not name_variants(words):
                raise ValueError(f"classes: expected names with a word in each, got {name!r}")
            tidy.setdefault(words.casefold(), words)
        unique = tuple(tidy.values())
        if unique and self.embed_all(unique[:1])[0] is None:
            raise ValueError(f"classes: expected words that can be embedded, got {unique[0]!r}. {self._encoder_problem}")
        self._classes = self.nouns(unique) if unique else None
        return unique

    def classify(self, panoptic: Panoptic3D) -> Panoptic3D:
        """The scene with segments named by the words of `set_classes`; unchanged when none were set."""
        classes = self._classes  # another thread may set others meanwhile
        if classes is None:
            return panoptic
        labels = LabelSpace.things(classes.phrases)
        segments = []
        for segment in panoptic.segments:
            fits = self._unlimited_evidence(classes, segment, panoptic.labels)  # names beyond the limit would be equal
            best = int(fits.argmax())
            score = min(float(fits[best]), MAX_EVIDENCE)
            known = score >= self.config.min_score
            segments.append(replace(segment, class_id=best if known else -1, class_score=score if known else 0.0))
        class_of = {segment.instance_id: segment.class_id for segment in segments}
        semantic_id = torch.full_like(panoptic.semantic_id, -1)
        for instance_id, class_id in class_of.items():
            semantic_id[panoptic.instance_id == instance_id] = class_id
        return replace(panoptic, segments=tuple(segments), labels=labels, semantic_id=semantic_id)

    def evidence(self, nouns: Nouns, segment: Segment, labels: LabelSpace) -> Floats:
        """(T,) probability that each noun describes the segment.

        Two ways lead to it, and the better one counts: the noun agrees with the segment's own embedding, or with what the
        segment's class is called. A low cosine alone says little, because a predicted embedding is a noisy one.
        """
        return np.minimum(self._unlimited_evidence(nouns, segment, labels), MAX_EVIDENCE)

    def _unlimited_evidence(self, nouns: Nouns, segment: Segment, labels: LabelSpace) -> Floats:
        by_class = self._evidence_by_class(nouns, self._class_beliefs(segment, labels))
        cosines = self._cosines(nouns, segment)
        direct = by_class if cosines is None else self._likelihood(nouns, cosines, self._space)
        return np.maximum(by_class, direct)

    def noun_evidence(self, noun: str, segment: Segment, labels: LabelSpace) -> tuple[float, str]:
        """`evidence` of one noun that `embed` knows, and why."""
        nouns = self._alone(noun)
        beliefs = self._class_beliefs(segment, labels)
        by_class, fit = float(self._evidence_by_class(nouns, beliefs)[0]), float(self.evidence(nouns, segment, labels)[0])
        likeliest = max(beliefs, key=lambda name: beliefs[name], default="")
        reason = f"{noun!r} fits, as {likeliest} ({beliefs[likeliest]:.2f}) is likeliest:" if likeliest else "unnamed"
        cosines = self._cosines(nouns, segment)
        if cosines is not None and fit > by_class:
            reason = f"{noun!r} agrees in meaning ({float(cosines[0]):.2f})"
        return fit, f"{reason} {fit:.2f}"

    def _alone(self, noun: str) -> Nouns:
        """The noun as `Nouns`; a prompt asks for the same one at every segment."""
        nouns = self._last
        if nouns is None or nouns.phrases != (noun,) or nouns.embeddings is None:
            self._last = nouns = self.nouns([noun])
        return nouns

    def _evidence_by_class(self, nouns: Nouns, beliefs: dict[str, float]) -> Floats:
        parts = [share * self._class_fits(nouns, name) for name, share in beliefs.items()]
        fits: Floats = MIN_EVIDENCE + sum(parts, np.zeros(len(nouns.phrases)))
        return fits

    def _cosines(self, nouns: Nouns, segment: Segment) -> Floats | None:
        """(T,) of the nouns with the segment's embedding, None where either has none."""
        if segment.text_embedding is None or nouns.embeddings is None:
            return None
        own, width = segment.text_embedding.cpu().float(), nouns.embeddings.shape[1]
        if len(own) != width:
            raise ValueError(
                f"naming.encoder: expected the encoder whose space the engine's segments lie in, of {len(own)} numbers, "
                f"got {self.encoder_name} of {width}"
            )
        cosines: Floats = (nouns.embeddings @ own).double().numpy()
        return cosines

    def _class_beliefs(self, segment: Segment, labels: LabelSpace) -> dict[str, float]:
        """Class name -> probability, from the class head and from the embedding's likeness to the known names."""
        beliefs: dict[str, float] = {}
        by_meaning = self._shares_by_meaning(segment)
        named = labels.name(segment.class_id)
        if named:
            beliefs[named] = segment.class_score * (1.0 if by_meaning is None else self.config.class_weight)
        weight = 1.0 - self.config.class_weight if named else 1.0
        for name, share in (by_meaning or {}).items():
            beliefs[name] = beliefs.get(name, 0.0) + weight * share
        return beliefs

    def _shares_by_meaning(self, segment: Segment) -> dict[str, float] | None:
        """Class name -> share, by the best cosine of its names with the segment's embedding; None without either."""
        if self.known is None or segment.text_embedding is None:
            return None
        cosines = self.known.embeddings @ segment.text_embedding.cpu().float()
        best = dict.fromkeys(self.known.class_names, -1.0)
        for name, cosine in zip(self.known.class_names, cosines.tolist()):
            best[name] = max(best[name], cosine)
        shares = torch.softmax(torch.tensor(list(best.values())) / self.config.similarity_temperature, dim=0)
        return dict(zip(best, shares.tolist()))

    def _class_fits(self, nouns: Nouns, class_name: str) -> Floats:
        """(T,) probability that each noun can describe an object of a class, from the class's names."""
        key = (class_name, self.config)
        if key not in nouns.fits:
            nouns.fits[key] = self._new_class_fits(nouns, class_name)
        return nouns.fits[key]

    def _new_class_fits(self, nouns: Nouns, class_name: str) -> Floats:
        variants, known_names = name_variants(class_name), self.known
        rows = {row for row, name in enumerate(known_names.class_names) if name == class_name} if known_names else set()
        same = [bool(name_variants(phrase) & variants or known & rows) for phrase, known in zip(nouns.phrases, nouns.known_rows)]
        names: Tensor | None
        if known_names and rows:
            names = known_names.embeddings[sorted(rows)]
        else:
            own = self.embed(class_name)
            names = None if own is None else own[None]
        if nouns.embeddings is None or names is None:
            return np.where(same, 1.0, 0.0)
        cosines: Floats = (names @ nouns.embeddings.T).amax(0).double().numpy()
        fits = self._likelihood(nouns, cosines)
        if known_names and rows:
            fits = fits * self._shares_against_others(nouns.embeddings, nouns.known_rows, cosines, known_names)
        return np.where(same, 1.0, fits)

    def _shares_against_others(
        self, embeddings: Tensor, known_rows: Sequence[frozenset[int]], cosines: Floats, known_names: KnownNames
    ) -> Floats:
        """(T,) 1 where a known name is nearer to the noun than all everyday things without a class, else less."""
        if self._encoder is None:
            return np.ones(len(cosines))
        if self._others is None:
            words = [word.replace("-", " ") for word in OTHER_THINGS]
            self._others = self._encoder.encode([word for word in words if not known_names.lookup(word)]).cpu()
        nearest: Floats = (self._others @ embeddings.T).amax(0).double().numpy()
        shares = np.exp(np.minimum(0.0, cosines - nearest) / self.config.similarity_temperature)
        return np.where([bool(rows) for rows in known_rows], 1.0, shares)

    def _likelihood(self, nouns: Nouns, cosines: Floats, space: TextSpace | None = None) -> Floats:
        """(T,) probability that the same is meant; by the numbers of an engine's text space where they are for it."""
        if space is not None:
            return _sigmoid((cosines - space.none_similarity) / space.temperature)
        margins = np.where([bool(rows) for rows in nouns.known_rows], _KNOWN_NOUN_MARGIN, 0.0)
        return _sigmoid((cosines - self.config.none_similarity - margins) / self.config.similarity_temperature)


def _sigmoid(x: Floats) -> Floats:
    likely: Floats = 1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0)))
    return likely
