"""The model card of `pan3d-mini`, filled from what a run logged and from its checkpoint.

python -m training.model_card --weights pan3d_core/weights/pan3d-mini.safetensors --log RUN/log.jsonl
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from pan3d_core.engines.mini import read_checkpoint

CURVE_ROWS = 20

CARD = """# pan3d-mini

The default network of pan3d: a few small calibrated RGB views of a tabletop in; metric depth, object instances with one mask
over all views, and a text-aligned vector per object out. Trained from scratch on rendered scenes only.

| | |
|---|---|
| parameters | {parameters:.2f} M |
| file | {name}, {megabytes:.1f} MB, float16, SHA-256 `{digest}` |
| input | 1 to 6 views of 144 x 112 pixels, intrinsics, `cam_from_world`, height of the support plane (the last two may lack) |
| output | depth and its expected error, up to {queries} instances (masks at half resolution), 384-d vectors, class names |
| known kinds | {kinds} |
| licence | Apache-2.0, as the rest of pan3d; no third-party weights or images went into it |

## Data

{training_scenes} training scenes and {validation_scenes} held-out scenes, four views each, 144 x 112 pixels with depth
and ids, rendered by `pan3d_sim.shards` in MuJoCo: 3 to 8 procedurally built objects of {num_kinds} kinds on a
textured table, random light, camera places and intrinsics. Names: {descriptions} descriptions (kind, material, use)
embedded by the MiniLM sentence encoder.
The held-out scenes have other seeds but the same kinds, textures and light models.

## Training

{rounds}

Every round starts from the averaged weights of the one before; what is new in the network starts fresh. Computed on {machine}
({precision}). Batch {total_batch}, 2 to 4 views per sample; AdamW (0.9, 0.98), weight decay 0.05, 100 steps warm-up to the
learning rate, then cosine to zero over the round's time; gradient norm clipped at 2; averaged weights (decay 0.995 to 0.999).
Poses are withheld from 30 % of the samples, so one checkpoint serves both cases; in the others the support
height is off by up to 5 mm and, for half, each camera by about 3 mm and 0.2 degrees. Mirroring, turning
the world, colours, blur and noise vary each sample.
Loss: 12 depth (L1 of the logarithm) + 10 centre votes + 3 foreground + 0.6 (20 cross-entropy + 3 Dice + objectness, earlier
layers half) + mask quality + 0.7 InfoNCE against one random description per kind + small terms (`training/losses/mini.py`).

Learning curve (averaged weights, {curve_scenes} held-out scenes until the last rows; AP of class-agnostic masks over four views):

{curve}

## Figures

The exported file, {figure_scenes} held-out scenes, float32. AP counts objects of at least 8 half-resolution pixels over
all views; depth errors (AbsRel) where the truth is nearer than 1.5 m, on objects and table, and on objects alone; naming
accuracy of the masks that match an object with IoU over 0.5, among {num_kinds} kinds.

{figures}

{board}

## How it differs from SegVGGT

Kept: tokens of all views with a camera token each, alternating frame-wise and global attention, object queries that decode
one mask over all views, Hungarian matching with cross-entropy and Dice. Departures, all to learn from few samples:

- a convolutional stem with batch normalisation and a feature pyramid instead of a pretrained ViT and DPT heads;
- calibration as input: where each pixel's ray meets the support plane, in a gravity-aligned frame, at stride 4 and per token;
  rotary positions on that plane in the global attention, so that finding the same place in another view is a matter of position;
- depth as a factor on the depth of the support plane (or on 0.7 m when poses are unknown), with an expected error;
- a plane sweep over heights above the support: where a pixel's ray passes each height, do the other views show the same;
- queries that start where many pixels vote for an object's centre, and follow their masks from layer to layer;
- masked cross-attention, a distance term in the masks, sharper masks at stride 2, a predicted mask IoU; no FADA loss;
- a text-aligned vector per query instead of class logits.

## Limits

- Rendered images only: expect much worse results on photographs, in clutter, and on kinds of objects it has never seen.
- It leans on the support plane: a wrong height shifts all depths, and scenes without a horizontal support are out of its world.
- Without poses its cameras come from the support plane and the objects that views share, a few degrees off, and its depth has no
  reliable scale; the engine then says that it is not metric.
