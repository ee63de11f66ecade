"""From words to objects and back: which segment a prompt means, and what a segment is called.

The noun of a prompt is compared by meaning: with each segment's text-aligned embedding, and with the names that the segment's
class is known by. Colours, sizes and places are read from the segments' own pixels and boxes. Each piece of evidence is a
probability; their product is a segment's `score`, and the odds of all segments against "none of these" make `probability`.

Places are meant as seen from the robot's base looking along world +x: left is +y, front (near) is small x. Sizes, places and
relations only rank the segments that fit noun and colour; they never reject the only one that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pan3d_core.config import NamingConfig
from pan3d_core.language.colors import color_fit, name_color
from pan3d_core.language.known_names import name_variants
from pan3d_core.language.namer import MAX_EVIDENCE, MIN_EVIDENCE, Namer
from pan3d_core.language.parsing import Prompt, parse_prompt
from pan3d_core.language.relations import relation_factors, relative_factors
from pan3d_core.structures import Panoptic3D, Segment

FOUND = "found"
NOT_FOUND = "not_found"  # there are named objects, none fits
NO_OBJECTS = "no_objects"  # the scene is empty
NO_NAMES = "no_names"  # the engine names nothing, so a noun cannot be resolved
UNKNOWN_WORD = "unknown_word"  # not among the known names, and no text encoder is installed


@dataclass(frozen=True)
class PromptMatch:
    """One segment that a prompt may mean."""

    instance_id: int
    probability: float  # that this one is meant, against all others and none; sums to 1 - p_none
    score: float  # 0..1 how well it fits the description, whatever else is there
    explanation: str


@dataclass(frozen=True)
class PromptResult:
    """What a prompt resolved to."""

    matches: tuple[PromptMatch, ...]  # best first, every segment
    p_none: float  # probability that none of the segments is meant
    status: str  # one of the constants above
    message: str  # for a person
    min_score: float = 0.5

    @property
    def best(self) -> PromptMatch | None:
        """The segment that is meant, or None when the status is not `FOUND`."""
        return self.matches[0] if self.status == FOUND else None

    @property
    def fitting(self) -> tuple[PromptMatch, ...]:
        """All segments that fit the description, best first ("mug" with three mugs gives three)."""
        return tuple(match for match in self.matches if match.score >= self.min_score) if self.status == FOUND else ()


def resolve_prompt(prompt: str, panoptic: Panoptic3D, namer: Namer | None = None) -> PromptResult:
    """Find which segments a description means, for example "the small red mug on the left" or "something to drink from".

    Every segment is returned with its probability; `PromptResult.best` is None unless one fits. Raises `ValueError` for an
    empty prompt and for one of more than 256 characters.

    Args:
        prompt: English words.
        panoptic: The scene with its objects.
        namer: Knows names and meanings; without one, a namer with the default settings.

    Returns:
        All segments with probability and reason, and the probability that none is meant.
    """
    namer = namer or Namer()
    return _resolve(parse_prompt(prompt), panoptic, namer)


def _resolve(prompt: Prompt, panoptic: Panoptic3D, namer: Namer) -> PromptResult:
    segments = panoptic.segments
    if not segments:
        return PromptResult((), 1.0, NO_OBJECTS, "no object was found in the scene")
    noun = prompt.noun
    if noun:
        noun, problem = _understand(noun, panoptic, namer)
        if problem is not None:
            return problem
    scores = np.ones(len(segments))
    reasons: list[list[str]] = [[] for _ in segments]
    for index, segment in enumerate(segments):
        if noun:
            scores[index], reason = namer.noun_evidence(noun, segment, panoptic.labels)
            reasons[index].append(reason)
        for color, shade in prompt.colors:
            fit = color_fit(color, segment.color_rgb.cpu().numpy(), shade)
            scores[index] *= fit if len(prompt.colors) == 1 else np.sqrt(fit)
            reasons[index].append(f"{color} fits {fit:.2f}")
    for word, measure, sign in (*prompt.sizes, *prompt.places):
        factors = relative_factors(segments, measure, sign, scores)
        scores = scores * factors
        for index, factor in enumerate(factors):
            reasons[index].append(f"{word} {factor:.2f}")
    if prompt.relation is not None:
        kind, other = prompt.relation
        anchor = _resolve(other, panoptic, namer).best
        if anchor is None:
            return PromptResult((), 1.0, NOT_FOUND, f"nothing here fits {other.text!r}", namer.config.min_score)
        factors = relation_factors(segments, kind, anchor.instance_id, scores)
        scores = scores * factors
        for index, factor in enumerate(factors):
            reasons[index].append(f"{kind} {other.text!r} {factor:.2f}")
    return _ranked(prompt, segments, scores, reasons, namer.config)


def _understand(noun: str, panoptic: Panoptic3D, namer: Namer) -> tuple[str, PromptResult | None]:
    """The part of a noun phrase that can be compared, or the result that says why none can."""
    if all(segment.class_id < 0 and segment.text_embedding is None for segment in panoptic.segments):
        message = f"this engine names nothing, so it cannot tell what {noun!r} is; ask by colour, size or place"
        return noun, PromptResult((), 1.0, NO_NAMES, message)
    if namer.embed(noun) is not None:
        return noun, None
    words = noun.split()
    for start in range(len(words)):  # without the encoder: "ceramic mug" is at least a mug
        rest = " ".join(words[start:])
        is_class = any(name_variants(rest) & name_variants(name) for name in panoptic.labels.names)
        if is_class or (namer.known and namer.known.lookup(rest)):
            return rest, None
    known = sorted(set(namer.known.names if namer.known else panoptic.labels.names))
    message = f"{noun!r} is not among the known names ({', '.join(known[:40])}). {namer.encoder_problem}"
    return noun, PromptResult((), 1.0, UNKNOWN_WORD, message)


def _ranked(
    prompt: Prompt, segments: Sequence[Segment], scores: npt.NDArray[np.float64], reasons: list[list[str]], config: NamingConfig
) -> PromptResult:
    """Odds of every segment (that it fits, and that it exists) against none of them."""
    likely = np.clip(scores * np.array([segment.score for segment in segments]), MIN_EVIDENCE, MAX_EVIDENCE)
    odds = likely / (1 - likely)
    probabilities = odds / (1 + odds.sum())
    order = np.argsort(-probabilities, kind="stable")
    matches = tuple(
        PromptMatch(segments[i].instance_id, float(probabilities[i]), float(scores[i]), "; ".join(reasons[i]) or "any object")
        for i in order
    )
    found = scores[order[0]] >= config.min_score
    nearest = segments[order[0]]
    look = name_color(nearest.color_rgb.cpu().numpy())
    message = f"nothing here fits {prompt.text!r}; nearest is instance {nearest.instance_id} ({look}): {matches[0].explanation}"
    if found:
        message = f"{prompt.text!r}: instance {matches[0].instance_id}, {matches[0].explanation}"
    return PromptResult(matches, float(1 / (1 + odds.sum())), FOUND if found else NOT_FOUND, message, config.min_score)


def name_segments(panoptic: Panoptic3D) -> dict[int, str]:
    """Give every segment a name for people.

    Args:
        panoptic: The scene.

    Returns:
        Instance id -> colour and class ("red mug"), "red object" for an unnamed segment.
    """
    return {
        segment.instance_id: f"{name_color(segment.color_rgb.cpu().numpy())} {panoptic.labels.name(segment.class_id) or 'object'}"
        for segment in panoptic.segments
    }
