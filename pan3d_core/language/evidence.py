"""How well each segment fits what a prompt says, and which segments it excludes.

What is meant is weighed: noun and colour are probabilities, sizes and places rank. What is not meant is decided: a segment that
may fit an excluded description is out, whatever else speaks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pan3d_core.language.colors import color_fit
from pan3d_core.language.grammar import Prompt, Relation
from pan3d_core.language.known_names import name_variants
from pan3d_core.language.namer import Namer
from pan3d_core.language.relations import (
    DECIDED,
    Floats,
    comparison_factors,
    distances,
    measure_values,
    relation_factors,
    relation_holds,
    relative_factors,
)
from pan3d_core.language.taught import taught_evidence, taught_fit
from pan3d_core.structures import Panoptic3D, Segment

Bools = npt.NDArray[np.bool_]

# A colour of an excluded description that fits this well puts a segment out; in doubt it is out.
EXCLUDED_COLOR_FIT = 0.2
# So does its noun, from this fit on, unless what the segment is believed to be describes it so many times better.
EXCLUDED_NOUN_FIT, CLEARLY_OTHER = 0.1, 4.0
# Where several are meant, or the best ones are excluded: what fits this much worse than the best is something else.
OTHER_SHARE = 0.25
# Candidates below this share of the best score are not counted and do not take part in "the leftmost of these".
CANDIDATE_SHARE = 0.5
NOT_FOUND = "not_found"
NO_NAMES = "no_names"
UNKNOWN_WORD = "unknown_word"


class NoAnswer(Exception):
    """The prompt means no segment; `status` is one of those of `PromptResult`."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Fits:
    """Of N segments."""

    scores: Floats  # (N,) 0..1
    excluded: Bools  # (N,) that the prompt excludes them
    reasons: list[list[str]]  # N

    def drop(self, dropped: Bools, reason: str) -> None:
        """Give segments no score."""
        self.scores = np.where(dropped, 0.0, self.scores)
        self.note(reason, dropped)

    def weigh(self, factors: Floats, words: str) -> None:
        """Multiply scores by factors that some words give."""
        self.scores = self.scores * factors
        for reasons, factor in zip(self.reasons, factors):
            reasons.append(f"{words} {factor:.2f}")

    def note(self, reason: str, where: Bools) -> None:
        """Say something of some segments."""
        for index in np.flatnonzero(where):
            self.reasons[index].append(reason)


