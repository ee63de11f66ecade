"""Where ROS writes its logs."""

import logging
import os
from pathlib import Path

import pytest

from pan3d_ros.platform.log_folder import ensure_log_folder


@pytest.fixture(autouse=True)
def no_folder_is_named(monkeypatch, tmp_path):
    for name in ("ROS_LOG_DIR", "ROS_HOME", "HOME"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize(("name", "below"), [("ROS_LOG_DIR", ""), ("ROS_HOME", "log"), ("HOME", ".ros/log")])
def test_a_folder_that_can_be_written_stays_the_one(monkeypatch, tmp_path, name, below):
    monkeypatch.setenv(name, str(tmp_path / "mine"))
    ensure_log_folder()
    assert (tmp_path / "mine" / below).is_dir()
    assert os.environ.get("ROS_LOG_DIR") in (None, str(tmp_path / "mine"))


@pytest.mark.parametrize("home", [None, "a file/home"])
def test_without_a_home_the_logs_go_to_a_temporary_folder_that_is_named(monkeypatch, tmp_path, caplog, home):
    if home is not None:
        (tmp_path / "a file").touch()
        monkeypatch.setenv("HOME", str(tmp_path / home))
    with caplog.at_level(logging.WARNING):
        ensure_log_folder()
    folder = Path(os.environ["ROS_LOG_DIR"])
    assert folder.parent == tmp_path and folder.is_dir() and str(folder) in caplog.text
