"""The gate of narrow numbers: stored scenes, the figures that are compared, and what says nothing."""

import math

import pytest

from pan3d_core.config import ModelConfig
from pan3d_core.runtime.networks import RuntimeUnavailable
from pan3d_eval import narrow_numbers
from pan3d_eval.datasets.scenes import list_scenes
from pan3d_eval.narrow_numbers import ALLOWED, STORED_SCENES, judged


def test_the_stored_scenes_have_the_shape_of_usual_pictures():
    scenes = [reference.read() for reference in list_scenes([STORED_SCENES], 0)]
    assert len(scenes) == 3
    for scene in scenes:
        assert len(scene.views) == 3 and scene.views[0].image.shape == (3, 144, 192)
        scene.known_truth()


@pytest.mark.slow
def test_half_precision_in_torch_is_judged_by_figures_of_the_task():
    found = judged(ModelConfig(runtime="torch", precision="float16"))
    assert {figure.name for figure in found} == set(ALLOWED) and all(figure.holds for figure in found)
    assert found[0].wide > 0.7  # it finds the objects of these scenes


@pytest.fixture
def figures(monkeypatch):
    """Figures without a network: first of the narrow numbers, then of the wide ones."""
    answers = []
    monkeypatch.setattr(narrow_numbers, "measured", lambda config, references: answers.pop(0))
    return answers


def test_figures_that_say_nothing_are_left_out(figures):
    figures += [{**dict.fromkeys(ALLOWED, math.nan), "AP": 0.7}, {**dict.fromkeys(ALLOWED, math.nan), "AP": 0.9}]
    (found,) = judged(ModelConfig(precision="float16"))
    assert found.name == "AP" and not found.holds


def test_scenes_in_which_nothing_is_found_judge_nothing(figures):
    figures += [dict.fromkeys(ALLOWED, math.nan), dict.fromkeys(ALLOWED, math.nan)]
    with pytest.raises(RuntimeUnavailable, match="finds nothing in these scenes.*pan3d export --scenes DIR"):
        judged(ModelConfig(precision="float16"))


@pytest.mark.slow
def test_what_another_runtime_took_over_is_no_judgement(tmp_path, monkeypatch):
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path))
    monkeypatch.setattr("pan3d_core.runtime.networks.table.is_installed", lambda name: False)
    with pytest.raises(RuntimeUnavailable, match="onnxruntime in float16 did not run the network.*not installed"):
        judged(ModelConfig(runtime="onnxruntime", precision="float16"))
