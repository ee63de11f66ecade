"""Text encoders behind one interface, by name, and prompt ensembles around any of them.

Vectors of two encoders cannot be compared: an engine names objects with the encoder whose space its features lie in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.language.clip import load_clip, load_lseg
from pan3d_core.language.minilm import TextEncoder

EMBEDDED = "minilm"


class Encoder(Protocol):
    """Anything that maps N texts to (N, dim) unit rows."""

    dim: int

    def encode(self, texts: Sequence[str]) -> Tensor: ...


def _minilm(weights: str) -> Encoder:
    if weights:
        raise ValueError(f"encoder_weights: expected none for {EMBEDDED}, whose package holds them, got {weights!r}")
    return TextEncoder()


def _clip(weights: str) -> Encoder:
    return load_clip(weights)


def _lseg(weights: str) -> Encoder:
    return load_lseg(weights)


TEXT_ENCODERS: dict[str, Callable[[str], Encoder]] = {EMBEDDED: _minilm, "clip-vit-b32": _clip, "lseg": _lseg}


def build_text_encoder(name: str = EMBEDDED, weights: str = "") -> Encoder:
    """Build the encoder `name` of `TEXT_ENCODERS` with weights from this machine; nothing is downloaded.

    `weights`: see `naming.encoder_weights`. Raises `ValueError` for another name and for files that do not fit,
    `FileNotFoundError` for missing ones, `ModuleNotFoundError` where `transformers` is missing, and `TextEncoderUnavailable`
    where the embedded encoder's package is.

    Args:
        name: A key of `TEXT_ENCODERS`.
        weights: File or folder on this machine; empty for the embedded encoder, whose package brings them.

    Returns:
        What turns T texts into (T, E) unit vectors.
    """
    if name not in TEXT_ENCODERS:
        raise ValueError(f"encoder: expected one of {', '.join(TEXT_ENCODERS)}, got {name!r}")
    return TEXT_ENCODERS[name](weights)


class PromptEnsemble:
    """An encoder that says each text in several ways and takes the mean direction, as CLIP's zero-shot protocol does.

    Args:
        encoder: whose vectors are averaged.
        templates: texts with one "{}" each, for example "a photo of a {}".
    """

    def __init__(self, encoder: Encoder, templates: Sequence[str]) -> None:
        """Raises `ValueError` for no template and for one without exactly one place for the text."""
        wrong = [template for template in templates if template.count("{}") != 1]
        if wrong or not templates:
            raise ValueError(f"templates: expected at least one text, each with '{{}}' once, got {list(wrong)}")
        self.encoder, self.templates, self.dim = encoder, tuple(templates), encoder.dim

    def encode(self, texts: Sequence[str]) -> Tensor:
        """N texts -> (N, dim) unit rows: means of the templates' unit vectors, normalised again."""
        said = [template.replace("{}", text) for text in texts for template in self.templates]
        rows = self.encoder.encode(said).unflatten(0, (len(texts), len(self.templates))) if said else torch.zeros(0, 1, self.dim)
        return F.normalize(rows.mean(1), dim=-1)
