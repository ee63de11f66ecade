"""The scoreboard's bookkeeping and its page; the rows themselves are measured by the runner's own tests."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pan3d_eval.baselines import BASELINES
from pan3d_eval.datasets.scenes import SceneReference
from pan3d_eval.scoreboard.board import MeasuredRow, measured_row
from pan3d_eval.scoreboard.page import Board, page_text
from pan3d_eval.scoreboard.rows import ROWS, SceneSet, pictured

MACHINE = {"date": "2026-01-02 03:04 UTC", "processor": "a processor, 2 cores", "load": "0.5", "python": "3.12"}
HELD_OUT = SceneSet(
    "held_out", "Held-out scenes", tuple(SceneReference(Path("shard"), i) for i in range(12)), {"mug": ("cocoa mug",)}
)
UNSEEN = replace(HELD_OUT, key="unseen", title="Unseen kinds", prompts={"teapot": ("tea pot",)})


def measured(**figures: float) -> MeasuredRow:
    return MeasuredRow(figures, {name: f"rule of {name}" for name in figures}, (), MACHINE)


def test_every_row_is_there_and_every_baseline_is_a_row():
    assert {row.engine for row in ROWS} == {"pan3d-mini", "pan3d-mini-fast3dis", "pan3d-mini-eps3d", "depth_clusters", *BASELINES}
    assert len({row.key for row in ROWS}) == len(ROWS)


def test_a_measured_row_is_kept_until_what_it_depends_on_changes(tmp_path):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"one")
    network, plain = ROWS[0], next(row for row in ROWS if not row.network)
    before = {row.key: row.measurement(HELD_OUT, str(weights)).hash() for row in (network, plain)}
    path = tmp_path / f"{network.key}-held_out-{before[network.key]}.json"
    path.write_text(json.dumps(asdict(measured(AP50=0.5))))
    assert measured_row(network.measurement(HELD_OUT, str(weights)), tmp_path, machine={}).figures == {"AP50": 0.5}
    weights.write_bytes(b"two")
    assert network.measurement(HELD_OUT, str(weights)).hash() != before[network.key]
    assert plain.measurement(HELD_OUT, str(weights)).hash() == before[plain.key]
    fewer = replace(HELD_OUT, references=HELD_OUT.references[:5])
    assert plain.measurement(fewer, str(weights)).hash() != before[plain.key]
    assert plain.measurement(replace(HELD_OUT, prompts={}), str(weights)).hash() != before[plain.key]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"figures": None}, "figures: expected dict"),
        ({"figures": {"AP50": "high"}}, "figures.AP50: expected a number, got 'high'"),
        ({"failures": "none"}, "failures: expected a list of"),
        ({"failed": []}, "failed: expected one of .*did you mean failures"),
    ],
)
def test_a_kept_row_of_another_content_is_an_error_with_file_and_field(tmp_path, changes, message):
    measurement = next(row for row in ROWS if not row.network).measurement(HELD_OUT, "")
    path = tmp_path / f"{measurement.name}-{measurement.hash()}.json"
    path.write_text(json.dumps(asdict(measured(AP50=0.5)) | changes))
    with pytest.raises(ValueError, match=rf"{re.escape(path.name)}: {message}"):
        measured_row(measurement, tmp_path, machine={})


def test_the_pictured_scenes_are_spread_and_the_same_for_all():
    assert [item.index for item in pictured(HELD_OUT)] == [0, 2, 4, 7, 9]
    assert len(pictured(replace(HELD_OUT, references=HELD_OUT.references[:2]))) == 2


def test_the_page_holds_every_row_and_says_how_it_came_about():
    figures = {"AP50": 0.123, "peak memory (MB)": 512.4, "processor seconds per scene": 0.126, "centre error (mm)": 7.04}
    rows = {(row.key, key): measured(**figures) for row in ROWS for key in ("held_out", "unseen")}
    rows["mini_unposed", "held_out"] = measured(**figures, **{"camera rotation (deg)": 11.04})
    failing = replace(rows["mini", "unseen"], failures=["scene 3: no depth"])
    page = page_text(
        Board(ROWS, HELD_OUT, UNSEEN, rows | {("mini", "unseen"): failing}, "`w`", "make scoreboard"), "images/board"
    )
    lines = page.splitlines()
    table = [line for line in lines if line.startswith("| **pan3d-mini**, poses given |")]
    assert len(table) == 2 and "| 0.123 |" in table[0] and "| 0.13 | 512 |" in table[0] and "| 7.0 |" in table[0]
    heads = next(line for line in lines if "AP25" in line)
    assert heads.count("|") == table[0].count("|")
    assert all(page.count(f"images/board/{row.key}.jpg") == 1 for row in ROWS) and "images/board/truth.jpg" in page
    assert "`make scoreboard` (2026-01-02 03:04 UTC; a processor, 2 cores, no GPU" in page and "teapot" in page
    assert "| 11.0 |" in page and "1 scenes failed" in page and "0.95 is not among them" in page
    assert "| camera rotation (deg) | rule of camera rotation (deg) |" in page
    assert "## Rendered" not in page
    board = Board(ROWS, HELD_OUT, UNSEEN, rows, "`w`", "make scoreboard", "## Rendered views")
    parts = page_text(board, "images/board").split("\n\n")
    assert parts[parts.index("## Rendered views") + 1] == "## The rows"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_settings_of_rows_are_the_defaults_but_for_the_engine(row):
    config = row.config("w.safetensors")
    assert config.model.name == row.engine and config.model.threads == 1
    assert config.model.weights == ("w.safetensors" if row.network == "pan3d-mini" else "")
