"""Checkpoint files of FAST3DIS: tensors and, in the metadata, which network they belong to and how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import torch
from safetensors.torch import save_file

from pan3d_core.models.da3.network import DA3_VARIANTS, Da3Settings, assign_official
from pan3d_core.models.fast3dis.anchor_decoder import AnchorSettings
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disSettings
from pan3d_core.runtime.weights import read_metadata, read_weights

T = TypeVar("T")

FORMAT = "pan3d-fast3dis/1"
ANY_VIEW = tuple(name for name, settings in DA3_VARIANTS.items() if settings.is_any_view)
# The ray outputs share one norm, which the model lists once per stage and files hold once.
_SHARED = "output_conv2_aux.{stage}.2."


def save_fast3dis(model: Fast3dis, facts: Mapping[str, Any], path: str | Path) -> None:
    """Write `model` and `facts` (plain values: data, schedule, seed, figures, licence of the base) to one safetensors file."""
    tensors = {
        name: value.detach().contiguous().cpu()
        for name, value in model.state_dict().items()
        if not any(_SHARED.format(stage=stage) in name for stage in (1, 2, 3))
    }
    content = {**content_of(model.settings), "facts": dict(facts)}
    save_file(tensors, path, metadata={"format": FORMAT, "content": json.dumps(content)})


def load_fast3dis(path: str | Path) -> tuple[Fast3dis, dict[str, Any]]:
    """The network of a file of `save_fast3dis`, in evaluation mode on the CPU, and its facts.

    Raises `FileNotFoundError`, or `ValueError` for a damaged file, one of another model or format version, settings that mean
    no network, and tensors that do not fit the settings.
    """
    found = read_weights(path)
    metadata = read_metadata(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"weights: expected a checkpoint of format {FORMAT!r}, got {path} of format "
            f"{metadata.get('format', 'unknown')!r}; is it for another model?"
        )
    content = _content(metadata, path)
    with torch.device("meta"):
        model = Fast3dis(settings_of(content))
    assign_official(model, found, path)
    return model.eval(), content["facts"]


def content_of(settings: Fast3disSettings) -> dict[str, Any]:
    """Plain values that `settings_of` reads back; a published base is only named."""
    named = next((name for name in ANY_VIEW if DA3_VARIANTS[name] == settings.base), None)
    return {
        "base": named or asdict(settings.base),
        "decoder": asdict(settings.decoder),
        "lora_rank": settings.lora_rank,
        "lora_alpha": settings.lora_alpha,
    }


def settings_of(content: Mapping[str, Any]) -> Fast3disSettings:
    """Settings from plain values. `ValueError` names what is missing, unknown or of another type."""
    base = content.get("base")
    if isinstance(base, str):
        if base not in ANY_VIEW:
            raise ValueError(f"base: expected one of {', '.join(ANY_VIEW)} or settings, got {base!r}")
        base = DA3_VARIANTS[base]
    else:
        base = _read(Da3Settings, base, "base")
        if not base.is_any_view:
            raise ValueError("base.backbone.first_cross_view: expected a block, because views must meet, got None")
    rank, alpha = content.get("lora_rank"), content.get("lora_alpha")
    if type(rank) is not int or rank < 1:
        raise ValueError(f"lora_rank: expected 1 or more, got {rank!r}")
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool):
        raise ValueError(f"lora_alpha: expected a number, got {alpha!r}")
    decoder = _read(AnchorSettings, content.get("decoder"), "decoder")
    return Fast3disSettings(base, decoder, rank, float(alpha))


def _content(metadata: Mapping[str, str], path: str | Path) -> dict[str, Any]:
    try:
        content = json.loads(metadata.get("content", ""))
    except json.JSONDecodeError as error:
        raise ValueError(f"weights: expected JSON as metadata 'content' of {path}, got {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("facts"), dict):
        raise ValueError(f"weights: expected settings and facts as metadata 'content' of {path}, got {content!r:.80}")
    return content


def _read(cls: type[T], values: Any, where: str) -> T:
    """The dataclass `cls` from plain values: lists pass as tuples; nothing unknown, nothing missing that has no default."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: expected names with values, got {values!r}")
    hints, known = get_type_hints(cls), {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
    unknown = [name for name in values if name not in known]
    missing = [name for name, item in known.items() if name not in values and item.default is MISSING]
    if unknown or missing:
        problem = f"an unknown {unknown[0]}" if unknown else f"no {missing[0]}"
        raise ValueError(f"{where}: expected {', '.join(known)}, got {problem}")
    return cls(**{name: _value(hints[name], value, f"{where}.{name}") for name, value in values.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return _read(hint, value, where)  # type: ignore[arg-type]
    if isinstance(value, (list, tuple)):
        if all(isinstance(entry, (int, float)) and not isinstance(entry, bool) for entry in value):
            return tuple(value)
    elif value is None or isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return value
    raise ValueError(f"{where}: expected a number, numbers or a word, got {value!r}")
