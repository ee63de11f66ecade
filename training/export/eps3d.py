"""`eps3d`: averaged weights as one file that names its sizes, its text space and the words that it learnt, and a model card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pan3d_core.engines.eps3d import LICENCE_NOTE
from pan3d_core.language.encoders import EMBEDDED
from pan3d_core.language.known_names import KnownNames
from pan3d_core.models.eps3d.files import Eps3dContent, load_own_eps3d, save_eps3d
from pan3d_core.models.eps3d.network import Eps3d
from training.data.targets.text import load_text_targets
from training.export.networks import NetworkFile, export_network
from training.export.request import ExportRequest
from training.families.eps3d import Eps3dFamilySettings, trained_eps3d
from training.families.mini import TEXT_FILE

CARD = """# {name}

EPS3D: panoptic Gaussians, objects, depth and cameras of pictures without poses, trained with pan3d.

| | |
|---|---|
| started from | {start_from} |
| licence of what it started from, whose terms hold for this file too | {licence} |
| semantics are compared with texts by | {encoder} |
| knows by name | {classes} |
| parameters | {parameters} M, of which {trained} M were trained |
| size in training | {width} x {height} pixels, {views} views |
| answers | Gaussians, depth and cameras up to a scale, objects |

{history}

The exported file on held-out scenes, float32, in the views that the network saw and in one that it did not:

| scenes | objects | views | semantic mIoU | instance mIoU | F | PSNR, dB |
|---|---|---|---|---|---|---|
{figures}
"""


def export_eps3d(state: dict, request: ExportRequest) -> None:
    """The whole network under the official names, with the words that it learnt where the data's truth was its teacher."""
    export_network(EPS3D_FILE, state, request)


def _settings(state: dict) -> Eps3dFamilySettings:
    return Eps3dFamilySettings.from_dict({**state["config"]["model"], **state["architecture"]})


def _build(state: dict) -> Eps3d:
    return trained_eps3d(_settings(state))


def _known(state: dict) -> KnownNames | None:
    """The names and synonyms of the data's kinds; None for features of 2D models, which belong to no list of words."""
    settings = _settings(state)
    if settings.teacher or settings.encoder != EMBEDDED:
        return None
    text = load_text_targets(Path(state["config"]["data"]) / TEXT_FILE)
    rows = [row for row, named in enumerate(text.is_name().tolist()) if named]
    kinds = tuple(text.kinds[int(text.kind[row])] for row in rows)
    return KnownNames(tuple(text.texts[row] for row in rows), kinds, text.embeddings[rows])


def _facts(state: dict) -> dict[str, Any]:
    known = _known(state)
    return {
        "encoder": _settings(state).encoder, "classes": [] if known is None else list(dict.fromkeys(known.class_names)),
        "licence": LICENCE_NOTE if state["config"]["start_from"] else "none: random weights",
    }  # fmt: skip


def _save(model: Eps3d, state: dict, facts: Mapping[str, Any], out: Path) -> None:
    settings = _settings(state)
    save_eps3d(model, Eps3dContent(settings, settings.encoder, settings.height, settings.width, dict(facts)), _known(state), out)


def _words(facts: Mapping[str, Any]) -> dict[str, str]:
    (figures,) = facts["figures"]
    rows = []
    for views, prefix in (("seen", ""), ("not seen", "novel_")):
        cells = [(figures[f"{prefix}{key}"], form) for key, form in _COLUMNS]
        values = ["" if math.isnan(value) else format(value, form) for value, form in cells]
        rows.append(f"| {figures['scenes']} | {figures['objects']} | {views} | {' | '.join(values)} |")
    return {
        "licence": facts["licence"], "encoder": facts["encoder"], "figures": "\n".join(rows),
        "classes": ", ".join(facts["classes"]) or "nothing without its text encoder",
    }  # fmt: skip


_COLUMNS = (("semantic_miou", ".3f"), ("instance_miou", ".3f"), ("instance_f", ".3f"), ("psnr_db", ".1f"))
EPS3D_FILE = NetworkFile(_build, _facts, _save, lambda path: load_own_eps3d(path)[0], CARD, _words)
