"""An engine on folders of scenes, as one call."""

from dataclasses import replace
from pathlib import Path

import pytest

import pan3d_eval
from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.views.scene_folder import Scene, SceneTruth, write_scene
from pan3d_eval import EvaluationProtocol, Failure, Processes, evaluate_folder

CONFIG = PipelineConfig(model=ModelConfig(name="depth_clusters"))
DEPTH = EvaluationProtocol(use_depth=True)


@pytest.fixture
def folder(cell, tmp_path) -> Path:
    """Two scenes, of which the second has lost its truth."""
    truth = SceneTruth(tuple(cell.ids), tuple(view.depth for view in cell.views))
    scene = Scene("one", tuple(cell.views), truth, 0.0)
    write_scene(tmp_path / "scenes" / "one", scene)
    write_scene(tmp_path / "scenes" / "two", replace(scene, name="two", truth=None))
    return tmp_path / "scenes"


def test_every_scene_of_a_folder_is_measured_or_a_failure(folder):
    seen = []
    found = evaluate_folder(folder, CONFIG, DEPTH, size=(80, 60), progress=lambda *now: seen.append(now))
    assert seen == [(1, 2), (2, 2)] and [reference.name for reference in found.references] == ["one", "two"]
    assert isinstance(found.outcomes[1], Failure) and "expected instances in scene.json" in found.outcomes[1].message
    assert [item.name for item in found.evaluation.scenes] == ["one"] and len(found.evaluation.failures) == 1
    ((reference, measured),) = found.measured()
    assert reference.name == measured.name == "one" and measured.ap50 > 0
    result = found.make_evaluator().process(reference.read())
    assert result.views.hw == (60, 80) and len(result.panoptic.segments) >= 2
    assert len(evaluate_folder([folder / "one", folder], CONFIG, DEPTH, limit=1).references) == 1


def test_what_cannot_be_evaluated_is_refused(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="expected scene.json"):
        evaluate_folder(tmp_path / "scenes" / "one" / "images", CONFIG)
    with pytest.raises(ValueError, match="expected one of .*depth_clusters.* got 'yolo'"):
        evaluate_folder(folder, PipelineConfig(model=ModelConfig(name="yolo")))


def test_in_several_processes_the_network_has_one_thread_in_each():
    assert not Processes().several and Processes(2).several and Processes(ray_address="auto").several
    assert all(getattr(pan3d_eval, name) is not None for name in pan3d_eval.__all__)
