"""`pan3d-mini` and its kin: averaged weights as the half-precision file that their engines load, and the model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.engines.mini import FORMATS, NAMES_PREFIX, MiniCheckpoint, engine_of, fold_batch_norms, read_checkpoint
from pan3d_core.models.mini.decode import ScoreCalibration
from pan3d_core.runtime.checksums import write_weights
from training.data.arrays import ShardSet
from training.data.targets.text import TextTargets, load_text_targets
from training.export.model_card import joined_logs, write_card
from training.export.request import ExportRequest, common_facts
from training.judge.objects import MiniFigures, answered, measured, object_network

MAX_BYTES = 20 * 2**20


def export_weights(
    state: dict,
    text: TextTargets,
    facts: dict,
    out: Path,
    *,
    stuff: Mapping[str, Tensor] | None = None,
    scores: ScoreCalibration | None = None,
) -> None:
    """State of a trainer -> safetensors in half precision with the known names' embeddings; refuses more than `MAX_BYTES`.

    `stuff`: words for what is no object with their embeddings, in networks that know such; `scores`: where it is known how its
    scores become probabilities (`training.judge.scores`).
    """
    named = text.is_name()
    tensors = {name: (v.half() if v.is_floating_point() else v).contiguous() for name, v in state["ema"].items()}
    tensors[NAMES_PREFIX + "embeddings"] = text.embeddings[named].half().contiguous()
    rows = torch.nonzero(named)[:, 0].tolist()
    content = {
        "architecture": state["architecture"],
        "names": [text.texts[row] for row in rows],
        "class_names": [text.kinds[int(text.kind[row])] for row in rows],
        "facts": facts,
    }
    if scores is not None:
        content["scores"] = scores.to_dict()
    if stuff is not None:
        content["stuff"] = list(stuff)
        tensors[NAMES_PREFIX + "stuff"] = torch.stack(list(stuff.values())).half()
    write_weights(out, tensors, {"format": FORMATS[state["family"]], "content": json.dumps(content)})
    size = out.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"out: expected at most {MAX_BYTES} bytes, got {size}")


def run_facts(state: dict, text: TextTargets, validation: ShardSet) -> dict:
    """What a checkpoint says about its making, and the size of the pictures that it is for."""
    facts = {**common_facts(state, len(validation)), "kinds": len(text.kinds), "descriptions": len(text.texts)}
    facts["image_hw"] = list(validation.image_hw)
    base = Path(state["config"].get("start_from", ""))
    if base.suffix == ".safetensors":  # a frozen network that came as a weight file
        facts["base"] = f"{base.name}, SHA-256 {hashlib.sha256(base.read_bytes()).hexdigest()}"
    return facts


def measure(out: Path, family: str, validation: ShardSet, text: TextTargets, scenes: int) -> dict[str, MiniFigures]:
    """Figures of the exported file itself, read back as the engine reads it."""
    checkpoint = read_checkpoint(out, family)
    model = object_network(checkpoint.model)
    fold_batch_norms(model)
    cases = {
        "cameras known, 4 views": (True, 4), "cameras known, 2 views": (True, 2), "cameras known, 1 view": (True, 1),
        "poses unknown, 4 views": (False, 4),
    }  # fmt: skip
    figures = {}
    for name, (posed, views) in cases.items():
        answers = answered(model, validation, scenes=scenes, posed=posed, views=views, bfloat16=False)
        figures[name] = measured(answers, text, checkpoint.scores).figures()
    return figures


def start_of(state: dict) -> MiniCheckpoint | None:
    """The weight file of the same network that a run started from; None where there was none."""
    base = Path(state["config"].get("start_from", ""))
    if base.suffix != ".safetensors" or engine_of(base) != state["family"]:
        return None
    return read_checkpoint(base, state["family"])


def rounds_of(start: MiniCheckpoint | None) -> list[dict]:
    """What a weight file says of the rounds that made it, first to last."""
    if start is None:
        return []
    last = {name: value for name, value in start.facts.items() if name not in ("earlier", "figures")}
    return [*start.facts.get("earlier", []), last]


def export_mini(state: dict, request: ExportRequest) -> None:
    """Weights with the known names' embeddings, figures of the file itself and the card."""
    text = load_text_targets(request.data / "text_embeddings.npz")
    validation = ShardSet(request.data / "val")
    states = request.earlier_states()
    start = start_of([*states, state][0])
    earlier = [*rounds_of(start), *(run_facts(own, text, validation) for own in states)]
    facts = {**run_facts(state, text, validation), "earlier": earlier}
    # A network that has learnt a little more means the same by its scores, until they are calibrated again.
    scores = None if start is None else start.scores
    export_weights(state, text, facts, request.out, scores=scores)
    measured = measure(request.out, state["family"], validation, text, request.scenes)
    figures = {name: asdict(value) for name, value in measured.items()}
    export_weights(state, text, {**facts, "figures": figures}, request.out, scores=scores)
    write_card(request.out, joined_logs(request.logs()), request.out.with_suffix(".md"))
