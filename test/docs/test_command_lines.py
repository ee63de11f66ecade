"""Every command that a page shows is one that its program takes: options, targets, types of messages, parameters, files."""

from __future__ import annotations

import argparse
import importlib
import re
import runpy
import shlex
import sys
from collections.abc import Callable

import pytest
import yaml
from places import ROOT

from pan3d_core.runtime.lazy import load
from pan3d_tools.cli import build_parser
from pan3d_tools.cli.bench import BENCHES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROGRAMS = ("pan3d", "python", "python3", "ros2", "make", "pip", "perception_node", "sim_node")
LINE = re.compile(rf"^\s+(?:\w+=\S+ )*(?:{'|'.join(PROGRAMS)}|scripts/\S+|torchrun)(?: .*)?$")
INLINE = re.compile(rf"`((?:{'|'.join(PROGRAMS)}) [^`\n]+)`")
# Of other programs' own: what they take is not ours to check.
FOREIGN_MODULES = ("venv", "pytest", "colcon", "mkdocs", "pip")
FOREIGN_PACKAGES = ("tf2_ros", "ros_gz_bridge")
FOREIGN_ROS2 = ("bag", "topic", "security", "lifecycle", "node", "daemon", "doctor")


class Parsed(Exception):
    """A program has taken its arguments; it is not to go on."""


class Refused(Exception):
    """A program does not take its arguments, for this reason."""


def shown_commands() -> list[tuple[str, str, bool]]:
    """(page, command, whether it stands in a line of its own) of all pages; commands that are joined by && are several."""
    found = []
    for path in PAGES:
        page = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = [line.strip() for line in text.splitlines() if LINE.match(line)]
        for line in blocks:
            parts = re.sub(r"\s+#.*$|\s+&$", "", line).split(" && ")
            found += [(page, part.strip(), True) for part in parts if LINE.match(" " + part.strip())]
        found += [(page, line, False) for line in INLINE.findall(text)]
    # Lines of drawings begin with the names of packages, not of programs: two blanks do not stand within a command.
    return [item for item in dict.fromkeys(found) if not re.search(r"\S {3,}\S", item[1])]


