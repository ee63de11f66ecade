"""Model families that the loop can train: one module each, one entry here; they know models, losses and judges, not the loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pan3d_core.settings import did_you_mean, read_settings
from training.families.eps3d import EPS3D
from training.families.eps3d_mini import EPS3D_MINI
from training.families.family import AnyFamily, Family, FamilyEntry
from training.families.fast3dis import FAST3DIS
from training.families.fast3dis_mini import FAST3DIS_MINI
from training.families.mini import MINI
from training.families.presets import OURS, preset_of
from training.families.segvggt import SEGVGGT
from training.settings import TrainConfig, merge_settings

__all__ = ["FAMILIES", "AnyFamily", "Family", "FamilyEntry", "build_family", "family_entry", "run_config"]

FAMILIES: dict[str, FamilyEntry] = {
    "pan3d-mini": MINI, "pan3d-mini-fast3dis": FAST3DIS_MINI, "pan3d-mini-eps3d": EPS3D_MINI, "segvggt": SEGVGGT,
    "fast3dis": FAST3DIS, "eps3d": EPS3D,
}  # fmt: skip


def family_entry(name: str) -> FamilyEntry:
    """The entry of `name`; `ValueError` that lists the known ones."""
    if name not in FAMILIES:
        raise ValueError(f"family: expected one of {', '.join(FAMILIES)}, got {name!r}{did_you_mean(str(name), FAMILIES)}")
    return FAMILIES[name]


def run_config(values: Mapping[str, Any]) -> TrainConfig:
    """Return the settings of a run: `values` over those of `preset` over the family's own over the general defaults.

    Args:
        values: Nested names and values; `family`, `data` and `out` are needed.

    Raises:
        ValueError: A name is unknown, a value unfit, or no paper describes a family that is asked for as published.
    """
    name = values.get("family", "")
    defaults = merge_settings(family_entry(name).defaults, preset_of(name, values.get("preset", OURS)))
    return read_settings(TrainConfig, merge_settings(defaults, values))


def build_family(config: TrainConfig) -> AnyFamily:
    """The family that `config` names, with its data and settings."""
    return family_entry(config.family).build(config)
