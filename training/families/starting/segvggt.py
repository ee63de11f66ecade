"""What a run of `segvggt` starts from: an official file of SegVGGT or VGGT, an exported file, or a training checkpoint.

Everything but the class head must fit by name and shape. The class head becomes that of the run's own classes (`class_rows`), and
low-rank corrections are taken over, begun at zero or merged, as the run's settings ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.engines.segvggt import classes_of_outputs
from pan3d_core.models.vggt.files import FORMAT, read_segvggt_content
from pan3d_core.models.vggt.segvggt import SegVGGT, official_name
from pan3d_core.runtime.weights import assign_weights, family_of, read_metadata, read_weights
from training.families.segvggt_settings import SegVggtSettings
from training.families.starting.class_rows import adapted_rows
from training.families.starting.corrections import fit_corrections
from training.families.starting.kept import Kept, listed
from training.run.checkpoints import read_state

CLASS_LAYER = "semantic_head.scratch.output_instance.2."
WEIGHT, BIAS = CLASS_LAYER + "weight", CLASS_LAYER + "bias"


@dataclass(frozen=True)
class StartFile:
    """Weights of a file under the official names."""

    weights: Mapping[str, Tensor]
    classes: tuple[str, ...]  # empty: nobody knows
    lora_alpha: float


def start_segvggt(model: SegVGGT, settings: SegVggtSettings, path: str) -> Kept:
    """Give a network the weights of a file.

    Args:
        model: Of `settings`.
        settings: With the names of its classes.
        path: An official file of SegVGGT or VGGT, an exported file or a training checkpoint.

    Returns:
        What was kept and what is new.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or a name or shape other than those of the class head does not fit.
    """
    found = read_weights(path)
    if family_of(found) == "VGGT":
        return _start_vggt(model, found, path)
    file = _start_file(found, settings, path)
    if not settings.keep_queries:
        inside = {official_name(name) for name in model.state_dict() if name.startswith("vggt.")}
        merged = fit_corrections(file.weights, {official_name(n): v for n, v in model.state_dict().items()}, file.lora_alpha)
        return _start_vggt(model, {name: value for name, value in merged.items() if name in inside}, path)
    own = {official_name(name): value for name, value in model.state_dict().items()}
    weights, notes, adapted = fit_corrections(file.weights, own, file.lora_alpha), [], False
    if WEIGHT in weights and BIAS in weights and weights[WEIGHT].shape[1:] == own[WEIGHT].shape[1:]:
        layer, fresh = (weights[WEIGHT], weights[BIAS]), (own[WEIGHT], own[BIAS])
        rows = adapted_rows(layer, file.classes, fresh, settings.classes, settings.new_classes)
        adapted = rows.weight.shape != layer[0].shape or not torch.equal(rows.weight, layer[0])
        weights |= {WEIGHT: rows.weight, BIAS: rows.bias}
        notes.append(f"classes: {len(rows.kept)} kept{listed(rows.kept)}; {len(rows.new)} new{listed(rows.new)}")
    assign_weights(model, weights, origin=path, name_in_file=official_name)
    begun = tuple(name for name in own if ".lora." in name and name not in file.weights)
    return Kept(path, len(own) - len(begun) - (2 if adapted else 0), begun, tuple(notes))


def _start_vggt(model: SegVGGT, found: Mapping[str, Tensor], origin: str) -> Kept:
    """The VGGT inside gets the tensors of an official VGGT checkpoint; the query branch stays fresh."""
    vggt = model.vggt.state_dict()
    weights = fit_corrections(found, vggt)
    assign_weights(model.vggt, weights, origin=origin, ignored_prefixes=("track_head.", "point_head."))
    begun = [name for name in vggt if ".lora." in name]
    queries = [official_name(name) for name in model.state_dict() if not name.startswith("vggt.")]
    return Kept(origin, len(vggt) - len(begun), (*begun, *queries))


def _start_file(found: Mapping[str, Tensor], settings: SegVggtSettings, path: str) -> StartFile:
    if read_metadata(path).get("format") == FORMAT:
        content = read_segvggt_content(path)
        return StartFile(found, content.classes, content.sizes.lora_alpha)
    if Path(path).suffix == ".pt" and "query_decoder.token" in found:
        state = read_state(Path(path))
        made = SegVggtSettings.from_dict(state["architecture"])
        # Checkpoints of earlier versions hold no names: of as many classes they are taken for the same.
        classes = made.classes or (settings.classes if made.num_classes == settings.num_classes else ())
        return StartFile({official_name(name): value for name, value in found.items()}, classes, made.lora_alpha)
    return StartFile(found, classes_of_outputs(len(found[BIAS]) if BIAS in found else 0), settings.lora_alpha)
