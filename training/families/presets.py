"""Settings as the papers have them, beside ours: every departure of ours is one setting, and `preset: published` sets them back.

What a paper leaves open keeps the value that is assumed for it, marked where the setting is declared. What stands in a file or on
the command line wins over a preset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pan3d_core.settings import did_you_mean

OURS, PUBLISHED = "ours", "published"
_EVERY_COUNT = tuple(range(2, 25))  # numbers of views, all equally likely
_COSINE = {"kind": "cosine"}

_FAST3DIS_LOSS = {
    "objectness": 2.0, "bce": 5.0, "dice": 5.0, "contrast": 0.5, "focal_alpha": 0.25, "focal_gamma": 2.0, "temperature": 0.1,
    "overlap_start": 0.01, "overlap_peak": 1.0, "overlap_floor": 0.1, "overlap_warmup": 0.6,
    "overlap_form": "printed", "contrast_form": "sum",
}  # fmt: skip
_FAST3DIS_DECODER = {
    "queries": 80, "dim": 256, "heads": 8, "feed_forward": 1024, "layers": 9, "bands": 64, "bandwidth": 1.0,
    "start": "learned", "attention": "anchors",
}  # fmt: skip
_FAST3DIS_RATES = {"learning_rate": 1e-4, "lora_learning_rate": 5e-5, "weight_decay": 0.05}
_EPS3D_LOSS = {
    "color": 0.1, "instances": 1e-3, "semantics": 0.1, "ins2sem": 1e-4, "anchors": 1000, "neighbours": 30, "pixels": 32768,
    "min_pixels": 20, "temperature_scale": 10.0, "lowest_temperature": 0.5, "highest_temperature": 1.0, "unit_length": 1.0,
    "length_gradient": False, "balance": 0.0,
}  # fmt: skip

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "segvggt": {
        "model": {
            "height": 392, "width": 518, "queries": 400, "class_hidden": 32, "lora_rank": 32, "lora_alpha": 32.0,
            "train_encoder": False, "geometry": "teacher",
        },
        "optimizer": {
            "learning_rate": 2e-4, "lora_learning_rate": 6e-5, "pretrained_learning_rate": 6e-5, "weight_decay": 0.05,
            "clip_norm": 1.0,
        },
        "schedule": _COSINE,
        "sampling": {
            "images": 48, "view_counts": _EVERY_COUNT, "view_weights": (1.0,) * len(_EVERY_COUNT), "aspects": (0.33, 1.0),
        },
    },
    "fast3dis": {
        "model": {
            "base": "da3-large", "height": 378, "width": 504, "lora_rank": 16, "lora_alpha": 16.0, "lora_blocks": "all",
            "posed_share": 0.0, "decoder": _FAST3DIS_DECODER, "loss": _FAST3DIS_LOSS,
        },
        "optimizer": _FAST3DIS_RATES,
        "schedule": _COSINE,
        "sampling": {"view_counts": tuple(range(8, 25)), "view_weights": (1.0,) * 17},
    },
    "eps3d": {
        "model": {
            "height": 392, "width": 518, "sem2ins": True, "context_views": (2, 24), "rendered_views": 24, "text_channels": 512,
            "text_encoder": "lseg", "train_gaussians": False, "loss": _EPS3D_LOSS,
        },
        "optimizer": {"learning_rate": 2e-4},
        "schedule": _COSINE,
        "sampling": {"batch": 1, "view_counts": (24,), "view_weights": (1.0,)},
    },
    "pan3d-mini-fast3dis": {
        "model": {
            "decoder": _FAST3DIS_DECODER, "falloff": False,
            "loss": {"anchors": _FAST3DIS_LOSS, "quality": 0.0, "text": 0.0, "text_cosine": 0.0},
        },
        "optimizer": _FAST3DIS_RATES,
        "schedule": _COSINE,
    },
    "pan3d-mini-eps3d": {
        "model": {"loss": {"terms": _EPS3D_LOSS, "final_balance": 0.0, "texts": 0.0, "splatting": True}},
        "optimizer": {"learning_rate": 2e-4},
        "schedule": _COSINE,
    },
}  # fmt: skip


def preset_of(family: str, name: str) -> Mapping[str, Any]:
    """Find what a preset says otherwise than the family's defaults.

    Args:
        family: Of the run.
        name: "ours", which says nothing, or "published".

    Returns:
        Nested settings.

    Raises:
        ValueError: The name is another, or no paper describes the family.
    """
    if name == OURS:
        return {}
    if name != PUBLISHED:
        known = (OURS, PUBLISHED)
        raise ValueError(f"preset: expected {' or '.join(known)}, got {name!r}{did_you_mean(str(name), known)}")
    if family not in PRESETS:
        raise ValueError(f"preset: expected {OURS} for {family}, which no paper describes, got {name}")
    return PRESETS[family]
