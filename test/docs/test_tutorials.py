"""The tutorials run as they stand there: every block in order, in one folder, and they print what the pages say.

A `bash` block holds `pan3d` commands, a `python` block shares its names with those before it on the page. A `text` block
right behind one of them is what it prints; `...` in it stands for what differs from run to run.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import logging
import os
import re
import shlex
import subprocess
import sys

import pytest
from places import ROOT

from pan3d_core.engines import ENGINES
from pan3d_tools import cli

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
# Others need the simulator alone.
NEEDS = {"judge_a_bag": ("mujoco", "rosbags"), "teach_it_your_things": ("mujoco", "rosbags")}
SLOW = ("judge_a_bag", "teach_it_your_things")
TEACHING = ROOT / "docs" / "tutorials" / "teach_it_your_things.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
SAME = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(text: str) -> list[tuple[str, str, str | None]]:
    """Language and content of every block that runs, and what the page says that it prints."""
    found = list(BLOCK.finditer(text))
    runs = []
    for block, after in zip(found, [*found[1:], None]):
        said = after is not None and after[1] == "text" and not text[block.end() : after.start()].strip()
        if block[1] in ("bash", "python"):
            runs.append((block[1], block[2], after[2] if after is not None and said else None))
    return runs


def run(language: str, content: str, names: dict) -> str:
    """What a block prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        if language == "python":
            exec(compile(content, "tutorial", "exec"), names)
        else:
            for line in content.splitlines():
                program, *arguments = shlex.split(line, comments=True)
                assert program == "pan3d", line
                assert cli.main(arguments) == 0, line
    return printed.getvalue()


@pytest.fixture
def own_engines():
    """Engines that a page adds are gone afterwards."""
    known = dict(ENGINES)
    yield
    ENGINES.clear()
    ENGINES.update(known)


def follow(text: str, tmp_path, monkeypatch) -> None:
    """Run every block in a folder, and compare what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", list(logging.getLogger().handlers))
    names: dict = {"__name__": "tutorial"}
    runs = blocks(text)
    assert len(runs) >= 2
    for language, content, said in runs:
        printed = run(language, content, names)
        if said is not None:
            assert doctest.OutputChecker().check_output(said, printed, SAME), f"{content}\nprinted\n{printed}"


@pytest.mark.usefixtures("own_engines")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "page", [pytest.param(path, marks=pytest.mark.slow if path.stem in SLOW else (), id=path.stem) for path in TUTORIALS]
)
def test_tutorial(page, tmp_path, monkeypatch):
    for package in NEEDS.get(page.stem, ("mujoco",)):
        pytest.importorskip(package)
    follow(page.read_text(encoding="utf-8"), tmp_path, monkeypatch)
    if page == TEACHING:
        told = asked_of_the_node(tmp_path)
        assert re.search(r"^\d+ tea pot at ", told, re.MULTILINE) and "the tea pot: taught 'tea pot': " in told, told


def test_the_quick_part_of_teaching(tmp_path, monkeypatch):
    """Recording and showing, with half of the pictures; what trains a network is slow."""
    for package in ("mujoco", "rosbags"):
        pytest.importorskip(package)
    parts = re.split(r"^(?=## )", TEACHING.read_text(encoding="utf-8"), flags=re.MULTILINE)
    quick = "".join(part for part in parts if part.startswith(("## A recording", "## Show it")))
    follow(quick.replace("--rate 1 ", "--rate 0.5 "), tmp_path, monkeypatch)
    assert (tmp_path / "objects" / "tea_pot" / "view_3.png").exists()


def asked_of_the_node(folder) -> str:
    """What the last of the page's three terminals prints."""
    pytest.importorskip("rclpy")
    lines = re.findall(r"^    ((?:perception_node|pan3d replay|python) .*)$", TEACHING.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) == 3
    modules = {"perception_node": ["-m", "pan3d_ros.perception_node"], "pan3d": ["-m", "pan3d_tools.cli"], "python": []}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    running = []
    try:
        for line in lines:
            program, *arguments = shlex.split(line)
            command = [
                sys.executable,
                *modules[program],
                *(str(ROOT / word) if word[:9] == "examples/" else word for word in arguments),
            ]
            with (folder / f"{program}.log").open("w") as log:
                running.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT))
        running[-1].wait(600)
    finally:
        for child in running:
            child.kill()
            child.wait()
    return "\n".join((folder / f"{name}.log").read_text(encoding="utf-8") for name in ("python", "perception_node"))
