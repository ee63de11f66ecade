"""Model cards of `pan3d-mini` and its kin: the text in `cards/`, filled from what a run logged and from its checkpoint.

python -m training.export.model_card --weights pan3d_core/weights/pan3d-mini.safetensors --log RUN/log.jsonl
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from pan3d_core.engines.mini import EPS3D, FAST3DIS, MINI, MiniCheckpoint, engine_of, read_checkpoint
from pan3d_core.models.mini.fast3dis import Fast3disMini
from pan3d_core.models.mini.network import PanMini
from pan3d_core.runtime.files import written_whole
from training.run.refusing import refusing

CURVE_ROWS = 20
CARDS = Path(__file__).parents[1] / "cards"


@dataclass(frozen=True)
class Columns:
    """Figures that a card shows: (title, name, format) each."""

    posed: tuple[tuple[str, str, str], ...]
    unposed: tuple[tuple[str, str, str], ...]
    cases: tuple[tuple[str, str, str], ...]  # of the exported file


MASK_COLUMNS = Columns(
    (("AP50 posed", "ap50", ".3f"), ("AP25 posed", "ap25", ".3f"), ("AbsRel posed", "abs_rel", ".4f"),
     ("objects", "abs_rel_objects", ".4f"), ("names", "kind_accuracy", ".2f")),
    (("AP50 unposed", "ap50", ".3f"), ("AP25 unposed", "ap25", ".3f"), ("AbsRel unposed", "abs_rel", ".3f")),
    (("AP50", "ap50", ".3f"), ("AP25", "ap25", ".3f"), ("recall50", "recall50", ".3f"), ("AbsRel", "abs_rel", ".4f"),
     ("AbsRel objects", "abs_rel_objects", ".4f"), ("naming", "kind_accuracy", ".3f")),
)  # fmt: skip
_CONTEXT = (
    ("semantic mIoU", "semantic_miou", ".3f"), ("accuracy", "semantic_accuracy", ".3f"),
    ("instance mIoU", "instance_miou", ".3f"), ("F", "instance_f", ".3f"), ("PSNR, dB", "psnr_db", ".1f"),
)  # fmt: skip
_NOVEL = tuple((f"novel {title}", f"novel_{name}", form) for title, name, form in _CONTEXT)
RENDERED_COLUMNS = Columns(
    (*_CONTEXT[::2], *_NOVEL[::2]), tuple((f"{title} unposed", name, form) for title, name, form in _CONTEXT[:3:2]),
    (*_CONTEXT, *_NOVEL),
)  # fmt: skip
COLUMNS = {MINI: MASK_COLUMNS, FAST3DIS: MASK_COLUMNS, EPS3D: RENDERED_COLUMNS}


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(
        [f"| {' | '.join(row)} |" for row in (titles, ["---"] * len(titles))] + [f"| {' | '.join(r)} |" for r in rows]
    )


def _cells(columns: Sequence[tuple[str, str, str]], figures: dict) -> list[str]:
    return ["" if math.isnan(figures[name]) else format(figures[name], form) for _, name, form in columns]


def curve_table(lines: list[dict], columns: Columns = MASK_COLUMNS) -> str:
    """Markdown table of the held-out figures in a log, at most `CURVE_ROWS` moments, first and last included."""
    moments: dict[int, dict[bool, dict]] = {}
    for line in lines:
        if line["what"] == "eval":
            moments.setdefault(line["samples"], {})[line["posed"]] = line
    rows = [row for row in moments.values() if len(row) == 2]
    step = max(1, -(-len(rows) // CURVE_ROWS))
    rows = [row for i, row in enumerate(rows) if (len(rows) - 1 - i) % step == 0]
    titles = ["minutes", "samples", *(title for title, _, _ in (*columns.posed, *columns.unposed))]
    return _table(titles, [
        [f"{p['minutes']:.0f}", str(p["samples"]), *_cells(columns.posed, p), *_cells(columns.unposed, u)]
        for p, u in ((row[True], row[False]) for row in rows)
    ])  # fmt: skip


def figure_table(figures: dict[str, dict], columns: Columns = MASK_COLUMNS) -> str:
    """Markdown table of the exported file's figures."""
    titles = ["case", *(title for title, _, _ in columns.cases)]
    return _table(titles, [[case, *_cells(columns.cases, own)] for case, own in figures.items()])


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


def mixture(facts: dict) -> str:
    """A sentence on what the weights are mixed of; empty where they are of one moment."""
    mixed = facts.get("mixed")
    if not mixed:
        return ""
    share = mixed["share"]
    other = f"those of {mixed['file']}" if "file" in mixed else f"those after {mixed['samples']} samples of the first round"
    return (
        f"The file holds {1 - share:g} times the last weights plus {share:g} times {other} (interpolation as in "
        "arXiv 2109.01903), which keeps more of what was known of the plain cell."
    )


