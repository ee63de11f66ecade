"""A labelled data set of boxes on a table with every kind of mistake that a person can put right."""

import json
import shutil
from functools import cache
from pathlib import Path

import pytest
import torch
from synthetic_cell import BLOCKS, Block, render_cell

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth, write_scene

RED, BLUE, GREEN = BLOCKS
GREY = Block((-0.15, -0.17, 0.03), (0.06, 0.06, 0.06), (0.6, 0.6, 0.65))
# Ids of the labels: red is two objects, blue and green are one, grey is in doubt, a patch of table is an object.
RED_LEFT, RED_RIGHT, BLUE_GREEN, DOUBTFUL, PATCH, UNKNOWN = 1, 2, 3, 4, 5, 6


@cache
def cell(width: int = 96, height: int = 72):
    return render_cell([RED, BLUE, GREEN, GREY], 4, width, height)


def labelled_scene(name: str = "bench") -> Scene:
    """Four views with exact depth."""
    made = cell()
    ids = torch.zeros_like(made.ids)
    for number, label in ((2, BLUE_GREEN), (3, BLUE_GREEN), (4, DOUBTFUL)):
        ids[made.ids == number] = label
    for row in range(len(ids)):
        columns = (made.ids[row] == 1).nonzero()[:, 1]
        right = torch.arange(ids.shape[2]) > columns.float().median()
        ids[row] = torch.where(made.ids[row] == 1, torch.where(right, RED_RIGHT, RED_LEFT), ids[row])
    ids[:, -6:, :12] = torch.where(made.ids[:, -6:, :12] == 0, PATCH, ids[:, -6:, :12])
    ids[:, :4] = torch.where(made.ids[:, :4] == 0, UNKNOWN, ids[:, :4])
    box = OrientedBox(torch.eye(4), torch.full((3,), 0.05))
    objects = (
        SceneObject(RED_LEFT, "thing", 0, box), SceneObject(RED_RIGHT, "thing", 0, box), SceneObject(BLUE_GREEN, "mug", 1, box),
        SceneObject(DOUBTFUL, "void", -1, box), SceneObject(PATCH, "thing", 0, box), SceneObject(UNKNOWN, "void"),
    )  # fmt: skip
    truth = SceneTruth(tuple(ids), tuple(view.depth for view in made.views), objects, LabelSpace.things(("thing", "mug")))
    return Scene(name, tuple(made.views), truth, 0.0)


def labelled_dataset(folder: Path, *names: str) -> Path:
    """Scene folders of these names."""
    for name in names or ("bench",):
        write_scene(folder / name, labelled_scene(name))
    return folder


@pytest.fixture
def copied(made, tmp_path):
    """A copy, to be changed, of the folder that the module's `made` once made."""
    return shutil.copytree(made, tmp_path / "copied")


def changed(path: Path, change) -> None:
    """Change what a JSON file says."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
