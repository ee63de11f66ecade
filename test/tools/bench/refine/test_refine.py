"""The benchmark of refining runs at tiny sizes, measures what it says, and refuses what makes no sense."""

import json

import pytest
import torch

from pan3d_core.refine.optimise import Refinement
from pan3d_core.refine.rendering import RenderChoices, render_view
from pan3d_core.refine.schedule import RefineSettings
from pan3d_core.refine.views import require_classes
from pan3d_tools import cli
from pan3d_tools.bench.official.turns import Clock
from pan3d_tools.bench.refine import attention as refine_attention
from pan3d_tools.bench.refine import command as bench
from pan3d_tools.bench.refine import noise as refine_noise
from pan3d_tools.bench.refine import quality
from pan3d_tools.bench.refine.attention import LABELS, StepCase, correlation, held_mib, label_step, made_up_map, made_up_view

CASE = StepCase(gaussians=4000, queries=40, share=1 / 3, image_hw=(48, 64))
SMALL = ["--size", "32x24", "--queries", "12", "--rounds", "1"]


@pytest.mark.parametrize("share", [0.1, 1 / 3, 1.0])
def test_the_camera_sees_the_asked_share_of_the_scene(share):
    case = StepCase(20_000, 40, share, (120, 160))
    model, view = made_up_map(case), made_up_view(case)
    seen = len(model.seen_by(view.camera).rows) / 20_000
    assert share - 0.03 < seen < share + 0.12  # and a margin of ellipsoids that reach in
    with torch.no_grad():
        assert float(render_view(model, view.camera).image.alpha.mean()) > 0.9


def test_labels_of_the_made_up_view_are_those_of_several_objects():
    view = made_up_view(CASE)
    require_classes([view], LABELS)
    assert view.labels.masks.shape == (12, 48, 64) and bool((view.labels.masks.sum(0) <= 1).all())
    assert 0.4 < float(view.labels.masks.sum(0).mean()) < 0.6
    inside = view.labels.masks[5] > 0
    assert view.labels.semantics[inside].unique().tolist() == [int(view.labels.class_id[5])]


def test_local_attention_needs_less_memory_where_a_third_is_seen():
    found = refine_attention.by_gaussians([1500, 4000], CASE, 1)
    assert list(found) == ["1500 Gaussians", "4000 Gaussians", "line"]
    for row in list(found.values())[:2]:
        assert row["labels"]["ratio"]["live_mib"] < 1 and row["step"]["ratio"]["training_mib"] < 1
        assert row["step"]["local"]["training_mib"] > row["step"]["local"]["live_mib"]
    more = found["4000 Gaussians"]
    assert more["seen_gaussians"] < 0.6 * 4000 and more["labels"]["ratio"]["live_mib"] < 0.9
    assert "live_mib_ratio_asked_at_most" not in more
    lines = {name: row["live_mib"]["slope"] for name, row in found["line"].items()}
    assert 0 < lines["local"] < 0.7 * lines["global"]


def test_what_stays_between_steps_is_four_times_the_map():
    model = made_up_map(CASE)
    refinement = Refinement(model, [made_up_view(CASE)], RefineSettings())
    size = sum(parameter.nbytes for parameter in model.parameters()) / 2**20
    assert held_mib(refinement) == pytest.approx(size)
    refinement.take_step(refine_attention.LABELS_WITHOUT_WARP)
    assert held_mib(refinement) == pytest.approx(4 * size, rel=1e-3)


def test_a_step_of_labels_leaves_nothing_behind():
    model = made_up_map(CASE)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    clock = Clock()
    label_step(model, made_up_view(CASE), RenderChoices(), clock)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters()) and list(clock.parts) == ["step"]


def test_time_is_told_by_what_is_seen():
    assert correlation([1, 2, 3], [2.0, 4.0, 6.0]) == pytest.approx(1.0)
    found = refine_attention.by_visible([0.1, 1.0], CASE, 1)
    assert set(found) == {"10% seen", "100% seen", "labels over Gaussians seen", "step over Gaussians seen"}
    few, all_of_them = found["10% seen"], found["100% seen"]
    assert few["seen_gaussians"] < 0.3 * all_of_them["seen_gaussians"] and all_of_them["seen_gaussians"] == 4000
    assert set(few["step"]["local"]) == {"cpu_s"}
    assert set(found["step over Gaussians seen"]["local"]) == {"slope", "intercept", "r2", "correlation"}


