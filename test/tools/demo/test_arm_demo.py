"""The demo with an arm: a wish, a film, a report."""

import json

import pytest

from pan3d_tools.demo.__main__ import parse

pytest.importorskip("ompl")
pytest.importorskip("mujoco")

from pan3d_tools.demo.arm import run_arm  # noqa: E402


@pytest.mark.slow
def test_an_arm_writes_a_film_and_a_report(tmp_path):
    pytest.importorskip("ompl")
    said = []
    how = ["--rehearse", "--gripper-from-urdf", "--out", str(tmp_path)]
    options = parse(["--arm", "--seed", "2", "--objects", "3", "--prompt", "put the can on the table", *how])
    assert run_arm(options, said.append) == 0
    assert any(line.startswith("placed: ") for line in said)
    assert said[0] == "jaws of the URDF: finger_left and finger_right at gripper open from 0.0 to 80.0 mm by finger_left_joint"
    assert any(line.startswith("rehearsal: ") and " trials of " in line for line in said)
    assert (tmp_path / "rehearsal.gif").stat().st_size > 10_000
    assert (tmp_path / "film.gif").stat().st_size > 10_000 and "touched nothing" in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "result.json").read_text())["outcome"] == "placed"


def test_only_the_arm_rehearses(capsys):
    with pytest.raises(SystemExit):
        parse(["--rehearse"])
    assert "--rehearse: expected with --arm" in capsys.readouterr().err


def test_only_an_arm_has_jaws_to_measure(capsys):
    with pytest.raises(SystemExit):
        parse(["--gripper-from-urdf"])
    assert "--gripper-from-urdf: expected with --arm" in capsys.readouterr().err
