"""`pan3d bench training`: a plan for many GPUs, and steps that are taken here."""

import json

import pytest
import yaml

from pan3d_tools import cli
from pan3d_tools.bench.networks.training import parse, run


@pytest.mark.slow
def test_a_step_is_planned_and_measured(run_values, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = run_values("segvggt", sampling={"batch": 1, "view_counts": [2], "view_weights": [1.0]})
    values.pop("out")
    settings = tmp_path / "run.yaml"
    settings.write_text(yaml.safe_dump(values))
    code = cli.main(["bench", "training", "--ranks", "4", "--measure", "1", "--config", str(settings)])
    assert code == 0, capsys.readouterr().err
    result = json.loads((tmp_path / "out" / "bench" / "training.json").read_text())["result"]
    plan, found = result["planned"], result["measured"]
    assert result["pictures_of_a_rank"] == 2 and plan["ranks"] == 4
    assert plan["fsdp"]["moments_gib"] == pytest.approx(plan["ddp"]["moments_gib"] / 4)
    assert plan["ddp_recomputed"]["together_gib"] < plan["ddp"]["together_gib"]
    assert plan["step_recomputed"]["at_best_s"]["H200"] > plan["step"]["at_best_s"]["H200"] > 0
    assert found["kept_over_planned"] > 1.0 > found["kept_recomputed_over_kept"] and found["time_recomputed_over_time"] > 0


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="--ranks, --views, --measure: expected at least 1, 0 and 0"):
        parse(["--ranks", "0", "--data", "x"])
    with pytest.raises(SystemExit):
        run(["--no-such-option", "--data", "x"])
