"""The table of docs/first_hour.md: what a person sees is what programs say, and what there is to do names what exists."""

from __future__ import annotations

import re

import pytest
from places import ROOT

PAGE = (ROOT / "docs" / "first_hour.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.partition("## By symptom")[2].splitlines()
    if line.startswith("| ") and not line.startswith(("| what", "| ---"))
]
SOURCES = [*(ROOT / "launch").glob("*.py"), *(ROOT / "pan3d_ros").rglob("*.py"), *(ROOT / "pan3d_core").rglob("*.py")]
# As strings stand there: joined over lines, with something in place of what is filled in.
JOINED = "\n".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8")) for path in SOURCES)
FILLED = re.sub(r"\{[^{}]*\}", "\0", JOINED)
PARAMETERS = set(re.findall(r"^\| `([\w.<>]+)`", (ROOT / "docs/parameters.md").read_text(encoding="utf-8"), re.MULTILINE))
OTHERS = {"externally-managed-environment", "pan3d_interfaces", "metric: false"}  # what pip, colcon and `ros2 topic echo` say
SAID = [
    words
    for row in ROWS
    for words in re.findall(r"`([^`]+)`", row[0])
    if words not in PARAMETERS | OTHERS and not re.match(r"ros2 |make |colcon |/", words)
]


def is_said(words: str) -> bool:
    """Whether a program of ours has these words; `...`, paths and numbers stand for what is filled in."""
    words = words.partition("; did you mean")[0]  # of `pan3d_core.settings.did_you_mean`, where it knows something
    parts = [re.escape(part) for part in re.split(r"\.\.\.|/\w+(?:/\w+)+|/\w+(?= has)|\d+", words)]
    return re.search("[\0/'\\w]+".join(parts), FILLED) is not None


def test_every_silent_failure_has_its_row():
    seen = "\n".join(row[0] for row in ROWS)
    for words in (
        "has no effect", "about another table", "is offered by", "no picture arrives", "no view set yet", "metric: false",
        "waits for ever", "colcon build", "one living camera of four", "slower than pictures", "first result comes late",
    ):  # fmt: skip
        assert words in seen, words
    assert all(len(row) == 3 and all(row) for row in ROWS) and len(ROWS) >= 27


@pytest.mark.parametrize("words", SAID)
def test_what_is_quoted_is_what_programs_say(words):
    assert is_said(words), words


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_what_there_is_to_do_names_parameters_that_exist(row):
    for name in re.findall(r"`([a-z_]+(?:\.[\w<>*]+)+)`", row[2]):
        known = {parameter for parameter in PARAMETERS if re.fullmatch(name.replace(".", r"\.").replace("*", ".*"), parameter)}
        assert known, name
