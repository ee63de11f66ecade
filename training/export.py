"""Write a run's averaged weights as the half-precision file that the engine loads, and its model card.

    python -m training.export --run RUN --data DIR --out pan3d_core/weights/pan3d-mini.safetensors

`--earlier RUN`, once for each, names the runs whose weights this one started from, first to last; the card tells of all.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from pan3d_core.engines.mini import FORMATS, NAMES_PREFIX, fold_batch_norms, read_checkpoint
from training.checkpoints import read_state
from training.datasets import ShardSet
from training.evaluate import MiniFigures, evaluate
from training.model_card import joined_logs, write_card
from training.text_targets import TextTargets, load_text_targets

MAX_BYTES = 20 * 2**20


def export_weights(state: dict, text: TextTargets, facts: dict, out: Path) -> None:
    """State of a trainer -> safetensors in half precision with the known names' embeddings; refuses more than `MAX_BYTES`."""
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
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out, metadata={"format": FORMATS[state["family"]], "content": json.dumps(content)})
    out.chmod(0o644)
    size = out.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"out: expected at most {MAX_BYTES} bytes, got {size}")


def recipe(config: dict) -> dict:
    """What the card says of a run's settings. Checkpoints of earlier versions hold them in one flat dict."""
    if "optimizer" not in config:
        return {key: config[key] for key in ("minutes", "ranks", "batch", "learning_rate", "seed", "bfloat16")}
    execution = config["execution"]
    return {
        "minutes": config["minutes"], "ranks": execution["ranks"], "seed": config["seed"],
        "batch": config["sampling"]["batch"] * execution["accumulate"],
        "learning_rate": config["optimizer"]["learning_rate"], "bfloat16": execution["precision"] == "bfloat16",
    }  # fmt: skip


def run_facts(state: dict, text: TextTargets, validation_scenes: int) -> dict:
    """What a checkpoint says about its making."""
    return {
        "training_scenes": state["scenes"], "validation_scenes": validation_scenes, "steps": state["step"],
        "samples": state["samples"], "minutes": round(state["elapsed"] / 60, 1), "kinds": len(text.kinds),
        "descriptions": len(text.texts), "config": recipe(state["config"]), "device": state.get("device", "cpu"),
    }  # fmt: skip


def measure(out: Path, family: str, validation: ShardSet, text: TextTargets, scenes: int) -> dict[str, MiniFigures]:
    """Figures of the exported file itself, read back as the engine reads it."""
    model = read_checkpoint(out, family).model
    fold_batch_norms(model)
    cases = {
        "cameras known, 4 views": (True, 4), "cameras known, 2 views": (True, 2), "cameras known, 1 view": (True, 1),
        "poses unknown, 4 views": (False, 4),
    }  # fmt: skip
    return {
        name: evaluate(model, validation, text, scenes=scenes, posed=posed, views=views, bfloat16=False)
        for name, (posed, views) in cases.items()
    }


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a training run (last.pt, log.jsonl)")
    parser.add_argument("--earlier", type=Path, action="append", default=[], help="run that this one started from")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=320, help="held-out scenes for the card's figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    state = read_state(arguments.run / "last.pt")
    text = load_text_targets(arguments.data / "text_embeddings.npz")
    validation = ShardSet(arguments.data / "val")
    earlier = [run_facts(read_state(run / "last.pt"), text, len(validation)) for run in arguments.earlier]
    facts = {**run_facts(state, text, len(validation)), "earlier": earlier}
    export_weights(state, text, facts, arguments.out)
    figures = {name: asdict(value) for name, value in measure(arguments.out, state["family"], validation, text, arguments.scenes).items()}
    export_weights(state, text, {**facts, "figures": figures}, arguments.out)
    write_card(
        arguments.out,
        joined_logs([run / "log.jsonl" for run in (*arguments.earlier, arguments.run)]),
        arguments.out.with_suffix(".md"),
    )


if __name__ == "__main__":
    main()
