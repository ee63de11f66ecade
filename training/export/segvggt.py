"""`segvggt`: averaged weights as one file that names its classes and sizes, and a model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pan3d_core.engines.segvggt import LICENCE_NOTE
from pan3d_core.models.vggt.files import SegVggtContent, build_segvggt, load_segvggt, save_segvggt
from pan3d_core.models.vggt.segvggt import SegVGGT
from training.export.networks import NetworkFile, export_network, table_rows
from training.export.request import ExportRequest
from training.families.segvggt_settings import SegVggtSettings

_COLUMNS = {
    "scenes": "", "objects": "", "ap": ".3f", "ap50": ".3f", "ap25": ".3f", "ap50_named": ".3f", "abs_rel_scaled": ".4f",
}  # fmt: skip
CARD = """# {name}

SegVGGT: objects of own classes, depth and cameras of pictures without poses, trained with pan3d.

| | |
|---|---|
| classes | {classes} |
| started from | {start_from} |
| licence of what it started from, whose terms hold for this file too | {licence} |
| parameters | {parameters} M, of which {trained} M were trained |
| low-rank corrections | {corrections} |
| size in training | {width} x {height} pixels, {views} views |
| cameras and depth learnt from | {geometry} |
| answers | depth and cameras up to a scale, up to {queries} instances with classes |

{history}

The exported file on held-out scenes, float32; AP over one mask through all views, whatever the class, and with the right class:

| scenes | objects | AP | AP50 | AP25 | AP50 with the class | AbsRel of depth after one scale |
|---|---|---|---|---|---|---|
{figures}
"""


def export_segvggt(state: dict, request: ExportRequest) -> None:
    """The whole network under the official names, low-rank corrections not merged, with its classes."""
    export_network(SEGVGGT_FILE, state, request)


def _settings(state: dict) -> SegVggtSettings:
    settings = SegVggtSettings.from_dict(state["architecture"])
    if not settings.classes:
        raise ValueError("run: expected a checkpoint that names its classes, got one of an earlier version; train a step with it")
    return settings


def _build(state: dict) -> SegVGGT:
    settings = _settings(state)
    model = build_segvggt(settings, settings.num_classes)
    model.vggt.aggregator.patch_embed.requires_grad_(settings.train_encoder)
    return model


def _facts(state: dict) -> dict[str, Any]:
    settings = _settings(state)
    return {
        "classes": list(settings.classes), "geometry": settings.geometry, "lora_rank": settings.lora_rank,
        "queries": settings.queries, "licence": LICENCE_NOTE if state["config"]["start_from"] else "none: random weights",
    }  # fmt: skip


def _save(model: SegVGGT, state: dict, facts: Mapping[str, Any], out: Path) -> None:
    settings = _settings(state)
    save_segvggt(model, SegVggtContent(settings, settings.classes, settings.width, dict(facts)), out)


def _words(facts: Mapping[str, Any]) -> dict[str, str]:
    return {
        "classes": ", ".join(facts["classes"]), "licence": facts["licence"], "geometry": facts["geometry"],
        "queries": str(facts["queries"]), "figures": table_rows(facts["figures"], _COLUMNS),
        "corrections": f"rank {facts['lora_rank']}" if facts["lora_rank"] else "none: the attention layers were trained",
    }  # fmt: skip


SEGVGGT_FILE = NetworkFile(_build, _facts, _save, lambda path: load_segvggt(path)[0], CARD, _words)
