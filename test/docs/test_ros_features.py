"""The table of docs/ros_features.md: 38 rows, and each yes names things that are there."""

from __future__ import annotations

import ast
import importlib
import re
import xml.etree.ElementTree as ElementTree

import pytest
from places import ROOT

PAGE = ROOT / "docs" / "ros_features.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d+ \|", line)
]
PARAMETERS = set(re.findall(r"^\| `([\w.<>]+)`", (ROOT / "docs/parameters.md").read_text(encoding="utf-8"), re.MULTILINE))
TOPICS = {
    topic.text
    for profile in ElementTree.parse(ROOT / "config/security/pan3d.policy.xml").iter("profile")
    for topic in [*profile.iter("topic"), *profile.iter("service"), *profile.iter("action")]
}  # a test holds this file against the running node
# Words of ROS itself, of options and of others.
NOT_OURS = {"configure", "activate", "cleanup", "auto", "compressed", "compressedDepth", "moveit_msgs/Grasp", "PAN3D_CACHE"}


def launch_arguments() -> set[str]:
    tree = ast.parse((ROOT / "launch" / "perception.launch.py").read_text(encoding="utf-8"))
    (table,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "ARGUMENTS"]
    return {name for name, _, _ in ast.literal_eval(table)}


def is_there(thing: str) -> bool:
    """Whether what stands in backticks exists: a file, a parameter, a topic, a name in Python, an argument, a command."""
    name = thing.partition(":=")[0]
    if "/" in thing and (ROOT / thing).exists():
        return True
    if thing in PARAMETERS or name in launch_arguments() or thing == "qos_overrides.*":
        return True
    if thing.startswith(("~/", "/")):
        wanted = thing.replace("<name>", "*")
        return any(str(topic).replace("front", "*") == wanted for topic in TOPICS) or thing == "/diagnostics"
    if thing.startswith("pan3d "):
        return f'"{thing.split()[1]}": (' in (ROOT / "pan3d_tools" / "cli" / "program.py").read_text(encoding="utf-8")
    if re.fullmatch(r"pan3d_\w+(\.\w+)+", thing):
        module, _, attribute = thing.rpartition(".")
        try:
            return hasattr(importlib.import_module(module), attribute) or bool(importlib.import_module(thing))
        except ModuleNotFoundError:
            return False
    return (ROOT / "launch" / thing).is_file()


def test_there_is_a_row_for_each_feature():
    assert [int(row[0]) for row in ROWS] == list(range(1, 39))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_a_yes_names_what_is_there_and_a_no_says_why(row):
    _, _, answer, names, test = row
    assert answer.startswith("yes") or re.match(r"no: .{40}", answer), answer
    things = [thing for thing in re.findall(r"`([^`]+)`", names) if thing not in NOT_OURS]
    assert things or "](" in names, "names nothing"
    assert [thing for thing in things if not is_there(thing)] == []
    assert (ROOT / test.strip("`")).is_file(), test
