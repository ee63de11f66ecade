"""The section on rendered Gaussians: what its kept rows depend on, and what the page says."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pan3d_core.config import ModelConfig
from pan3d_eval.datasets.scenes import SceneReference
from pan3d_eval.rendered.gaussian_scenes import GaussianEvaluation, GaussianProtocol
from pan3d_eval.scoreboard.board import MeasuredRow, measured_row
from pan3d_eval.scoreboard.gaussian_section import (
    COLUMNS,
    GAUSSIAN_ROWS,
    gaussian_worker,
    section_text,
)
from pan3d_eval.scoreboard.rows import SceneSet

SCENES = SceneSet("8_views", "Held-out scenes", tuple(SceneReference(Path("shard"), index) for index in range(3)), {})


def test_rows_are_with_and_without_poses():
    protocols = {(row.protocol.use_poses, row.protocol.readout) for row in GAUSSIAN_ROWS}
    assert protocols == {(True, "cells"), (False, "cells")}
    assert len({row.key for row in GAUSSIAN_ROWS}) == len({row.title for row in GAUSSIAN_ROWS}) == len(GAUSSIAN_ROWS)
    for row in GAUSSIAN_ROWS:
        assert ("given" in row.title) == row.protocol.use_poses
        assert row.config("w") == ModelConfig(name="pan3d-mini-eps3d", threads=1, weights="w")


def test_a_kept_row_depends_on_checkpoint_protocol_and_scenes(tmp_path):
    weights, row = tmp_path / "weights.safetensors", GAUSSIAN_ROWS[0]
    weights.write_bytes(b"one")
    before = {own.key: own.measurement(SCENES, str(weights)).hash() for own in GAUSSIAN_ROWS}
    assert len(set(before.values())) == len(GAUSSIAN_ROWS)
    assert row.measurement(replace(SCENES, references=SCENES.references[:2]), str(weights)).hash() != before[row.key]
    kept = MeasuredRow({"novel pq": 0.5}, {}, [], {})
    (tmp_path / f"{row.key}-8_views-{before[row.key]}.json").write_text(json.dumps(asdict(kept)))
    assert measured_row(row.measurement(SCENES, str(weights)), tmp_path, machine={}).figures == {"novel pq": 0.5}
    weights.write_bytes(b"two")
    assert row.measurement(SCENES, str(weights)).hash() != before[row.key]


def test_every_column_is_a_figure():
    figures = GaussianEvaluation(()).figures()
    assert {column.figure for column in COLUMNS} <= set(figures) and figures["scenes"] == 0


def test_the_section_holds_every_row():
    figures = {column.figure: 0.1234 for column in COLUMNS} | {"scenes": 20, "num_gaussians": 48470.4, "novel psnr_db": 17.16}
    measured = {row.key: MeasuredRow(dict(figures), {}, [], {}) for row in GAUSSIAN_ROWS}
    del measured[GAUSSIAN_ROWS[1].key].figures["novel sq"]
    text = section_text(GAUSSIAN_ROWS, measured, "images/board/rendered.png")
    lines = text.splitlines()
    table = [line for line in lines if line.startswith("| **pan3d-mini-eps3d**")]
    assert len(table) == len(GAUSSIAN_ROWS) and all(line.count("|") == len(COLUMNS) + 2 for line in table)
    assert "| 0.123 | 0.123 | 17.2 | 48470 | 0.12 | 0.12 |" in table[0] and "|  |" in table[1]
    assert "20 held-out scenes" in text and "Every scene was measured." in text and "(images/board/rendered.png)" in text
    failing = measured | {GAUSSIAN_ROWS[0].key: MeasuredRow(dict(figures), {}, ["scene 3: no depth"], {})}
    assert "1 scenes failed" in section_text(GAUSSIAN_ROWS, failing, "p")


def test_an_engine_without_gaussians_is_named():
    with pytest.raises(ValueError, match="--engine: expected one that gives Gaussians with semantics.*'pan3d-mini'"):
        gaussian_worker(ModelConfig(name="pan3d-mini"), GaussianProtocol())
