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

from pan3d_core.config import NamingConfig
from pan3d_core.labels import best_taught
from pan3d_core.language.colors import canonical_color, name_color
from pan3d_core.language.evidence import NO_NAMES as NO_NAMES
from pan3d_core.language.evidence import NOT_FOUND, Evidence, Fits, NoAnswer
from pan3d_core.language.evidence import UNKNOWN_WORD as UNKNOWN_WORD
from pan3d_core.language.grammar import NotUnderstood, Prompt
from pan3d_core.language.namer import MAX_EVIDENCE, MIN_EVIDENCE, Namer
from pan3d_core.language.parsing import parse_prompt
from pan3d_core.language.taught import taught_names
from pan3d_core.structures import Panoptic3D, Segment

FOUND = "found"
NO_OBJECTS = "no_objects"  # the scene is empty
NOT_UNDERSTOOD = "not_understood"  # a word changes the meaning and is not understood: nothing was looked for


@dataclass(frozen=True)
class PromptMatch:
    """One segment that a prompt may mean."""

    instance_id: int
    probability: float  # that this one is meant, against all others and none; sums to 1 - p_none
    score: float  # 0..1 how well it fits the description, whatever else is there
    explanation: str
    is_excluded: bool = False  # the prompt says that it is not meant


@dataclass(frozen=True)
class PromptResult:
    """What a prompt resolved to. `words` holds every word of the prompt, whatever the status."""

    matches: tuple[PromptMatch, ...]  # best first, every segment
    p_none: float  # probability that none of the segments is meant
    status: str  # one of the constants above
    message: str  # for a person
    min_score: float = 0.5
    words: tuple[tuple[str, str], ...] = ()  # every word of the prompt with what it did: noun, color, not, ignored, ...

    @property
    def best(self) -> PromptMatch | None:
        """The segment that is meant, or None when the status is not `FOUND`."""
        return self.matches[0] if self.status == FOUND else None

    @property
    def fitting(self) -> tuple[PromptMatch, ...]:
        """All segments that fit the description, best first ("mug" with three mugs gives three)."""
        return (
            tuple(match for match in self.matches if match.score >= self.min_score and not match.is_excluded)
            if self.status == FOUND
            else ()
        )


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
    try:
        parsed = parse_prompt(prompt, taught_names(panoptic.segments))
    except NotUnderstood as problem:
        return PromptResult((), 1.0, NOT_UNDERSTOOD, f"prompt: {problem}", namer.config.min_score, problem.words)
    if not panoptic.segments:
        return PromptResult((), 1.0, NO_OBJECTS, "no object was found in the scene", words=parsed.words)
    try:
        fits = Evidence(panoptic, namer).fits(parsed)
    except NoAnswer as problem:
        return PromptResult((), 1.0, problem.status, str(problem), namer.config.min_score, parsed.words)
    return _ranked(parsed, panoptic.segments, fits, namer.config)


def _ranked(prompt: Prompt, segments: Sequence[Segment], fits: Fits, config: NamingConfig) -> PromptResult:
    """Odds of every segment (that it fits, and that it exists) against none of them; excluded ones have none."""
    likely = np.clip(fits.scores * np.array([segment.score for segment in segments]), MIN_EVIDENCE, MAX_EVIDENCE)
    odds = np.where(fits.excluded, 0.0, likely / (1 - likely))
    probabilities = odds / (1 + odds.sum())
    order = np.lexsort((-probabilities, fits.excluded))
    matches = tuple(
        PromptMatch(
            segments[i].instance_id,
            float(probabilities[i]),
            float(fits.scores[i]),
            "; ".join(fits.reasons[i]) or "any object",
            bool(fits.excluded[i]),
        )
        for i in order
    )
    first = order[0]
    found = bool(fits.scores[first] >= config.min_score and not fits.excluded[first])
    nearest = segments[first]
    look = name_color(nearest.color_rgb.cpu().numpy())
    message = f"nothing here fits {prompt.text!r}; nearest is instance {nearest.instance_id} ({look}): {matches[0].explanation}"
    if fits.excluded.all():
        message = f"nothing here fits {prompt.text!r}: it excludes every object"
    if found:
        message = f"{prompt.text!r}: instance {matches[0].instance_id}, {matches[0].explanation}"
    p_none = float(1 / (1 + odds.sum()))
    return PromptResult(matches, p_none, FOUND if found else NOT_FOUND, message, config.min_score, prompt.words)


def class_of_name(name: str) -> str:
    """Give the class that a name of `name_segments` holds; names are no prompts, so any words may stand in it.

    Args:
        name: "red mug".

    Returns:
        The name without a colour in front, "mug"; empty for "object".
    """
    words = name.lower().split()
    rest = words[1:] if words and canonical_color(words[0]) is not None and len(words) > 1 else words
    return "" if rest == ["object"] else " ".join(rest)


def name_segments(panoptic: Panoptic3D) -> dict[int, str]:
    """Give every segment a name for people.

    Args:
        panoptic: The scene.

    Returns:
        Instance id -> the name that it was taught by, else colour and class ("red mug"), "red object" for an unnamed segment.
    """

    def name(segment: Segment) -> str:
        taught = best_taught(segment.taught)
        look = name_color(segment.color_rgb.cpu().numpy())
        return taught.name if taught else f"{look} {panoptic.labels.name(segment.class_id) or 'object'}"

    return {segment.instance_id: name(segment) for segment in panoptic.segments}