def score_words(checkpoint: MiniCheckpoint) -> str:
    """What the scores of a network's instances are."""
    if checkpoint.scores is None:
        return "The score of an instance is the geometric mean of objectness and expected IoU."
    worlds = ", ".join(f"`{world}`" for world in checkpoint.facts["score_worlds"])
    return (
        "The score of an instance is the probability that its mask is right, IoU over 0.5 with an object: a logistic regression "
        f"on what the network says of the mask, learnt in scenes that it was not trained on ({worlds}; `python -m "
        "training.judge.scores`). Its weights stand in the file; `docs/training.md` has the calibration error of every world."
    )


def base_of(facts: dict) -> str:
    """The weight file that the first round to start from one started from, with its checksum."""
    found = [item["base"] for item in (*facts.get("earlier", []), facts) if "base" in item]
    return found[0] if found else "nothing"


def held_out_tables(page: Path | None, digest: str, name: str = "pan3d-mini") -> str:
    """The rows of the engine `name` with this checkpoint (SHA-256 `digest`) on a scoreboard page, under the page's own headings;
    where the page is of another checkpoint, how to write it."""
    text = page.read_text(encoding="utf-8") if page is not None and page.exists() else ""
    if digest[:16] not in text:
        return "The whole pipeline on scenes that nothing was chosen on, and on kinds never seen: `make scoreboard`."
    lines = ["The whole pipeline on scenes that nothing was chosen on (`docs/scoreboard.md` says how each figure is taken):"]
    for section in text.split("\n## ")[1:]:
        title, *rows = section.splitlines()
        table = [row for row in rows if row.startswith("|")]
        own = [row for row in table if row.startswith((f"| **{name}**", f"| {name}: "))]
        if own:
            lines += ["", f"**{title}**", "", *table[:2], *own]
    return "\n".join(lines)


def machine(device: str, ranks: int) -> str:
    """What a run was computed on."""
    if device != "cpu":
        return f"{ranks} x {device}"
    return "one CPU process of one thread" if ranks == 1 else f"{ranks} CPU processes of one thread each"


def number_of_queries(model: nn.Module) -> int:
    """How many objects a network looks for at most, as queries; 0 where it has none."""
    if isinstance(model, PanMini):
        return len(model.decoder.learned)
    return model.settings.decoder.queries if isinstance(model, Fast3disMini) else 0


def write_card(weights: Path, lines: list[dict], out: Path, scoreboard: Path | None = None) -> None:
    """Write the card of a weight file from its own facts, the run's log and the page of a scoreboard.

    Args:
        weights: The exported file.
        lines: Of the run's log, all rounds joined.
        out: The card to write.
        scoreboard: Page to quote the rows of this very file from.
    """
    name = engine_of(weights)
    checkpoint = read_checkpoint(weights, name)
    facts, model = checkpoint.facts, checkpoint.model
    evaluations = [line for line in lines if line["what"] == "eval"]
    config = facts["config"]
    content = weights.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    kinds = tuple(dict.fromkeys(checkpoint.known_names.class_names))
    queries = number_of_queries(model)
    trained = {id(p): p for p in model.parameters() if p.requires_grad}.values()
    card = (CARDS / f"{name}.md").read_text(encoding="utf-8").format(
        parameters=sum(p.numel() for p in model.parameters()) / 1e6, trained=sum(p.numel() for p in trained) / 1e6,
        base=base_of(facts), name=weights.name, megabytes=len(content) / 1e6,
        size=f"{checkpoint.preprocess.width} x {checkpoint.preprocess.height}",
        digest=digest, board=held_out_tables(scoreboard, digest, name), queries=queries,
        kinds=", ".join(kinds),
        num_kinds=len(kinds), training_scenes=facts["training_scenes"], validation_scenes=facts["validation_scenes"],
        descriptions=facts["descriptions"], rounds=round_table(facts), mixture=mixture(facts), scores=score_words(checkpoint),
        machine=machine(facts.get("device", "cpu"), config["ranks"]),
        precision="bfloat16 products" if config["bfloat16"] else "float32",
        total_batch=config["ranks"] * config["batch"],
        curve_scenes=evaluations[0]["scenes"] if evaluations else 0, curve=curve_table(lines, COLUMNS[name]),
        figure_scenes=next(iter(facts["figures"].values()))["scenes"], figures=figure_table(facts["figures"], COLUMNS[name]),
    )  # fmt: skip
    with written_whole(out) as part:
        part.write_text(card, encoding="utf-8")


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
    with refusing("model_card"):
        main()
