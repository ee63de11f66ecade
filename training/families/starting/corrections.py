"""Low-rank corrections between files and networks that have them, or not."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_FIRST, _SECOND = ".lora.lora_A.weight", ".lora.lora_B.weight"


def fit_corrections(found: Mapping[str, Tensor], own: Mapping[str, Tensor], alpha: float = 0.0) -> dict[str, Tensor]:
    """Make the weights of a file those of a network that corrects other layers, up to rounding the same function.

    Args:
        found: Name -> tensor of the file.
        own: Name -> tensor of the network, with corrections as they begin (zero).
        alpha: Of the file's corrections, divided by their rank.

    Returns:
        The weights, in which layers that the network corrects and the file does not have `own`'s corrections, and those that the
        file corrects and the network does not are merged. Whatever does not fit otherwise is left as it is.
    """
    fitted = dict(found)
    for layer in _corrected(own) - _corrected(found):
        for part in ("weight", "bias"):
            if (name := f"{layer}.{part}") in fitted:
                fitted[f"{layer}.linear.{part}"] = fitted.pop(name)
        fitted |= {layer + end: own[layer + end] for end in (_FIRST, _SECOND)}
    for layer in _corrected(found) - _corrected(own):
        first, second = fitted.pop(layer + _FIRST), fitted.pop(layer + _SECOND)
        fitted[f"{layer}.weight"] = fitted.pop(f"{layer}.linear.weight") + alpha / len(first) * second @ first
        if f"{layer}.linear.bias" in fitted:
            fitted[f"{layer}.bias"] = fitted.pop(f"{layer}.linear.bias")
    return fitted


def _corrected(names: Mapping[str, Tensor]) -> set[str]:
    """Layers with a whole correction."""
    layers = {name.removesuffix(_FIRST) for name in names if name.endswith(_FIRST)}
    return {layer for layer in layers if layer + _SECOND in names}
