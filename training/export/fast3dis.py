"""`fast3dis`: averaged weights as one file of the whole network, and a model card that names the licence of its base."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pan3d_core.models.fast3dis.files import Network, build_fast3dis, load_fast3dis, save_fast3dis
from pan3d_core.models.fast3dis.map_anchors import MapAnchorsSettings
from training.export.networks import NetworkFile, export_network, table_rows
from training.export.request import ExportRequest
from training.families.fast3dis_settings import Fast3disFamilySettings

CARD = """# {name}

FAST3DIS: instances by 3D anchors on a frozen {network} with low-rank corrections, trained with pan3d.

| | |
|---|---|
| base | {base} |
| licence of the base, which this file contains and whose terms hold for it | {licence} |
| started from | {start_from} |
| parameters | {parameters} M, of which {trained} M were trained |
| size in training | {width} x {height} pixels, {views} views |
| answers | depth and cameras {unit}, up to {queries} instances without classes |

{history}

The exported file on held-out scenes, float32; every query ranked, objects of at least 8 mask pixels over all views:

| cameras | scenes | objects | AP | AP50 | AP25 | AbsRel of depth after one scale |
|---|---|---|---|---|---|---|
{figures}
"""

_COLUMNS = {
    "cameras": "", "scenes": "", "objects": "", "ap": ".3f", "ap50": ".3f", "ap25": ".3f", "abs_rel_scaled": ".4f",
}  # fmt: skip


def export_fast3dis(state: dict, request: ExportRequest) -> None:
    """The whole network with its facts and figures, and the card."""
    export_network(FAST3DIS_FILE, state, request)


def _build(state: dict) -> Network:
    return build_fast3dis(Fast3disFamilySettings.from_dict(state["architecture"]).network)


def _facts(state: dict) -> dict[str, Any]:
    settings = Fast3disFamilySettings.from_dict(state["config"]["model"])
    return {
        "base": settings.base_name, "base_licence": settings.licence, "queries": settings.decoder.queries,
        "metric": isinstance(settings.network, MapAnchorsSettings),
        "posed_share": settings.posed_share, "measured_share": settings.measured_share, "loss": dict(vars(settings.loss)),
    }  # fmt: skip


def _save(model: Network, state: dict, facts: Mapping[str, Any], out: Path) -> None:
    save_fast3dis(model, facts, out)


def _words(facts: Mapping[str, Any]) -> dict[str, str]:
    rows = [{**f, "cameras": "given" if f["posed"] else "predicted"} for f in facts["figures"]]
    return {
        "base": facts["base"], "licence": facts["base_licence"], "queries": str(facts["queries"]),
        "figures": table_rows(rows, _COLUMNS), "network": "MapAnything" if facts["metric"] else "Depth Anything 3",
        "unit": "in metres" if facts["metric"] else "up to a scale",
    }  # fmt: skip


FAST3DIS_FILE = NetworkFile(_build, _facts, _save, lambda path: load_fast3dis(path)[0], CARD, _words)
