"""`fast3dis`: averaged weights as one file of the whole network, and a model card that names the licence of its base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from pan3d_core.models.fast3dis.files import load_fast3dis, save_fast3dis
from pan3d_core.models.fast3dis.network import Fast3dis
from pan3d_core.runtime.device import select_device
from pan3d_core.runtime.files import written_whole
from pan3d_core.settings import read_settings
from training.data.arrays import ShardSet
from training.export.request import ExportRequest, common_facts
from training.families.family import Figures
from training.families.fast3dis import Fast3disFamily
from training.families.fast3dis_settings import Fast3disFamilySettings
from training.settings import TrainConfig

CARD = """# {name}

FAST3DIS: instances by 3D anchors on a frozen Depth Anything 3 with low-rank corrections, trained with pan3d.

| | |
|---|---|
| base | {base} |
| licence of the base, which this file contains and whose terms hold for it | {licence} |
| started from | {start_from} |
| parameters | {parameters:.1f} M, of which {trained:.1f} M were trained |
| size in training | {width} x {height} pixels, {views} views |
| answers | depth and cameras up to a scale, up to {queries} instances without classes |

| steps | samples | training scenes | learning rate | seed | device |
|---|---|---|---|---|---|
| {steps} | {samples} | {training_scenes} | {learning_rate:g} | {seed} | {device} |

The exported file on held-out scenes, float32; every query ranked, objects of at least 8 mask pixels over all views:

| cameras | scenes | objects | AP | AP50 | AP25 | AbsRel of depth after one scale |
|---|---|---|---|---|---|---|
{figures}
"""


def trained_network(state: dict) -> Fast3dis:
    """The averaged weights of a trainer's state, in evaluation mode on the CPU."""
    with torch.device("meta"):
        model = Fast3dis(Fast3disFamilySettings.from_dict(state["architecture"]).network)
    model.load_state_dict(state["ema"], assign=True)
    return model.eval()


def fast3dis_facts(state: dict, validation_scenes: int) -> dict:
    """What a checkpoint says about its making."""
    settings, config = Fast3disFamilySettings.from_dict(state["config"]["model"]), state["config"]
    return {
        **common_facts(state, validation_scenes),
        "base": settings.base if isinstance(settings.base, str) else "a network of its own size",
        "base_licence": settings.network.base.licence,
        "start_from": Path(config["start_from"]).name or "random weights",
        "height": settings.height, "width": settings.width, "view_counts": list(config["sampling"]["view_counts"]),
        "posed_share": settings.posed_share, "loss": dict(vars(settings.loss)),
    }  # fmt: skip


def measuring_config(state: dict, data: Path) -> TrainConfig:
    """Settings of the run for measuring with float32 on other data."""
    config = read_settings(TrainConfig, state["config"])
    return replace(config, data=data, execution=replace(config.execution, precision="float32"))


def measure(out: Path, state: dict, data: Path, scenes: int) -> list[Figures]:
    """Figures of the exported file itself, read back as an engine reads it."""
    family = Fast3disFamily(measuring_config(state, data))
    model, _ = load_fast3dis(out)
    return family.evaluate(model.to(select_device("auto")), scenes)


def export_fast3dis(state: dict, request: ExportRequest) -> None:
    """The whole network with its facts and figures, and the card."""
    scenes = len(ShardSet(request.data / "val"))
    earlier = [fast3dis_facts(own, scenes) for own in request.earlier_states()]
    facts = {**fast3dis_facts(state, scenes), "earlier": earlier}
    model = trained_network(state)
    save_fast3dis(model, facts, request.out)
    facts["figures"] = measure(request.out, state, request.data, request.scenes)
    save_fast3dis(model, facts, request.out)
    request.out.chmod(0o644)
    write_card(model, facts, request.out)


def write_card(model: Fast3dis, facts: dict, out: Path) -> None:
    """The card beside the file `out`."""
    rows = [
        f"| {'given' if f['posed'] else 'predicted'} | {f['scenes']} | {f['objects']} | {f['ap']:.3f} | {f['ap50']:.3f} | "
        f"{f['ap25']:.3f} | {f['abs_rel_scaled']:.4f} |"
        for f in facts["figures"]
    ]
    new = sum(p.numel() for name, p in model.named_parameters() if ".lora." in name or not name.startswith("da3."))
    text = CARD.format(
        name=out.stem, base=facts["base"], licence=facts["base_licence"], start_from=facts["start_from"],
        parameters=sum(p.numel() for p in model.parameters()) / 1e6, trained=new / 1e6,
        width=facts["width"], height=facts["height"], views=", ".join(f"{count:g}" for count in facts["view_counts"]),
        queries=model.settings.decoder.queries, steps=facts["steps"], samples=facts["samples"],
        training_scenes=facts["training_scenes"], learning_rate=facts["config"]["learning_rate"],
        seed=facts["config"]["seed"], device=facts["device"], figures="\n".join(rows),
    )  # fmt: skip
    with written_whole(out.with_suffix(".md")) as part:
        part.write_text(text, encoding="utf-8")