class Evidence:
    """Compares prompts with the objects of one scene, of which there is at least one."""

    def __init__(self, panoptic: Panoptic3D, namer: Namer) -> None:
        self.panoptic, self.namer = panoptic, namer
        self.segments: Sequence[Segment] = panoptic.segments
        self.min_score = namer.config.min_score

    def fits(self, prompt: Prompt) -> Fits:
        """Weigh all segments.

        Args:
            prompt: Any.

        Returns:
            Scores, exclusions and reasons.

        Raises:
            NoAnswer: If a part, another thing or a count that the prompt names is not there, or a word cannot be compared.
        """
        if prompt.parts:
            return self._joined(prompt)
        fits = self._described(prompt)
        for excluded in prompt.excluded:
            out = self._excluded(excluded, fits.scores)
            fits.excluded |= out
            fits.note(f"excluded by {excluded.text!r}", out)
        several = prompt.plural or prompt.excluded
        if several and fits.scores.max() > 0:  # the mug that is not black is no bottle, where all mugs are black
            fits.drop(~fits.excluded & (fits.scores < OTHER_SHARE * fits.scores.max()), "clearly less than the best")
        fits.scores = np.where(fits.excluded, 0.0, fits.scores)
        decided = [relation for relation in prompt.relations if relation.kind in DECIDED]
        for relation in decided:
            fits.weigh(self._relation(relation, fits.scores), relation.kind)
        self._check_count(prompt, fits.scores)
        before = fits.scores
        for word, measure, sign in (*prompt.sizes, *prompt.places):
            fits.weigh(relative_factors(self.segments, measure, sign, fits.scores), word)
        for relation in prompt.relations:
            if relation not in decided:
                fits.weigh(self._relation(relation, fits.scores), f"{relation.kind} {relation.others[0].text!r}")
        self._choose(prompt, fits, before)
        return fits

    def _joined(self, prompt: Prompt) -> Fits:
        """Of "or" the best, of "and" all, each of which must be there."""
        answers: list[Fits] = []
        problems: list[NoAnswer] = []
        for part in prompt.parts:
            try:
                fits = self.fits(replace(part, excluded=part.excluded + prompt.excluded))
            except NoAnswer as problem:
                if prompt.joined == "and" or problem.status != NOT_FOUND:
                    raise
                problems.append(problem)
                continue
            if prompt.joined == "and":
                self._require(part, fits)
            answers.append(fits)
        if prompt.joined == "and":
            self._require_different(prompt.parts, answers)
        if not answers:
            raise problems[0]
        scores = np.stack([fits.scores for fits in answers])
        best = scores.argmax(0)
        reasons = [answers[part].reasons[index] for index, part in enumerate(best)]
        excluded: Bools = np.logical_and.reduce([fits.excluded for fits in answers])
        return Fits(scores.max(0), excluded, reasons)

    def _require(self, part: Prompt, fits: Fits) -> None:
        if fits.scores.max() < self.min_score or fits.excluded[fits.scores.argmax()]:
            raise NoAnswer(NOT_FOUND, f"nothing here fits {part.text!r}, and all of the things that are named are wanted")
        if not part.plural:  # one of each
            fits.scores = np.where(np.arange(len(fits.scores)) == fits.scores.argmax(), fits.scores, 0.0)

    def _require_different(self, parts: Sequence[Prompt], answers: Sequence[Fits]) -> None:
        taken: dict[int, Prompt] = {}
        for part, fits in zip(parts, answers):
            index = int(fits.scores.argmax())
            if not part.plural and index in taken and part.text != taken[index].text:
                raise NoAnswer(NOT_FOUND, f"one object is the nearest to {taken[index].text!r} and {part.text!r}; two are wanted")
            taken[index] = part

    def _described(self, prompt: Prompt) -> Fits:
        """By noun and colours alone."""
        noun = self._comparable(prompt.noun) if prompt.noun else ""
        scores = np.ones(len(self.segments))
        reasons: list[list[str]] = [[] for _ in self.segments]
        for index, segment in enumerate(self.segments):
            if noun:
                scores[index], reason = taught_evidence(noun, segment) or self.namer.noun_evidence(
                    noun, segment, self.panoptic.labels
                )
                reasons[index].append(reason)
            for color, shade in prompt.colors:
                fit = color_fit(color, segment.color_rgb.cpu().numpy(), shade)
                scores[index] *= fit if len(prompt.colors) == 1 else np.sqrt(fit)
                reasons[index].append(f"{color} fits {fit:.2f}")
        return Fits(scores, np.zeros(len(scores), dtype=bool), reasons)

    def _comparable(self, noun: str) -> str:
        """The part of a noun phrase that can be compared."""
        panoptic, namer = self.panoptic, self.namer
        if taught_fit(noun, self.segments[0]) is not None:
            return noun
        if all(segment.class_id < 0 and segment.text_embedding is None for segment in panoptic.segments):
            message = f"this engine names nothing, so it cannot tell what {noun!r} is; ask by colour, size or place"
            raise NoAnswer(NO_NAMES, message)
        if namer.embed(noun) is not None:
            return noun
        words = noun.split()
        for start in range(len(words)):  # without the encoder: "ceramic mug" is at least a mug
            rest = " ".join(words[start:])
            is_class = any(name_variants(rest) & name_variants(name) for name in panoptic.labels.names)
            if is_class or (namer.known and namer.known.lookup(rest)):
                return rest
        known = sorted(set(namer.known.names if namer.known else panoptic.labels.names))
        raise NoAnswer(UNKNOWN_WORD, f"{noun!r} is not among the known names ({', '.join(known[:40])}). {namer.encoder_problem}")

    def _excluded(self, prompt: Prompt, wanted: Floats) -> Bools:
        """(N,) whether each segment may be what the prompt describes; `wanted` are the scores of what is asked for."""
        if prompt.parts:
            any_part: Bools = np.logical_or.reduce([self._excluded(part, wanted) for part in prompt.parts])
            return any_part
        noun = self._comparable(prompt.noun) if prompt.noun else ""
        out: Bools = np.array([self._may_be(segment, noun, prompt) for segment in self.segments])
        if not prompt.noun and prompt.is_relative:  # "not the big one" of what is asked for
            out &= self._candidates(wanted)
        for relation in prompt.relations:
            out &= self._holds(relation)
        for _, measure, sign in (*prompt.sizes, *prompt.places):
            out &= self._has_most(measure, sign, out)
        if prompt.ordinal is not None:
            out &= np.isin(np.arange(len(out)), prompt.ordinal.chosen(self._order(prompt, out)))
        return out

    def _may_be(self, segment: Segment, noun: str, prompt: Prompt) -> bool:
        """Whether an excluded noun and all excluded colours may describe a segment."""
        rgb = segment.color_rgb.cpu().numpy()
        # Of several colours one suffices: "not the red and white mug" leaves no red one.
        if prompt.colors and max(color_fit(color, rgb, shade) for color, shade in prompt.colors) < EXCLUDED_COLOR_FIT:
            return False
        if not noun:
            return True
        labels, taught = self.panoptic.labels, taught_fit(noun, segment)
        if taught is not None:  # in doubt it is out
            return taught.probability >= EXCLUDED_NOUN_FIT
        fit, _ = self.namer.noun_evidence(noun, segment, labels)
        name = labels.name(segment.class_id)
        own = self.namer.noun_evidence(name, segment, labels)[0] if name and self.namer.embed(name) is not None else 0.0
        return fit >= EXCLUDED_NOUN_FIT and fit * CLEARLY_OTHER >= own

    def _has_most(self, measure: str, sign: int, among: Bools) -> Bools:
        """Which of some segments may be called "left" or "big": those near the most; a lone one by the middle of the scene."""
        if not among.any():
            return among
        values, _ = measure_values(self.segments, measure)
        if among.sum() == 1 and measure not in ("size", "height", "length", "width", "thickness"):
            middle = (values.max() + values.min()) / 2
            beyond: Bools = among & (sign * (values - middle) >= 0)
            return beyond
        factors = relative_factors(self.segments, measure, sign, among.astype(float))
        chosen: Bools = among & (factors >= 0.5)
        return chosen

    def _candidates(self, scores: Floats) -> Bools:
        """(N,) which segments are counted and compared."""
        chosen: Bools = scores >= max(self.min_score, CANDIDATE_SHARE * scores.max(), 1e-9)
        return chosen

    def _others(self, other: Prompt) -> list[int]:
        """Indices of the segments that may be the other thing of a relation, the likeliest first."""
        fits = self.fits(other)
        order = np.argsort(-fits.scores, kind="stable")
        allowed = self._candidates(fits.scores) & ~fits.excluded
        found = [int(index) for index in order if allowed[index]]
        if not found and other.excluded:  # which the thing beside it is held to, as well
            return self._others(replace(other, excluded=()))
        if not found:
            raise NoAnswer(NOT_FOUND, f"nothing here fits {other.text!r}")
        return found

    def _groups(self, relation: Relation) -> list[tuple[int, ...]]:
        """Combinations of segments that may be the other things."""
        found = [self._others(other) for other in relation.others]
        if relation.kind != "between":
            return [(index,) for index in found[0]]
        first, second = (found[0], found[0]) if len(found) == 1 else (found[0], found[1])
        pairs: list[tuple[int, ...]] = [(one, other) for one in first for other in second if one != other]
        if not pairs:
            raise NoAnswer(NOT_FOUND, f"{relation.others[0].text!r} is one object, and two are needed to be between them")
        return pairs

    def _relation(self, relation: Relation, scores: Floats) -> Floats:
        """(N,) factors of a relation with whichever of the other things fits it best."""
        groups = self._groups(relation)
        if relation.kind == "more":
            parts = [comparison_factors(self.segments, relation.measure, relation.sign, group[0]) for group in groups]
        else:
            parts = [relation_factors(self.segments, relation.kind, group, scores) for group in groups]
        best: Floats = np.stack(parts).max(0)
        return best

    def _holds(self, relation: Relation) -> Bools:
        """(N,) whether a relation may hold; where the other thing is missing it does not."""
        loose = tuple(replace(other, count=None, plural=True) if other.count else other for other in relation.others)
        try:
            groups = self._groups(replace(relation, others=loose))  # "not between two mugs": any two
        except NoAnswer as problem:
            if problem.status != NOT_FOUND:
                raise
            return np.zeros(len(self.segments), dtype=bool)
        if relation.kind == "more":
            parts = [comparison_factors(self.segments, relation.measure, relation.sign, group[0]) > 0 for group in groups]
        else:
            parts = [relation_holds(self.segments, relation.kind, group) for group in groups]
        holds: Bools = np.logical_or.reduce(parts)
        return holds

    def _check_count(self, prompt: Prompt, scores: Floats) -> None:
        count = prompt.count
        if count is None or count.kind == "all":
            return
        seen = int(self._candidates(scores).sum())
        too_many = count.kind in ("exactly", "among") and seen > count.number
        if seen < count.number or too_many:
            raise NoAnswer(NOT_FOUND, f"{prompt.text!r} asks for {count.number}, and {seen} are seen")

    def _choose(self, prompt: Prompt, fits: Fits, before: Floats) -> None:
        """Keep the n-th or the n best; `before` are the scores that they fit with."""
        count, ordinal = prompt.count, prompt.ordinal
        if ordinal is not None:
            candidates = self._candidates(before)
            order = self._order(prompt, candidates)
            chosen = ordinal.chosen(order)
            if not chosen:
                wanted = f"number {abs(ordinal.number)}" if ordinal.several == 1 else str(ordinal.several)
                raise NoAnswer(NOT_FOUND, f"{prompt.text!r} asks for {wanted}, and {len(order)} are seen")
            fits.scores = before
            fits.drop(~np.isin(np.arange(len(before)), chosen), f"not number {ordinal.number}")
        elif count is not None and count.kind in ("some", "exactly") and fits.scores.max() > 0:
            kept = np.argsort(-fits.scores, kind="stable")[: count.number]
            fits.scores = before
            fits.drop(~np.isin(np.arange(len(before)), kept), f"not among the {count.number}")

    def _order(self, prompt: Prompt, candidates: Bools) -> list[int]:
        """Indices of candidates in the order that an ordinal counts them in."""
        ordinal = prompt.ordinal
        assert ordinal is not None
        if ordinal.measure:
            values = -ordinal.sign * measure_values(self.segments, ordinal.measure)[0]
        else:
            relation = prompt.relations[0]
            anchor = self._others(relation.others[0])[0]
            values = distances(self.segments, anchor) * (1 if relation.kind == "near" else -1)
            candidates = candidates & (np.arange(len(values)) != anchor)
        return [int(index) for index in np.argsort(values, kind="stable") if candidates[index]]
