"""The number of Gaussians follows the images, as 3D Gaussian splatting has it, by gsplat's own strategy."""

import math
from dataclasses import replace

import pytest
import torch
from refine_scenes import Interrupted, interrupt_at, table_map, table_views

from pan3d_core.refine import density
from pan3d_core.refine.density import DensityControl, DensitySettings
from pan3d_core.refine.losses import PANOPTICSPLATTING_WEIGHTS, color_loss
from pan3d_core.refine.model import FEATURE_PARAMETERS, GAUSSIAN_PARAMETERS
from pan3d_core.refine.optimise import Refinement
from pan3d_core.refine.rendering import render_color, render_view
from pan3d_core.refine.schedule import LearningRates, RefineSettings
from pan3d_core.rendering.rasterizer import rasterize

COARSE = {"voxel_m": 0.04, "queries": 6}
COLOR_ALONE = replace(PANOPTICSPLATTING_WEIGHTS, semantics=0.0, instances=0.0, warp=0.0)
GROWING = DensitySettings("gsplat", begin=0.0, end=1.0, every=6)


@pytest.fixture(scope="module")
def views():
    return table_views(3)[0]


def per_gaussian(model):
    return {name: getattr(model, name) for name in (*GAUSSIAN_PARAMETERS, *FEATURE_PARAMETERS)}


def error(model, views):
    with torch.no_grad():
        return sum(float((render_color(model, view.camera).image.color - view.labels.image).square().mean()) for view in views)


def test_gradients_on_the_image_add_up_to_that_of_the_principal_point(views):
    """Moving it moves all centres alike, and nothing else of what is inside the image."""
    model, camera = table_map(views, **COARSE), views[0].camera
    intrinsics = camera.intrinsics.clone().requires_grad_()
    shown = rasterize(model.gaussians(), camera.cam_from_world[None], intrinsics[None], camera.image_hw)
    color_loss(shown.colors[0], views[0].labels.image).backward()
    (screen,) = shown.screen
    assert torch.equal(screen.rows.sort().values, shown.visible[0].nonzero()[:, 0])
    assert len(screen.gradients()) == len(screen.rows) > 100
    torch.testing.assert_close(screen.gradients().sum(0), intrinsics.grad[:2, 2], rtol=0.02, atol=1e-4)


def test_rows_on_the_image_are_those_of_the_whole_map_also_where_only_what_is_seen_was_rendered(views):
    model, camera = table_map(views, **COARSE), views[0].camera
    with torch.no_grad():
        model.means[::3] += 100.0  # out of sight
    seen, everything = render_view(model, camera).screen, render_color(model, camera).screen
    assert torch.equal(seen.rows, everything.rows) and not (seen.rows % 3 == 0).any()
    torch.testing.assert_close(seen.centers, everything.centers)


def test_gradients_are_asked_for_only_after_a_loss_went_backward(views):
    with pytest.raises(ValueError, match=r"OnScreen.centers: expected a gradient, got none"):
        render_color(table_map(views, **COARSE), views[0].camera).screen.gradients()


@pytest.mark.slow
def test_a_coarse_map_grows_and_shows_more_than_one_that_may_not(views):
    fixed, grown = (table_map(views, **COARSE) for _ in range(2))
    first, quick = len(fixed.means), LearningRates(means=1.6e-3)  # a short run has to move Gaussians farther in a step
    growing = DensitySettings("gsplat", begin=0.0, end=0.34, every=20, grow_gradient=1e-3)
    for model, density_settings in ((fixed, DensitySettings("none")), (grown, growing)):
        Refinement(model, views, RefineSettings(steps=180, density=density_settings, rates=quick, weights=COLOR_ALONE)).run()
    assert len(fixed.means) == first and len(grown.means) > 1.5 * first
    assert error(grown, views) < 0.8 * error(fixed, views)
    assert {len(value) for value in per_gaussian(grown).values()} == {len(grown.means)}


