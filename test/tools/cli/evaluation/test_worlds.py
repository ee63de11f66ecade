"""`pan3d eval --world`: scenes rendered by seed, and calibration that is a little wrong."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from pan3d_sim.data.judged_worlds import JUDGED_WORLDS
from pan3d_tools import cli
from pan3d_tools.cli.evaluation.worlds import add_world_options

ROOT = Path(__file__).parents[4]

SMALL = (
    "--world-scenes",
    "1",
    "--world-cameras",
    "2",
    "--world-size",
    "64x48",
    "--engine",
    "depth_clusters",
    "--depth",
    "--worst",
    "0",
)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    return tmp_path_factory.mktemp("worlds")


def figures(worlds, out, *more: str) -> dict:
    assert cli.main(["eval", "--world", "cell", *SMALL, "--world-folder", str(worlds), "-o", str(out), *more]) == 0
    return json.loads((out / "figures.json").read_text())["figures"]


def test_a_world_is_rendered_and_judged_and_wrong_calibration_costs_accuracy(worlds, tmp_path):
    right = figures(worlds, tmp_path / "right")
    wrong = figures(worlds, tmp_path / "wrong", "--position-error", "0.03")
    name = next(name for name in right if "centre error" in name)
    assert wrong[name] > right[name] + 0.003


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "expected either paths of scenes or the name of a world, got neither"),
        (("somewhere", "--world", "cell"), "got both"),
        (("--world", "moon"), "world: expected one of cell"),
        (("--world", "modelled"), "pan3d sim objects fetch"),
        (("--world", "cell", "--rotation-error", "-1"), "RigError.rotation_deg"),
    ],
)
def test_what_cannot_be_judged_is_told(arguments, words, worlds, tmp_path, capsys):
    assert cli.main(["eval", *arguments, *SMALL, "--world-folder", str(worlds), "-o", str(tmp_path)]) != 0
    assert words in capsys.readouterr().err


def test_every_world_is_named_by_the_command_and_on_its_page(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")  # so that the help breaks no name
    parser = argparse.ArgumentParser()
    add_world_options(parser)
    told, page = parser.format_help(), (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
    for name in JUDGED_WORLDS:
        assert f"`{name}`" in page and re.search(rf"\b{name}\b", told)
