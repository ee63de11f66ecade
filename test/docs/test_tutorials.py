"""The tutorials run as they stand there: every block in order, in one folder, and they print what the pages say.

A `bash` block holds `pan3d` commands, a `python` block shares its names with those before it on the page. A `text` block
right behind one of them is what it prints; `...` in it stands for what differs from run to run.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import logging
import re
import shlex

import pytest
from places import ROOT

from pan3d_core.engines import ENGINES
from pan3d_tools import cli

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
NEEDS = {"judge_a_bag": ("mujoco", "rosbags")}  # others need the simulator alone
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


@pytest.mark.usefixtures("own_engines")
@pytest.mark.parametrize(
    "page", [pytest.param(path, marks=pytest.mark.slow if path.stem == "judge_a_bag" else (), id=path.stem) for path in TUTORIALS]
)
def test_tutorial(page, tmp_path, monkeypatch):
    for package in NEEDS.get(page.stem, ("mujoco",)):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", list(logging.getLogger().handlers))
    names: dict = {"__name__": "tutorial"}
    runs = blocks(page.read_text(encoding="utf-8"))
    assert len(runs) >= 3
    for language, content, said in runs:
        printed = run(language, content, names)
        if said is not None:
            assert doctest.OutputChecker().check_output(said, printed, SAME), f"{content}\nprinted\n{printed}"