def test_new_gaussians_have_the_features_of_those_they_came_from_and_moments_of_their_own(views):
    model = table_map(views, **COARSE)
    run = Refinement(model, views, RefineSettings(steps=40, density=GROWING))
    with torch.no_grad():
        model.semantic_features.copy_(torch.arange(len(model.means))[:, None].expand_as(model.semantic_features))
    before = len(model.means)
    for step in range(6):
        run.take_step(0.01)
        run.progress = replace(run.progress, step=step + 1)
    parents = model.semantic_features[:, 0]
    assert len(model.means) > before and set(parents.tolist()) <= set(range(before))
    assert len(parents.unique()) > 0.9 * before
    for name in GAUSSIAN_PARAMETERS:
        value = getattr(model, name)
        assert run.optimizer.state[value]["exp_avg"].shape == value.shape
        assert any(value is item for group in run.optimizer.param_groups for item in group["params"])


def test_what_became_transparent_is_dropped(views):
    model = table_map(views, **COARSE)
    with torch.no_grad():
        model.opacity_logits[:50] = math.log(0.001)
    settings = DensitySettings("gsplat", begin=0.0, end=1.0, every=1, grow_gradient=math.inf)
    Refinement(model, views, RefineSettings(steps=1, density=settings)).run()
    assert float(model.opacity_logits.detach().sigmoid().min()) >= 0.005


def test_a_map_that_is_large_enough_keeps_its_number(views):
    model = table_map(views, **COARSE)
    settings = DensitySettings("gsplat", begin=0.0, end=1.0, every=1, max_gaussians=len(model.means))
    first = len(model.means)
    Refinement(model, views, RefineSettings(steps=4, density=settings)).run()
    assert len(model.means) == first


@pytest.mark.slow
def test_a_growing_run_that_was_interrupted_ends_in_the_same_bits(views, tmp_path):
    settings = RefineSettings(steps=20, checkpoint_every=9, density=GROWING)
    whole, path = Refinement(table_map(views, **COARSE), views, settings), tmp_path / "checkpoint.pt"
    whole.run()
    with pytest.raises(Interrupted):
        Refinement(table_map(views, **COARSE), views, settings, path).run(interrupt_at(10))
    again = Refinement.resumed(path, views, settings)
    again.run()
    assert len(again.model.means) != len(table_map(views, **COARSE).means)
    pairs = zip(whole.model.state_dict().values(), again.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_on_a_cpu_the_number_is_fixed_unless_growth_is_asked_for(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert not DensitySettings().changes(cpu) and DensitySettings().changes(gpu) and DensitySettings("gsplat").changes(cpu)
    assert not DensitySettings("none").changes(gpu)
    monkeypatch.setattr(density, "find_spec", lambda _: None)
    assert not DensitySettings().changes(gpu)
    with pytest.raises(RuntimeError, match=r"DensitySettings.strategy: gsplat is not installed"):
        DensitySettings("gsplat").changes(gpu)


def test_settings_out_of_range_are_refused_by_name():
    for values, message in {
        ("strategy", "mcmc"): r"DensitySettings.strategy: expected one of auto, gsplat, none, got 'mcmc'",
        ("begin", 0.8): r"DensitySettings.begin, end: expected 0 <= begin <= end <= 1, got 0.8, 0.5",
        ("every", 0): r"DensitySettings.every, max_gaussians: expected at least 1 of each, got 0, 1000000",
    }.items():
        with pytest.raises(ValueError, match=message):
            DensitySettings(**dict([values]))


def test_the_number_changes_only_in_the_steps_that_are_due(views):
    model = table_map(views, **COARSE)
    run = Refinement(model, views, RefineSettings(density=DensitySettings("none")))
    control = DensityControl(model, run.optimizer, GROWING, run.radius_m, seed=0)
    shown = render_color(model, views[0].camera)
    color_loss(shown.image.color, views[0].labels.image).backward()
    before = len(model.means)
    control.after_step(shown.screen, views[0].image_hw, step=1, share=0.1)
    assert len(model.means) == before
    control.after_step(shown.screen, views[0].image_hw, step=6, share=0.1)
    assert len(model.means) > before
