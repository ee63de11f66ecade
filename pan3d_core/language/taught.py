"""Names that were taught: which object of a scene one of them means."""

from __future__ import annotations

from collections.abc import Sequence

from pan3d_core.labels import TaughtFit
from pan3d_core.language.grammar import spoken_form
from pan3d_core.structures import Segment


def taught_names(segments: Sequence[Segment]) -> tuple[str, ...]:
    """Give the names of all taught objects that segments have been compared with."""
    return tuple(fit.name for fit in segments[0].taught) if segments else ()


def taught_fit(noun: str, segment: Segment) -> TaughtFit | None:
    """Tell how well a segment fits the taught object that a noun names.

    Args:
        noun: Of a prompt, in its spoken form.
        segment: That is compared.

    Returns:
        The fit; None where the noun is no taught name.
    """
    return next((fit for fit in segment.taught if spoken_form(fit.name) == noun), None)


def taught_evidence(noun: str, segment: Segment) -> tuple[float, str] | None:
    """Weigh a taught name: it fits the taught object alone, and nothing that is only like it.

    Args:
        noun: Of a prompt, in its spoken form.
        segment: That is compared.

    Returns:
        Probability, 0 where the object is not accepted as the taught one, and why; None where the noun is no taught name.
    """
    fit = taught_fit(noun, segment)
    if fit is None:
        return None
    reason = f"taught {fit.name!r}: {fit.explanation}"
    return (fit.probability, reason) if fit.accepted else (0.0, f"{reason}, so it is not here")
