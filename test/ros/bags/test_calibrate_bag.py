"""`pan3d calibrate check BAG`: the views of a recording with fixed cameras and one on the wrist."""

import pytest

pytest.importorskip("pan3d_sim.data.recording_messages", reason="needs the extra sim")

from pan3d_tools import cli  # noqa: E402


def test_fixed_cameras_and_one_on_the_wrist_are_compared_and_no_file_of_fixed_ones_is_written(cell_bag, tmp_path, capsys):
    arguments = ["calibrate", "check", str(cell_bag), "--views", "6"]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert "6 views" in said and "wrist: right" in said and "OFF" not in said
    assert cli.main([*arguments, "-o", str(tmp_path / "static.yaml")]) == 2
    assert "expected fixed cameras for a .yaml file, got wrist, which moves" in capsys.readouterr().err
