"""What an export is made of, and what every exported file says of the run that it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.engines.mini import read_checkpoint
from pan3d_core.runtime.files import file_sha256
from training.families.starting.mini import start_architecture
from training.run.checkpoints import LAST, read_state


@dataclass(frozen=True)
class ExportRequest:
    """One call of the command."""

    run: Path  # folder of the run
    earlier: tuple[Path, ...]  # folders of the runs whose weights it started from, first to last
    data: Path  # folder with val/
    out: Path  # the file to write
    scenes: int  # held-out scenes for the figures
    mixed: tuple[Path, float] | None = None  # a checkpoint or weight file of the lineage, and its share in the exported weights

    def earlier_states(self) -> list[dict]:
        return [read_state(run / LAST) for run in self.earlier]

    def logs(self) -> list[Path]:
        """Of all rounds, first to last; a round that was stopped before its first line has none."""
        return [path for run in (*self.earlier, self.run) if (path := run / "log.jsonl").exists()]


def mixed_state(state: dict, path: Path, share: float) -> dict:
    """Mix the averaged weights of two networks of one lineage: what the first knew of the world that a run started from, and
    what the last learnt of others (robust fine-tuning by interpolation, Wortsman et al. 2021, arXiv 2109.01903, eq. 1).

    Args:
        state: Of the run that is exported.
        path: The other checkpoint, or a weight file of `pan3d-mini` such as the one that the run started from.
        share: Of the other, 0..1.

    Returns:
        The state with mixed `ema`, and with `mixed` saying of what.

    Raises:
        ValueError: The share is out of range, or the weights are of another network.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"mix: expected a share of 0 to 1, got {share:g}")
    other, origin = _weight_file(path) if path.suffix == ".safetensors" else _checkpoint(path)
    if other.get("architecture") != state.get("architecture") or set(other["ema"]) != set(state["ema"]):
        raise ValueError(f"mix: expected a checkpoint of the network that is exported, got {path} of another one")
    ema = {name: _between(own, other["ema"][name], share) for name, own in state["ema"].items()}
    return {**state, "ema": ema, "mixed": {"share": share, **origin}}


def _between(own: Tensor, other: Tensor, share: float) -> Tensor:
    """So far from one tensor to another; where both are the same, frozen weights say, to the bit: -0 stays -0."""
    if not own.is_floating_point():
        return own
    other = other.to(own.dtype)
    return torch.where(own == other, own, torch.lerp(own, other, share))


def _checkpoint(path: Path) -> tuple[dict, dict]:
    """A training checkpoint, and what the card says of it."""
    state = read_state(path)
    return state, {"steps": state["step"], "samples": state["samples"]}


def _weight_file(path: Path) -> tuple[dict, dict]:
    """A weight file of `pan3d-mini` as a checkpoint has it, and what the card says of it."""
    weights = read_checkpoint(path).model.state_dict()
    state = {"architecture": start_architecture(str(path)), "ema": weights}
    return state, {"file": f"{path.name}, SHA-256 {file_sha256(path)}"}


def common_facts(state: dict, validation_scenes: int) -> dict:
    """What a checkpoint of any family says about its making."""
    return {
        "training_scenes": state["scenes"], "validation_scenes": validation_scenes, "steps": state["step"],
        "samples": state["samples"], "minutes": round(state["elapsed"] / 60, 1), "config": recipe(state["config"]),
        "device": state.get("device", "cpu"), "mixed": state.get("mixed"),
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
