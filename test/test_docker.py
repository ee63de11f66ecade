"""What can be checked of the Dockerfiles without building them: what they copy and name is there."""

import ast
import json
import re
import sys
from pathlib import Path

import pytest
import yaml

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
    assert [path.stem for path in FILES] == ["cpu", "cuda", "humble", "jetson"]


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dockerfile_keeps_to_what_linters_ask_for(path):
    found = instructions(path)
    for rest in (rest for word, rest in found if word == "RUN"):
        for install in re.findall(r"apt-get install [^&]*", rest):
            assert "-y" in install and "--no-install-recommends" in install, install
        assert "apt-get install" not in rest or rest.rstrip().endswith("rm -rf /var/lib/apt/lists/*"), "lists stay in the layer"
        assert all("--no-cache-dir" in call for call in re.findall(r"pip install [^&]*", rest)), rest
        assert "sudo " not in rest and not re.search(r"(^|&& )cd ", rest)
    assert all(rest.startswith("/") for word, rest in found if word == "WORKDIR")
    assert all(json.loads(rest) for word, rest in found if word == "ENTRYPOINT"), "a JSON list, so that signals arrive"
    # ROS of the image, of its packages and of its set-up are one distribution.
    text = path.read_text()
    assert len(set(re.findall(r"ros-(humble|jazzy)-|ros:(humble|jazzy)|/opt/ros/(humble|jazzy)/", text))) >= 2
    assert (
        len({name for names in re.findall(r"ros[-:](humble|jazzy)|/opt/ros/(humble|jazzy)/", text) for name in names if name})
        == 1
    )


COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]


def test_the_composed_cell_and_perception_hear_each_other_and_are_called_with_what_there_is():
    assert set(COMPOSE) == {"perception", "cell", "ask"}
    assert {(s["network_mode"], s["ipc"], s["image"]) for s in COMPOSE.values()} == {("host", "host", "pan3d:cpu")}
    build = COMPOSE["perception"]["build"]
    assert (ROOT / "docker" / build["context"] / build["dockerfile"]).is_file()
    source = (ROOT / "launch" / "perception.launch.py").read_text()
    table = next(n.value for n in ast.parse(source).body if getattr(getattr(n, "targets", [0])[0], "id", "") == "ARGUMENTS")
    assert {word.partition(":=")[0] for word in COMPOSE["perception"]["command"]} <= {
        name for name, _, _ in ast.literal_eval(table)
    }
    assert "ros2 run pan3d_ros sim_node" in COMPOSE["cell"]["entrypoint"][-1]
    cameras = COMPOSE["perception"]["command"][0].partition(":=")[2].split(",")
    assert f"num_cameras:={len(cameras)}" in COMPOSE["cell"]["entrypoint"][-1]
    assert "/segment_object pan3d_interfaces/srv/SegmentObject" in COMPOSE["ask"]["entrypoint"][2]


def test_the_container_to_develop_in_is_set_up_as_a_checkout_is():
    given = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert (
        given["postCreateCommand"].startswith("make setup") and "bookworm" in given["image"] and "--ipc=host" in given["runArgs"]
    )
