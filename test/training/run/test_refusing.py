"""Commands that cannot do what they are asked for say why in a line, with the exit code of `pan3d`."""

import sys

import pytest
import yaml

from training.families import run_config
from training.run.refusing import TRACEBACKS, refusing
from training.train import main, spawn_ranks


@pytest.mark.parametrize("error", [ValueError("data: expected some, got none"), FileNotFoundError("weights: gone")])
def test_what_cannot_be_used_is_a_line(capsys, error):
    with pytest.raises(SystemExit) as ended, refusing("train"):
        raise error
    assert ended.value.code == 2 and capsys.readouterr().err == f"train: error: {error}\n"


def test_faults_of_our_own_show_where_they_are(monkeypatch):
    with pytest.raises(KeyError), refusing("train"):
        raise KeyError("place")
    monkeypatch.setenv(TRACEBACKS, "1")
    with pytest.raises(ValueError, match="data"), refusing("train"):
        raise ValueError("data")


def test_a_run_that_cannot_begin_says_so(run_values, tmp_path, monkeypatch, capsys):
    values = run_values("segvggt", start_from=str(tmp_path / "nowhere.pt"))
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    for arguments, said in (
        ([], "train: error: weights: expected a file, got .*nowhere.pt, which does not exist"),
        (["--set", "sampling.views=2"], "train: error: sampling.views: expected one of batch"),
        (["--set", "model.height=55"], "train: error: model.height: expected a multiple of 14, got 55"),
    ):
        monkeypatch.setattr(sys, "argv", ["train", "--config", str(tmp_path / "run.yaml"), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        told = capsys.readouterr().err
        assert said.split(".*")[0] in told and said.split(".*")[-1] in told and "Traceback" not in told


@pytest.mark.slow
def test_ranks_that_cannot_begin_end_the_command_alike(run_values, tmp_path):
    values = run_values("segvggt", start_from=str(tmp_path / "nowhere.pt"), execution={"ranks": 2})
    with pytest.raises(SystemExit) as ended:
        spawn_ranks(run_config(values))
    assert ended.value.code == 2
