"""Families whose file is the whole network: averaged weights, how they were made, figures of the file itself, and the card."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pan3d_core.runtime.device import select_device
from pan3d_core.runtime.files import written_whole
from pan3d_core.settings import read_settings
from training.data.arrays import ShardSet
from training.export.request import ExportRequest, common_facts
from training.families import build_family
from training.families.family import Figures
from training.settings import TrainConfig

HISTORY = """| steps | samples | training scenes | learning rate | seed | device |
|---|---|---|---|---|---|
| {steps} | {samples} | {training_scenes} | {learning_rate:g} | {seed} | {device} |"""


@dataclass(frozen=True)
class NetworkFile:
    """What a family's exporter says of its file."""

    build: Callable[[dict], nn.Module]  # state of a trainer -> network, on whichever device is the default one
    facts: Callable[[dict], dict[str, Any]]  # state -> what is worth telling beyond `common_facts`
    save: Callable[[Any, dict, Mapping[str, Any], Path], None]  # network, state, facts, place
    load: Callable[[Path], nn.Module]  # as the engine reads it
    card: str  # the model card, with places for what `common_words` and `words` tell
    words: Callable[[Mapping[str, Any]], dict[str, str]]  # facts -> what the family's card says beside that


def export_network(file: NetworkFile, state: dict, request: ExportRequest) -> None:
    """Write the whole network with its facts and figures, and the card.

    Args:
        file: Of the family.
        state: Of a trainer.
        request: Where to measure and to write.
    """
    scenes = len(ShardSet(request.data / "val"))
    earlier = [_facts(file, own, scenes) for own in request.earlier_states()]
    facts = {**_facts(file, state, scenes), "earlier": earlier}
    with torch.device("meta"):
        model = file.build(state)
    model.load_state_dict(state["ema"], assign=True)
    file.save(model.eval(), state, facts, request.out)
    facts["figures"] = measure(file.load(request.out), state, request.data, request.scenes)
    file.save(model, state, facts, request.out)
    request.out.chmod(0o644)
    with written_whole(request.out.with_suffix(".md")) as part:
        words = {**common_words(model, facts, request.out.stem), **file.words(facts)}
        part.write_text(file.card.format(**words), encoding="utf-8")


def measure(model: nn.Module, state: dict, data: Path, scenes: int) -> list[Figures]:
    """Figures of an exported network, float32, on the held-out scenes of `data`."""
    config = read_settings(TrainConfig, state["config"])
    precise = replace(config.execution, precision="float32")
    settings = {**config.model, **state["architecture"]}
    family = build_family(replace(config, data=data, model=settings, execution=precise))
    return family.evaluate(model.to(select_device("auto")), scenes)


def common_words(model: nn.Module, facts: Mapping[str, Any], name: str) -> dict[str, str]:
    """What every card says: how large the network is, of what it was made, and how."""
    recipe, counts = facts["config"], [(p.numel(), p.requires_grad) for p in model.parameters()]
    return {
        "name": name, "start_from": facts["start_from"], "width": str(facts["width"]), "height": str(facts["height"]),
        "views": ", ".join(f"{count:g}" for count in facts["view_counts"]),
        "parameters": f"{sum(count for count, _ in counts) / 1e6:.1f}",
        "trained": f"{sum(count for count, learns in counts if learns) / 1e6:.1f}",
        "history": HISTORY.format(**{**facts, "learning_rate": recipe["learning_rate"], "seed": recipe["seed"]}),
    }  # fmt: skip


def _facts(file: NetworkFile, state: dict, scenes: int) -> dict[str, Any]:
    config = state["config"]
    settings = {**config["model"], **state["architecture"]}
    return {
        **common_facts(state, scenes), "start_from": Path(config["start_from"]).name or "random weights",
        "height": settings["height"], "width": settings["width"], "view_counts": list(config["sampling"]["view_counts"]),
        **file.facts(state),
    }  # fmt: skip


def table_rows(figures: Iterable[Figures], forms: Mapping[str, str]) -> str:
    """Rows of a card's table.

    Args:
        figures: One row each.
        forms: Name of a figure -> how it is written, as for `format`; the columns in their order.

    Returns:
        Lines in Markdown.
    """
    return "\n".join(f"| {' | '.join(format(row[name], form) for name, form in forms.items())} |" for row in figures)
