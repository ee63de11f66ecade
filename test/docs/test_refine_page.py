"""The examples of docs/refine.md run as they stand there."""

import json
import re
import shlex

import numpy as np
import pytest
import torch
from PIL import Image
from places import ROOT

from pan3d_core.gaussians.files import read_scene_file
from pan3d_core.refine.labels.files import labels_from_files
from pan3d_core.structures import CameraView
from pan3d_core.views.scene_folder import write_scene
from pan3d_tools import cli

PAGE = (ROOT / "docs" / "refine.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("line", re.findall(r"^    pan3d ([^#\n]*)", PAGE, re.MULTILINE))
def test_commands_are_understood(line):
    assert cli.build_parser().parse_args(shlex.split(line)) is not None


def test_python_refines_a_scene_and_asks_a_model_of_ones_own(tmp_path, monkeypatch):
    refine_scene = pytest.importorskip("pan3d_sim.data.refine_scene")
    settings = refine_scene.RefineSceneSettings(num_views=3, width=48, height=36, num_objects=2, hold_out_every=0)
    write_scene(tmp_path / "SCENE", refine_scene.render_refine_scene(3, settings).scene)
    monkeypatch.chdir(tmp_path)
    refining, own_model = blocks("python")
    names: dict = {}
    assert "steps=300" in refining
    exec(refining.replace("steps=300", "steps=2"), names)
    assert names["result"].refinement.progress.step == 2
    assert read_scene_file(tmp_path / "refined.safetensors").image_hw == (36, 48)
    exec(own_model, names)
    assert len(names["labels"].views) == 3 and names["labels"].labels.names == ("mug", "table")


def test_both_kinds_of_label_files_are_read(tmp_path):
    folder, coco = (json.loads(block) for block in blocks("json"))
    view = CameraView(torch.zeros(3, 120, 160), camera="front")
    ids = np.zeros((120, 160), dtype=np.uint8)
    ids[:40, :40], ids[:40, 80:], ids[60:] = 1, 2, 3
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "labels.json").write_text(json.dumps(folder))
    Image.fromarray(ids).save(tmp_path / "labels" / "00_front.png")
    read = labels_from_files(tmp_path / "labels", [view])
    assert read.labels.names == ("mug", "table") and read.views[0].class_id.tolist() == [0, 0]
    (tmp_path / "panoptic.json").write_text(json.dumps(coco))
    red = np.stack([np.minimum(ids, 2), 0 * ids, 0 * ids], -1)
    Image.fromarray(red).save(tmp_path / "00_front.png")
    read = labels_from_files(tmp_path / "panoptic.json", [view])
    assert len(read.views[0].masks) == 1 and int((read.views[0].semantics == 1).sum()) == int((ids >= 2).sum())
