"""Checkpoints of refinements that are of other scenes, other settings, damaged or incomplete."""

from dataclasses import replace

import pytest
import torch
from fuzzing import AMOUNTS, check_reader
from refine_scenes import table_map, table_views

from pan3d_core.refine.checkpoints import CheckpointProblem
from pan3d_core.refine.optimise import Refinement
from pan3d_core.refine.schedule import RefineSettings

SMALL = {"voxel_m": 0.03, "queries": 6}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Views, settings, and the checkpoint of their first step."""
    views, path, settings = table_views(6)[0], tmp_path_factory.mktemp("kept") / "checkpoint.pt", RefineSettings(steps=1)
    Refinement(table_map(views, **SMALL), views, settings, path).run()
    return views, settings, path


def test_a_checkpoint_is_refused_for_other_settings_views_and_files(kept, tmp_path):
    views, settings, path = kept
    assert Refinement.resumed(path, views, replace(settings, steps=50, minutes=1.0)).progress.step == 1
    with pytest.raises(ValueError, match=r"settings.seed: expected 0 as it began, got 1"):
        Refinement.resumed(path, views, replace(settings, seed=1))
    with pytest.raises(ValueError, match=r"views: expected the 6 that the refinement began with, got 5"):
        Refinement.resumed(path, views[:5], settings)
    swapped = [views[1], views[0], *views[2:]]
    with pytest.raises(ValueError, match=r"views: expected those that the refinement began with, got other images or cameras"):
        Refinement.resumed(path, swapped, settings)
    with pytest.raises(FileNotFoundError, match="checkpoint of a refinement: expected a file"):
        Refinement.resumed(tmp_path / "none.pt", views, settings)
    (tmp_path / "cut.pt").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"cut\.pt: expected a checkpoint of a refinement, complete"):
        Refinement.resumed(tmp_path / "cut.pt", views, settings)
    torch.save({"format": "other"}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"format: expected 'pan3d-refine/2', got 'other'"):
        Refinement.resumed(tmp_path / "other.pt", views, settings)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("settings", None, "settings: expected a dict, got nothing"),
        ("labels.names", None, "labels: expected names, is_thing, got no names"),
        ("labels.is_thing", "no", "labels.is_thing: expected"),
        ("model.means", None, "model.means: expected a tensor"),
        ("model.class_head.0.weight", None, "model: .*class_head.0.weight"),
        ("progress.step", None, "progress: expected step, elapsed_s, .*, got no step"),
        ("progress.step", "3", "progress.step: expected int, got '3'"),
        ("progress.neighbours", [1], "progress.neighbours: expected one per view, got 1"),
        ("counts.wins", None, "progress.counts: expected assigned, wins, .*, got no wins"),
        ("counts.wins", torch.zeros(3), "counts.wins: expected"),
        ("first_queries.scales", None, "first_queries: expected means, scales, quats_wxyz, got no scales"),
        ("optimizer", 5, "optimizer: expected a dict, got a int"),
    ],
)
def test_a_part_of_a_checkpoint_that_is_missing_or_another_is_named_with_the_file(kept, tmp_path, place, value, message):
    views, settings, whole = kept
    content = torch.load(whole, weights_only=True)
    holder, name = content, place
    if "." in place:
        group, name = place.split(".", 1)
        holder = content[group]
    if value is None:
        del holder[name]
    else:
        holder[name] = value
    torch.save(content, tmp_path / "changed.pt")
    with pytest.raises(CheckpointProblem, match=rf"(?s)changed\.pt: {message}"):
        Refinement.resumed(tmp_path / "changed.pt", views, settings)


@AMOUNTS
def test_a_damaged_checkpoint_is_read_or_refused_by_name(kept, amount, tmp_path):
    views, settings, whole = kept
    check_reader(lambda path: Refinement.resumed(path, views, settings), "checkpoint.pt", tmp_path, amount, whole)
