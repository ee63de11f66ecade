"""`docs/scoreboard.md`: the measured rows as a page that reads without the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pan3d_core.runtime.files import written_whole
from pan3d_eval.figures import AP_RULES
from pan3d_eval.scoreboard.board import Column, MeasuredRow, dates, failures_sentence, filled, table
from pan3d_eval.scoreboard.rows import Row, SceneSet

Measured = Mapping[tuple[str, str], MeasuredRow]  # (row key, scene set key)

QUALITY = (
    *(Column(name, name) for name in ("AP50", "AP25", "AP")),
    Column("in one view", "AP50 in each view"),
    Column("small", "found in a view, 10 to 60 pixels"),
    Column("ECE", "score ECE"),
    Column("AbsRel", "depth AbsRel"),
    Column("centre mm", "centre error (mm)", 1),
    Column("extent mm", "extent error (mm)", 1),
)
NAMES = (Column("name", "naming top-1"), Column("paraphrase", "paraphrase top-1"))
COST = (Column("s / scene", "processor seconds per scene", 2), Column("MB", "peak memory (MB)", 0))
CAMERAS = (
    Column("rotation, deg", "camera rotation (deg)", 1),
    Column("direction, deg", "camera direction (deg)", 1),
    Column("AUC at 30 deg", "camera AUC at 30 deg"),
    Column("ATE, mm", "camera ATE (mm)", 1),
    Column("AbsRel, scale fitted", "depth AbsRel, scale fitted"),
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
    rendered: str = ""  # section on rendered Gaussians, see `gaussian_section`; empty = none
    refined: str = ""  # section on refined scenes, see `refined_section`; empty = none


def page_text(board: Board, pictures: str) -> str:
    """Write the page into a text.

    Args:
        board: What it says.
        pictures: Folder of the montages, relative to the page.

    Returns:
        Markdown.
    """
    measured = list(board.measured.values())
    loads = sorted({float(item.machine["load"]) for item in measured if item.machine["load"] != "unknown"})
    text = filled(
        "page.md",
        command=board.command,
        when=dates(measured),
        processor=measured[0].machine["processor"],
        load=f"; load of the machine {loads[0]:.1f} to {loads[-1]:.1f} as the rows began" if loads else "",
        weights=board.weights,
        failures=failures_sentence(measured),
        held_out=board.held_out.title,
        held_out_table=_table(board, board.held_out, QUALITY + NAMES + COST),
        unseen=board.unseen.title,
        unseen_table=_table(board, board.unseen, (*QUALITY, NAMES[1], *COST)),
        kinds=", ".join(board.unseen.prompts),
        cameras=_cameras(board),
        rendered=board.rendered,
        refined=board.refined,
        rows="\n".join(f"- {row.title}: {row.about}." for row in board.rows),
        pictures=pictures,
        row_pictures="\n\n".join(f"{row.title}\n\n![{row.key}]({pictures}/{row.key}.jpg)" for row in board.rows),
        rules=AP_RULES,
        protocols=_protocols(board),
    )
    return text + "\n"


def _table(board: Board, scenes: SceneSet, columns: Sequence[Column]) -> str:
    return table(columns, ([row.title, *board.measured[row.key, scenes.key].cells(columns)] for row in board.rows))


def _cameras(board: Board) -> str:
    """The section on cameras where poses are withheld, empty where no row is without them."""
    shown = [(row, scenes) for row in board.rows if row.key in UNPOSED for scenes in (board.held_out, board.unseen)]
    if not shown:
        return ""
    lines = [
        [f"{row.engine}: {scenes.title[0].lower()}{scenes.title[1:]}", *board.measured[row.key, scenes.key].cells(CAMERAS)]
        for row, scenes in shown
    ]
    return f"## Cameras where poses are withheld\n\n{table(CAMERAS, lines)}"


def _protocols(board: Board) -> str:
    key = next((key for key in UNPOSED if (key, "held_out") in board.measured), board.rows[0].key)
    return "\n".join(f"| {name} | {rule} |" for name, rule in board.measured[key, "held_out"].protocols.items())


def write_page(path: Path, board: Board, pictures: str) -> Path:
    """Write the page.

    Args:
        path: Of the file; its folder is made where needed.
        board: What the page says.
        pictures: Folder of the montages, relative to the page.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part:
        part.write_text(page_text(board, pictures), encoding="utf-8")
    return path
