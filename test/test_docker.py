"""What can be checked of the Dockerfiles without building them: what they copy and name is there."""

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
INSTRUCTIONS = {"FROM", "ARG", "RUN", "ENV", "WORKDIR", "COPY", "ENTRYPOINT"}


def instructions(path):
    """(word, rest) of every instruction, continued lines joined."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]


def test_there_is_one_for_each_kind_of_machine():
    assert [path.stem for path in FILES] == ["cpu", "cuda", "jetson"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_dockerfile_names_is_there(path):
    found = instructions(path)
    assert {word for word, _ in found} <= INSTRUCTIONS and "FROM" in [word for word, _ in found[:2]]
    for rest in (rest for word, rest in found if word == "COPY"):
        *sources, _ = rest.split()
        assert all((ROOT / source).exists() for source in sources), rest
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = " ".join(rest for _, rest in found)
    named = {extra for group in re.findall(r'-e "\.\[([\w,]+)\]"', text) for extra in group.split(",")}
    assert named and named <= set(extras)
    assert "launch pan3d_ros perception.launch.py" in text and (ROOT / "launch" / "perception.launch.py").is_file()
    assert "-latest" not in text and ":latest" not in text


def test_what_must_not_be_sent_to_the_builder_is_named():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "build", "install"} <= set(ignored)
