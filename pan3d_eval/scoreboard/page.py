"""`docs/scoreboard.md`: the measured rows as a page that reads without the program."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pan3d_eval.figures import AP_RULES
from pan3d_eval.scoreboard.rows import MeasuredRow, Row, SceneSet

Measured = Mapping[tuple[str, str], MeasuredRow]  # (row key, scene set key)

QUALITY = (
    ("AP50", "AP50"),
    ("AP25", "AP25"),
    ("AP", "AP"),
    ("in one view", "AP50 in each view"),
    ("small", "found in a view, 10 to 60 pixels"),
    ("ECE", "score ECE"),
    ("AbsRel", "depth AbsRel"),
    ("centre mm", "centre error (mm)"),
    ("extent mm", "extent error (mm)"),
)
NAMES = (("name", "naming top-1"), ("paraphrase", "paraphrase top-1"))
COST = (("s / scene", "processor seconds per scene"), ("MB", "peak memory (MB)"))
CAMERAS = (
    ("rotation, deg", "camera rotation (deg)"),
    ("direction, deg", "camera direction (deg)"),
    ("AUC at 30 deg", "camera AUC at 30 deg"),
    ("ATE, mm", "camera ATE (mm)"),
    ("AbsRel, scale fitted", "depth AbsRel, scale fitted"),
)
UNPOSED = ("mini_unposed", "fast3dis_unposed")


@dataclass(frozen=True)
class Board:
    """Everything that the page says."""

    rows: Sequence[Row]
    held_out: SceneSet
    unseen: SceneSet
    measured: Measured
    weights: str  # names and hashes of the checkpoints
    command: str
    rendered: str = ""  # section on rendered Gaussians, see `gaussian_board`; empty = none
    refined: str = ""  # section on refined scenes, see `refined_board`; empty = none


def page_text(board: Board, pictures: str) -> str:
    """The page; `pictures` is the folder of the montages, relative to it."""
    parts = ["# Scoreboard", _how(board), f"## {board.held_out.title}", _table(board, board.held_out, QUALITY + NAMES + COST)]
    parts.append(
        "`in one view`: AP50 where each view is measured on its own, so that identities across views do not matter. "
        "`small`: share of the sightings of an object at 10 to 60 pixels in a view that its mask covers there. "
        "`ECE`: expected calibration error of the scores. `name`: class of found objects. "
        "`paraphrase`: descriptions that were never trained on lead to the right object."
    )
    parts += [f"## {board.unseen.title}", _table(board, board.unseen, (*QUALITY, NAMES[1], *COST))]
    kinds = ", ".join(board.unseen.prompts)
    parts.append(
        f"Kinds that no training data shows: {kinds}. The network has no class for them, so their class names cannot be right; "
        "paraphrases are compared with its text-aligned vectors."
    )
    parts += _cameras(board)
    if board.rendered:
        parts.append(board.rendered)
    if board.refined:
        parts.append(board.refined)
    parts += ["## The rows", "\n".join(f"- {row.title}: {row.about}." for row in board.rows)]
    parts += _pictures(board, pictures)
    parts += ["## How each figure is taken", AP_RULES, _protocols(board)]
    return "\n\n".join(parts) + "\n"


def _how(board: Board) -> str:
    times = sorted({item.machine["date"] for item in board.measured.values()})
    machine = next(iter(board.measured.values())).machine
    loads = sorted({float(item.machine["load"]) for item in board.measured.values() if item.machine["load"] != "unknown"})
    load = f"; load of the machine {loads[0]:.1f} to {loads[-1]:.1f} as the rows began" if loads else ""
    when = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
    failed = sum(len(item.failures) for item in board.measured.values())
    lines = [
        f"Written by `{board.command}` ({when}; {machine['processor']}, no GPU{load}). Checkpoints: {board.weights}.",
        f"Each row ran in a process of its own with one thread, on the same scenes of 144 x 112 pixels and 4 views. "
        f"{'Every scene was measured.' if failed == 0 else f'{failed} scenes failed and are left out.'}",
        "Beside each other stand rows that are given different things: calibrated colour cameras, colour cameras without poses, "
        "and depth cameras whose depth is exact. `s / scene` is the median time of one processor core, images to objects.",
    ]
    return "\n".join(lines)


def _table(board: Board, scenes: SceneSet, columns: Sequence[tuple[str, str]]) -> str:
    lines = ["| | " + " | ".join(head for head, _ in columns) + " |", "|---|" + "---:|" * len(columns)]
    for row in board.rows:
        measured = board.measured[row.key, scenes.key]
        cells = [_cell(name, measured.value(name)) for _, name in columns]
        lines.append(f"| {row.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    if "(MB)" in name:
        return f"{value:.0f}"
    if "(mm)" in name or "(deg)" in name:
        return f"{value:.1f}"
    return f"{value:.2f}" if "seconds" in name else f"{value:.3f}"


def _cameras(board: Board) -> list[str]:
    shown = [(row, scenes) for row in board.rows if row.key in UNPOSED for scenes in (board.held_out, board.unseen)]
    if not shown:
        return []
    lines = ["| | " + " | ".join(head for head, _ in CAMERAS) + " |", "|---|" + "---:|" * len(CAMERAS)]
    for row, scenes in shown:
        cells = [_cell(name, board.measured[row.key, scenes.key].value(name)) for _, name in CAMERAS]
        lines.append(f"| {row.engine}: {scenes.title[0].lower()}{scenes.title[1:]} | " + " | ".join(cells) + " |")
    return ["## Cameras where poses are withheld", "\n".join(lines)]


def _pictures(board: Board, folder: str) -> list[str]:
    parts = [
        "## The same five scenes",
        "Two views of each scene. A segment has the colour of the true object that it is over all views (mask IoU > 0.5), "
        "otherwise a colour that no true object has.",
        f"True instances\n\n![true instances]({folder}/truth.jpg)",
    ]
    return parts + [f"{row.title}\n\n![{row.key}]({folder}/{row.key}.jpg)" for row in board.rows]


def _protocols(board: Board) -> str:
    measured = next((board.measured[key, "held_out"] for key in UNPOSED if (key, "held_out") in board.measured), None)
    measured = measured or board.measured[board.rows[0].key, "held_out"]
    lines = ["| figure | how it is taken |", "|---|---|"]
    lines += [f"| {name} | {rule} |" for name, rule in measured.protocols.items()]
    return "\n".join(lines)


def write_page(path: Path, board: Board, pictures: str) -> Path:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page_text(board, pictures), encoding="utf-8")
    return path
