"""What a run tells while it goes."""

import json
import logging

import pytest
import torch

from training.families import run_config
from training.run.progress import Moment
from training.run.ranks import Ranks
from training.train import Run


def test_time_left_follows_the_pace():
    assert Moment(10, 40, 60.0, 0.25).left() == "0:03:00"
    assert Moment(10, 40, 7200.0, 0.5).left() == "2:00:00"
    assert Moment(0, 0, 0.0, 0.0).left() == "?" and Moment(9, 9, 5.0, 1.0).left() == "0:00:00"


def test_a_run_writes_curves_and_pictures(run_values, caplog):
    pytest.importorskip("tensorboard", reason="needs the extra train")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record = {"tensorboard": True, "pictures": 1}
    run = Run(run_config(run_values("pan3d-mini", steps=2, record=record)), Ranks(0, 1, torch.device("cpu"), "ddp"))
    with caplog.at_level(logging.INFO):
        run.go()
    events = EventAccumulator(str(run.config.out / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"train/total", "train/depth", "learning_rate/new", "samples_per_s", "eval/posed_True/ap50"} <= set(tags["scalars"])
    assert tags["images"] == ["scene 0"]
    logged = [json.loads(line) for line in (run.config.out / "log.jsonl").read_text().splitlines()]
    totals = [line["total"] for line in logged if line["what"] == "train"]
    assert [scalar.value for scalar in events.Scalars("train/total")] == pytest.approx(totals)
    assert "samples/s  left 0:00:" in caplog.text and "100.0 %" in caplog.text