- Thin parts are coarse: masks have half the resolution of an input of 144 x 112 pixels.
- Text vectors follow {num_kinds} kinds: an unseen kind gets the vector of the kind that it resembles.
"""


def curve_table(lines: list[dict]) -> str:
    """Markdown table of the held-out figures in a log, at most `CURVE_ROWS` moments, first and last included."""
    moments: dict[int, dict[bool, dict]] = {}
    for line in lines:
        if line["what"] == "eval":
            moments.setdefault(line["samples"], {})[line["posed"]] = line
    rows = [row for row in moments.values() if len(row) == 2]
    step = max(1, -(-len(rows) // CURVE_ROWS))
    rows = [row for i, row in enumerate(rows) if (len(rows) - 1 - i) % step == 0]
    head = (
        "| minutes | samples | AP50 posed | AP25 posed | AbsRel posed | objects | names "
        "| AP50 unposed | AP25 unposed | AbsRel unposed |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    body = [
        f"| {p['minutes']:.0f} | {p['samples']} | {p['ap50']:.3f} | {p['ap25']:.3f} | {p['abs_rel']:.4f} | "
        f"{p['abs_rel_objects']:.4f} | {p['kind_accuracy']:.2f} | {u['ap50']:.3f} | {u['ap25']:.3f} | {u['abs_rel']:.3f} |"
        for p, u in ((row[True], row[False]) for row in rows)
    ]
    return "\n".join([head, *body])


def figure_table(figures: dict[str, dict]) -> str:
    """Markdown table of the exported file's figures."""
    head = "| case | AP50 | AP25 | recall50 | AbsRel | AbsRel objects | naming |\n|---|---|---|---|---|---|---|"
    body = [
        f"| {case} | {f['ap50']:.3f} | {f['ap25']:.3f} | {f['recall50']:.3f} | {f['abs_rel']:.4f} | {f['abs_rel_objects']:.4f} | "
        f"{f['kind_accuracy']:.3f} |"
        for case, f in figures.items()
    ]
    return "\n".join([head, *body])


def joined_logs(logs: list[Path]) -> list[dict]:
    """Lines of the runs' logs, samples and minutes counted on from run to run."""
    lines: list[dict] = []
    samples, minutes = 0, 0.0
    for log in logs:
        own = [json.loads(line) for line in log.read_text().splitlines()]
        lines += [{**line, "samples": line["samples"] + samples, "minutes": line["minutes"] + minutes} for line in own]
        samples, minutes = lines[-1]["samples"], lines[-1]["minutes"]
    return lines


def round_table(facts: dict) -> str:
    """Markdown table of the rounds of training, the last one being that of the weights."""
    head = "| round | samples | steps | minutes | learning rate | seed |\n|---|---|---|---|---|---|"
    body = [
        f"| {number} | {item['samples']} | {item['steps']} | {item['minutes']} | {item['config']['learning_rate']:g} | "
        f"{item['config']['seed']} |"
        for number, item in enumerate([*facts.get("earlier", []), facts], start=1)
    ]
    return "\n".join([head, *body])


def held_out_tables(page: Path | None, digest: str) -> str:
    """The rows of this checkpoint (SHA-256 `digest`) on a scoreboard page, under the page's own headings; where the page is of
    another checkpoint, how to write it."""
    text = page.read_text(encoding="utf-8") if page is not None and page.exists() else ""
    if digest[:16] not in text:
        return "The whole pipeline on scenes that nothing was chosen on, and on kinds never seen: `make scoreboard`."
    lines = ["The whole pipeline on scenes that nothing was chosen on (`docs/scoreboard.md` says how each figure is taken):"]
    for section in text.split("\n## ")[1:]:
        title, *rows = section.splitlines()
        table = [row for row in rows if row.startswith("|")]
        own = [row for row in table if row.startswith("| **pan3d-mini**")]
        if own or title.startswith("Cameras"):
            lines += ["", f"**{title}**", "", *table[:2], *(own or table[2:])]
    return "\n".join(lines)


def machine(device: str, ranks: int) -> str:
    """What a run was computed on."""
    return f"{ranks} CPU processes of one thread each" if device == "cpu" else f"{ranks} x {device}"


def write_card(weights: Path, lines: list[dict], out: Path, scoreboard: Path | None = None) -> None:
    """Fill the card from the weight file's own facts, the lines of the run's log and the page of a scoreboard."""
    checkpoint = read_checkpoint(weights)
    facts = checkpoint.facts
    evaluations = [line for line in lines if line["what"] == "eval"]
    config = facts["config"]
    content = weights.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    kinds = tuple(dict.fromkeys(checkpoint.known_names.class_names))
    card = CARD.format(
        parameters=sum(p.numel() for p in checkpoint.model.parameters()) / 1e6, name=weights.name, megabytes=len(content) / 1e6,
        digest=digest, board=held_out_tables(scoreboard, digest),
        queries=len(checkpoint.model.decoder.learned), kinds=", ".join(kinds),
        num_kinds=len(kinds), training_scenes=facts["training_scenes"], validation_scenes=facts["validation_scenes"],
        descriptions=facts["descriptions"], rounds=round_table(facts),
        machine=machine(facts.get("device", "cpu"), config["ranks"]),
        precision="bfloat16 products" if config["bfloat16"] else "float32",
        total_batch=config["ranks"] * config["batch"],
        curve_scenes=evaluations[0]["scenes"] if evaluations else 0, curve=curve_table(lines),
        figure_scenes=next(iter(facts["figures"].values()))["scenes"], figures=figure_table(facts["figures"]),
    )  # fmt: skip
    out.write_text(card, encoding="utf-8")


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument(
        "--log", type=Path, action="append", required=True, help="a run's log; once for each round, first to last"
    )
    parser.add_argument("--scoreboard", type=Path, default=Path("docs/scoreboard.md"))
    arguments = parser.parse_args()
    write_card(arguments.weights, joined_logs(arguments.log), arguments.weights.with_suffix(".md"), arguments.scoreboard)


if __name__ == "__main__":
    main()
