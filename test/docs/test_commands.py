"""Commands in pages do what they say: objects that they name are there, and launch files have the arguments."""

import ast
import re
import shlex

import pytest
from places import ROOT

pytest.importorskip("mujoco")

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXT = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}


def commands(pattern: str) -> list[tuple[str, str]]:
    return [(page, found) for page, text in TEXT.items() for found in re.findall(pattern, text, re.MULTILINE)]


DEMOS = commands(r'make demo ARGS="([^"]*--prompt[^"]*)"')


def test_the_readme_has_a_demo_with_a_prompt():
    assert "README.md" in [page for page, _ in DEMOS]


@pytest.mark.parametrize(("page", "line"), DEMOS)
def test_the_object_that_a_demo_asks_for_is_in_its_scene(page, line):
    from pan3d_sim.cell.robot_cell import CellConfig, RobotCell

    words = shlex.split(line)
    given = dict(zip(words, words[1:]))
    config = CellConfig(num_cameras=int(given.get("--cameras", 4)), num_objects=int(given.get("--objects", 6)))
    cell = RobotCell(int(given.get("--seed", 0)), config)
    try:
        names = [thing.name for thing in cell.objects]
    finally:
        cell.close()
    assert given["--prompt"].removeprefix("the ") in names, f"{page}: {names}"


@pytest.mark.parametrize(("page", "line"), commands(r"^ *ros2 launch pan3d_ros ((?:perception|sim_demo)\.launch\.py .*)$"))
def test_launch_files_have_the_arguments_that_pages_give(page, line):
    name, *given = shlex.split(line, comments=True)
    (source,) = [
        node.value
        for node in ast.parse((ROOT / "launch" / name).read_text()).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ARGUMENTS"
    ]
    known = {argument for argument, _, _ in ast.literal_eval(source)}
    assert {word.partition(":=")[0] for word in given} <= known, page
