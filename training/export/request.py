"""What an export is made of, and what every exported file says of the run that it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.run.checkpoints import LAST, read_state


@dataclass(frozen=True)
class ExportRequest:
    """One call of the command."""

    run: Path  # folder of the run
    earlier: tuple[Path, ...]  # folders of the runs whose weights it started from, first to last
    data: Path  # folder with val/
    out: Path  # the file to write
    scenes: int  # held-out scenes for the figures

    def earlier_states(self) -> list[dict]:
        return [read_state(run / LAST) for run in self.earlier]

    def logs(self) -> list[Path]:
        """Of all rounds, first to last."""
        return [run / "log.jsonl" for run in (*self.earlier, self.run)]


def common_facts(state: dict, validation_scenes: int) -> dict:
    """What a checkpoint of any family says about its making."""
    return {
        "training_scenes": state["scenes"], "validation_scenes": validation_scenes, "steps": state["step"],
        "samples": state["samples"], "minutes": round(state["elapsed"] / 60, 1), "config": recipe(state["config"]),
        "device": state.get("device", "cpu"),
    }  # fmt: skip


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
