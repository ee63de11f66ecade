"""The examples of docs/gaussians.md run as they stand there."""

import json
import re
import shlex
from pathlib import Path

import pytest
from gaussian_boxes import boxes_scene, text_embeddings
from places import ROOT

from pan3d_core.gaussians.camera_paths import camera_path
from pan3d_core.gaussians.files import read_scene_file, write_scene_file
from pan3d_tools import cli
from pan3d_tools.cli.scenes import render

PAGE = (ROOT / "docs" / "gaussians.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line) for line in re.findall(r"^    pan3d ((?:render|edit) .*)$", PAGE, re.MULTILINE)]
SMALL = ["--frames", "2", "--size", "32x24"]


class AnyTexts:
    dim = 6

    def encode(self, texts):
        return text_embeddings(*range(len(texts)))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder as it is after `pan3d reconstruct`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(render, "build_text_encoder", lambda name, weights: AnyTexts())
    for suffix in (".safetensors", ".ply"):
        write_scene_file(tmp_path / "out" / f"gaussians{suffix}", boxes_scene(0.05))
    return tmp_path


def test_every_command(workplace):
    assert len(COMMANDS) >= 8
    for command in COMMANDS:
        assert cli.main([*command, *(SMALL if command[0] == "render" else [])]) == 0, command
        assert Path(command[command.index("-o") + 1]).exists(), command


def test_the_python_example_and_the_cameras(workplace):
    (example,), (cameras,) = blocks("python"), blocks("json")
    exec(compile(example, "docs/gaussians.md", "exec"), {})
    assert read_scene_file("out/from_python.safetensors").ids() == (1, 3)
    (workplace / "path.json").write_text(cameras)
    path = camera_path(boxes_scene(0.05), "path.json")
    assert len(path) == len(json.loads(cameras)) == 1
