"""The space in which features of Gaussians or pixels are compared with texts.

A scene stores few channels per Gaussian; one linear map leads from them to the space of a text encoder (EPS3D, Zhu et al. 2026).
The wide vectors are never made: the product of one with a text and its length both follow from the stored channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.structures import require_shape

MIN_LENGTH = 1e-12


@dataclass(frozen=True)
class TextSpace:
    """How semantic features of Gaussians compare with texts: features @ weight.T + bias lies in the space of a text encoder."""

    weight: Tensor  # (E, F)
    bias: Tensor  # (E,)
    encoder: str  # name in `text_encoders.TEXT_ENCODERS`: whose space it is
    temperature: float = 0.07  # of the softmax over texts
    none_similarity: float = 0.5  # cosine that stands for "none of these" in that softmax

    def __post_init__(self) -> None:
        require_shape("TextSpace.weight", self.weight, (None, None))
        require_shape("TextSpace.bias", self.bias, (self.weight.shape[0],))
        if not self.encoder:
            raise ValueError("TextSpace.encoder: expected the name of a text encoder, got an empty text")
        if not self.temperature > 0:
            raise ValueError(f"TextSpace.temperature: expected more than 0, got {self.temperature}")
        if not -1 <= self.none_similarity <= 1:
            raise ValueError(f"TextSpace.none_similarity: expected a cosine, -1 to 1, got {self.none_similarity}")

    def cosines(self, features: Tensor, texts: Tensor) -> Tensor:
        """(..., F) features and (T, E) texts of any length but 0 -> (..., T) cosines; see `text_cosines`."""
        return text_cosines(features, texts, self.weight, self.bias)

    def probabilities(self, features: Tensor, texts: Tensor) -> Tensor:
        """(..., F) features and (T, E) texts -> (..., T + 1) that each text is meant; the last column is "none of these"."""
        return none_softmax(self.cosines(features, texts), self.temperature, self.none_similarity)


def text_cosines(features: Tensor, texts: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compare features with texts without making the wide vectors `features @ weight.T + bias`.

    Neither the product with a text nor the length of a vector, a quadratic form of its feature, needs them. A feature of 0
    compares by the bias alone.

    Args:
        features: (..., F).
        texts: (T, E) of any length but 0.
        weight: (E, F).
        bias: (E,).

    Returns:
        (..., T) cosines.

    Raises:
        ValueError: Widths differ, or a text has the length 0.
    """
    width, channels = weight.shape
    if features.ndim < 1 or features.shape[-1] != channels:
        raise ValueError(f"features: expected {channels} channels in the last dimension, got shape {tuple(features.shape)}")
    if texts.ndim != 2 or texts.shape[1] != width:
        raise ValueError(f"texts: expected shape (any, {width}), got {tuple(texts.shape)}")
    text_length = texts.norm(dim=-1, keepdim=True)
    if not bool((text_length > 0).all()):
        raise ValueError("texts: expected rows of length above 0, got one of 0")
    unit = texts / text_length
    dots = features @ (unit @ weight).T + unit @ bias
    form = features @ (weight.T @ weight) + 2 * (bias @ weight)
    squared = torch.einsum("...c,...c->...", features, form) + bias @ bias
    cosines: Tensor = dots * squared.clamp_min(MIN_LENGTH**2).rsqrt()[..., None]
    return cosines


def none_softmax(cosines: Tensor, temperature: float | Tensor, none_similarity: float | Tensor) -> Tensor:
    """Turn cosines into probabilities with one more choice, "none of these".

    Args:
        cosines: (..., T) with the texts.
        temperature: Of the softmax.
        none_similarity: The cosine of "none of these".

    Returns:
        (..., T + 1), the last for "none of these".
    """
    none = torch.as_tensor(none_similarity, dtype=cosines.dtype, device=cosines.device).expand(*cosines.shape[:-1], 1)
    return torch.softmax(torch.cat([cosines, none], dim=-1) / temperature, dim=-1)