@pytest.mark.slow
def test_quality_of_a_small_cell_is_that_of_labels_and_of_maps():
    pytest.importorskip("mujoco")
    settings = quality.QualitySettings(num_views=4, image_hw=(36, 48), path_views=5, steps=12, max_gaussians=800, noise=0.5)
    found = quality.quality(["as_published", "without_warping"], settings)
    assert set(found) == {
        "objects", "asked", "labels_of_the_engine", "noisy_labels", "as_published", "without_warping"
    }  # fmt: skip
    assert set(found["noisy_labels"]) == {"given", "held_out"}
    for name in ("as_published", "without_warping"):
        own = found[name]
        assert set(own) == {"given", "held_out", "journey", "cost", "gain"}
        assert all(set(own[part]) == set(quality.SHOWN) for part in ("given", "held_out", "journey"))
        assert own["gain"] == pytest.approx(own["given"]["pq"] - found["noisy_labels"]["given"]["pq"])
        assert own["cost"]["steps"] == 12 and 0 < own["cost"]["gaussians"] <= 800


@pytest.mark.slow
def test_noise_is_put_in_one_kind_at_a_time_and_variants_are_compared_in_the_same_cells():
    pytest.importorskip("mujoco")
    settings = quality.QualitySettings(num_views=5, image_hw=(36, 48), steps=10, max_gaussians=800)
    found = refine_noise.by_noise(["switched", "sparse_views_engine_depth"], 2, settings)
    assert set(found) == {"scenes", "switched", "sparse_views_engine_depth"} and found["scenes"] == 2
    for own in (found["switched"], found["sparse_views_engine_depth"]):
        assert set(own) == {"labels", "as_published", "without_warping", "features_blended", "lost"}
        assert set(own["lost"]) == set(refine_noise.COMPARED)
        difference = own["as_published"]["pq"] - own["features_blended"]["pq"]
        assert own["lost"]["features_blended"]["pq"]["mean"] == pytest.approx(difference)
    assert found["switched"]["labels"]["per_view_pq"] == pytest.approx(1.0)
    assert found["sparse_views_engine_depth"]["labels"]["miou"] < 0.5


def test_command_line(tmp_path, capsys):
    path = tmp_path / "figures.json"
    arguments = ["--parts", "attention", "visible", "--gaussians", "500", "--visible-gaussians", "500", "--shares", "0.5"]
    assert cli.main(["bench", "--json", str(path), "refine", *arguments, *SMALL]) == 0
    result = json.loads(path.read_text())["result"]
    assert set(result) == {"threads", "attention", "visible"}
    assert list(result["attention"]) == ["500 Gaussians"] and list(result["visible"]) == ["50% seen"]
    capsys.readouterr()
    for wrong, message in (
        (["--gaussians", "0"], "--gaussians: expected at least 1"),
        (["--views", "3"], "--views: expected at least 4"),
        (["--shares", "1.5"], "--shares, --share: expected more than 0"),
        (["--scenes", "0"], "--scenes: expected at least 1"),
        (["--minutes", "-1"], "--minutes: expected more than 0"),
        (["--size", "wide"], "--size: expected WIDTHxHEIGHT"),
        (["--size", "8x8"], "--size: expected at least 16x16"),
        (["--lengths", "300", "0"], "--lengths: expected at least 1"),
    ):
        with pytest.raises(SystemExit):
            bench.parse(wrong)
        assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_needs_a_gpu_says_so(capsys):
    assert cli.main(["bench", "refine", "--parts", "cuda"]) == 2
    assert "--parts cuda: expected a CUDA device, got none" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        bench.parse(["--device", "cuda"])
    assert "--device: expected cpu on this machine, got cuda" in capsys.readouterr().err