COMMANDS = shown_commands()


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs end when they have taken their arguments."""
    taken = argparse.ArgumentParser.parse_args

    def parse_args(parser, arguments=None, namespace=None):
        raise Parsed(taken(parser, arguments, namespace))

    def error(parser, message):
        raise Refused(message)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(argparse.ArgumentParser, "error", error)
    # --help shows, and ends: as good as taken.
    monkeypatch.setattr(argparse.ArgumentParser, "exit", lambda parser, status=0, message=None: parse_args(parser, []))


def taken(start: Callable[[], object]) -> argparse.Namespace:
    with pytest.raises(Parsed) as ended:
        start()
    return ended.value.args[0]


def check_pan3d(words: list[str]) -> None:
    options = taken(lambda: build_parser().parse_args(words))
    if getattr(options, "name", "") == "bench":
        place, _ = BENCHES[options.bench]
        taken(lambda: load(place)(options.arguments))


def check_python(words: list[str]) -> None:
    if words[0] == "-c":
        compile(words[1], "page", "exec")
    elif words[0] == "-m":
        check_module(words[1], words[2:])
    else:
        assert (ROOT / words[0]).is_file()


def check_module(module: str, arguments: list[str]) -> None:
    if module == "pytest":
        assert all((ROOT / word).exists() for word in arguments if "/" in word)
    elif module == "pan3d_ros.parameters.declaration":  # takes none
        assert not arguments and importlib.util.find_spec(module)
    elif module not in FOREIGN_MODULES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [module, *arguments])
            patch.delitem(sys.modules, module, raising=False)
            taken(lambda: runpy.run_module(module, run_name="__main__"))


def check_torchrun(words: list[str]) -> None:
    start = words.index("-m")
    check_module(words[start + 1], words[start + 2 :])


def check_make(words: list[str]) -> None:
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1).split()
    target, *variables = words
    assert target in targets
    for name, _, value in (word.partition("=") for word in variables):
        assert name in ("ARGS", "PYTHON", "TORCH_BACKEND", "WORKERS")
        if (target, name) == ("demo", "ARGS") and value != "...":
            check_module("pan3d_tools.demo", shlex.split(value))


def check_pip(words: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words:
        named = re.fullmatch(r"(?:\.|pan3d|.*\.whl)\[([\w,]+)\]", word)
        assert not named or set(named.group(1).split(",")) <= set(extras), word
    for option, file in zip(words, words[1:]):
        assert option not in ("-r", "-c") or (ROOT / file).is_file(), file


def parameters_of(program: str) -> set[str]:
    """Names of the parameters of a node, with `camera.<name>` for those of each camera."""
    if program == "sim_node":
        listed = re.search(r"^Parameters: ((?:.|\n)*?)\.\n", (ROOT / "docs/running.md").read_text(), re.MULTILINE).group(1)
        return set(re.findall(r"`(\w+)`", listed))
    return set(re.findall(r"^\| `([\w.<>]+)`", (ROOT / "docs/parameters.md").read_text(), re.MULTILINE)) | {"use_sim_time"}


def check_node(program: str, words: list[str]) -> None:
    values = [value for option, value in zip(words, words[1:]) if option == "-p"]
    assert all(":=" in value for value in values)
    assert {value.partition(":=")[0] for value in values} <= parameters_of(program)


def check_ros2(words: list[str]) -> None:
    verb = words[0]
    if verb == "run":
        package, program = words[1:3]
        if package in FOREIGN_PACKAGES:
            return
        scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
        assert package == "pan3d_ros" and program in scripts
        check_node(program, words[3:])
    elif verb == "launch":
        assert words[1] == "pan3d_ros" or words[1].startswith("examples/")
        file = ROOT / "launch" / words[2] if words[1] == "pan3d_ros" else ROOT / words[1]
        assert file.is_file()
        found = re.findall(r'^    \("(\w+)", |^        "(\w+)",$|DeclareLaunchArgument\("(\w+)"', file.read_text(), re.MULTILINE)
        declared = {name for names in found for name in names if name}
        assert {word.partition(":=")[0] for word in words if ":=" in word} <= declared
    elif verb == "param":
        assert words[2] == "/pan3d" and words[3] in parameters_of("perception_node")
    elif verb in ("service", "action"):
        kind, text = words[3] if verb == "service" else words[-2], words[-1] if words[-1].startswith("{") else "{}"
        package, folder, name = kind.split("/")
        interface = getattr(pytest.importorskip(f"{package}.{folder}"), name)
        message = interface.Request() if verb == "service" else interface.Goal()
        assert set(yaml.safe_load(text)) <= set(message.get_fields_and_field_types())
    else:
        assert verb in FOREIGN_ROS2


def check(line: str) -> None:
    """Raise when its program does not take a command."""
    line = re.sub(r"\bMETRES\b", "1.0", line.replace("bench NAME", "bench frame"))
    plain = re.sub(r"\s+\.\.\.(?=\s|$)|\s+>.*$", "", re.sub(r"[\[\]](?![\w,]*\]?\")(?=--|$| )|(?<= )\[(?=--)", "", line))
    words = shlex.split(plain)
    while "=" in words[0]:
        words.pop(0)
    program, *rest = words
    if program.startswith("scripts/"):
        assert (ROOT / program).is_file()
        return
    if program in ("perception_node", "sim_node"):
        check_node(program, rest)
        return
    checks = {"pan3d": check_pan3d, "python": check_python, "python3": check_python, "ros2": check_ros2, "make": check_make}
    (checks | {"pip": check_pip, "torchrun": check_torchrun})[program](rest)


def test_there_are_commands_of_every_kind():
    first = {re.sub(r"^(?:\w+=\S+ )*", "", line).split()[0] for _, line, _ in COMMANDS}
    assert set(PROGRAMS) - first == {"sim_node"} and len(COMMANDS) > 200


@pytest.mark.parametrize(("page", "line", "whole"), COMMANDS, ids=[f"{page}: {line}" for page, line, _ in COMMANDS])
def test_a_command_is_one_that_its_program_takes(page, line, whole, stopping):
    try:
        check(line)
    except Refused as refused:
        # Within a sentence a command is often only named.
        missing = re.search("arguments are required|expected (one|at least one) argument", str(refused))
        if not missing or (whole and "..." not in line):
            raise


@pytest.mark.parametrize(
    "line",
    ["pan3d reconstruct --no-such-option a.png", "pan3d bench frame --no-such-option 3", "pan3d bench nothing", "make tests",
     "ros2 run pan3d_ros perception_node --ros-args -p camras:=x", "ros2 launch pan3d_ros no_such.launch.py",
     "ros2 service call /x pan3d_interfaces/srv/SegmentObject '{word: mug}'", "perception_node --ros-args -p camras:=x",
     "python -m training.train --famly eps3d", 'pip install "pan3d[nothing]"', "python no_such_file.py"],
)  # fmt: skip
def test_a_wrong_command_is_found(line, stopping):
    with pytest.raises((Refused, AssertionError)):
        check(line)
