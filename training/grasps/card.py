"""The scorer's weight file with its card: what it has learnt from, and what it is worth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from pan3d_core.grasping.hand_views import OTHER_POINTS, OWN_POINTS, TERMS
from pan3d_core.grasping.scorer import read_scorer, write_scorer
from pan3d_core.runtime.files import file_sha256, written_whole
from training.grasps.learning import BATCH, Judgement, LearnRequest, judge, learn, split_by_scene
from training.grasps.shards import read_trials

CARD = Path(__file__).parents[1] / "cards" / "pan3d-grasps.md"
CURVE_ROWS = 10
Curve = list[tuple[int, float, float]]  # epoch, loss learnt from and held out


@dataclass(frozen=True)
class Learnt:
    """What came of a run."""

    curve: Curve
    judgement: Judgement


def learn_scorer(folder: Path, out: Path, request: LearnRequest, at_most: int | None = None, command: str = "") -> Learnt:
    """Learn from a folder of trials and write the weight file and, beside it, its card.

    Args:
        folder: Of `make_trials`.
        out: The file, `.safetensors`.
        request: How.
        at_most: Trials that are read; None = all.
        command: That asked for it, for the card.

    Returns:
        The curve, and figures on held-out scenes.

    Raises:
        ValueError: `out` has another ending, or the folder holds no trials.
    """
    if out.suffix != ".safetensors":
        raise ValueError(f"out: expected a file .safetensors, got {out}")
    trials, seeds = read_trials(folder, at_most)
    split, curve = split_by_scene(seeds), Curve()
    network = learn(trials, seeds, split, request, lambda *row: curve.append(row))
    write_scorer(out, network, {"trials": str(len(seeds)), "scenes": str(len(np.unique(seeds)))})
    found = judge(read_scorer(out), trials, seeds, split.held_out)
    rows = sorted({*np.linspace(0, len(curve) - 1, min(CURVE_ROWS, len(curve))).round().astype(int).tolist()})
    text = CARD.read_text(encoding="utf-8").format(
        name=out.name,
        parameters=sum(item.numel() for item in network.parameters()),
        kilobytes=out.stat().st_size / 1000,
        digest=file_sha256(out),
        own_points=OWN_POINTS,
        other_points=OTHER_POINTS,
        terms=len(TERMS),
        command=command,
        date=f"{datetime.now(UTC):%d %B %Y}",
        learnt=len(split.learnt),
        learnt_scenes=len(np.unique(seeds[split.learnt])),
        held_out_scenes=len(np.unique(seeds[split.held_out])),
        batch=BATCH,
        curve="\n".join("| {} | {:.3f} | {:.3f} |".format(curve[row][0] + 1, *curve[row][1:]) for row in rows),
        judged=found.trials,
        **{**asdict(found), "trials": len(seeds), "clean": float(trials.clean.mean())},
        **asdict(request),
    )
    with written_whole(out.with_suffix(".md")) as part:
        part.write_text(text, encoding="utf-8")
    return Learnt(curve, found)
