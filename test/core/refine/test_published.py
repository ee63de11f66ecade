"""Refining as published: 3D Gaussian splatting's numbers, colours that depend on the view, opacities that are set back."""

import math
from dataclasses import replace

import pytest
import torch
from refine_scenes import LABELS, Interrupted, interrupt_at, table_views

from pan3d_core.geometry.spherical_harmonics import CONSTANT
from pan3d_core.refine.checkpoints import CheckpointProblem
from pan3d_core.refine.density import DensitySettings, set_back_opacities
from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_depth
from pan3d_core.refine.first_map.start import first_map
from pan3d_core.refine.losses import PANOPTICSPLATTING_WEIGHTS
from pan3d_core.refine.optimise import Refinement
from pan3d_core.refine.run import SceneSettings, published_settings
from pan3d_core.refine.schedule import RefineSettings, rates_at
from pan3d_core.rendering.rasterizer import view_colors
from pan3d_core.runtime.torch_files import read_torch, write_torch


@pytest.fixture(scope="module")
def views():
    return table_views(3)[0]


def begun(views, degree):
    surfaces = gaussians_from_depth(views, SurfaceSettings(voxel_m=0.04))
    return first_map(views, LABELS, surfaces, harmonics=degree)


def test_the_preset_has_3d_gaussian_splatting_s_numbers():
    run, surface = published_settings().run, published_settings().surface
    first, last = (rates_at(run.rates, share, 1.0) for share in (0.0, 1.0))
    assert (first["means"], last["means"]) == (pytest.approx(1.6e-4), pytest.approx(1.6e-6)) and run.steps == 30_000
    assert [first[name] for name in ("colors", "opacity_logits", "log_scales", "quats_wxyz")] == [2.5e-3, 5e-2, 5e-3, 1e-3]
    assert first["harmonics"] == pytest.approx(2.5e-3 / 20) and run.harmonics == 3 and PANOPTICSPLATTING_WEIGHTS.ssim == 0.2
    assert run.density == DensitySettings("gsplat", begin=500 / 30_000, end=0.5, every=100, grow_gradient=2e-4, reset_every=3000)
    assert (surface.opacity, surface.size) == (0.1, 1.0) and run.stop.below == 0
    ours = SceneSettings()
    differing = {name for name in vars(run) if getattr(run, name) != getattr(ours.run, name)}
    assert differing == {"steps", "rates", "density", "harmonics"}
    assert [run.degree_at(step / 30_000) for step in (0, 999, 1000, 2000, 3000, 29_999)] == [0, 0, 1, 2, 3, 3]


def test_colours_that_depend_on_the_view_are_learnt_and_stored(views, tmp_path):
    settings = RefineSettings(steps=12, harmonics=2, harmonics_every=0.25)
    model = begun(views, 2)
    assert model.harmonics.shape == (len(model.means), 8, 3)
    refinement = Refinement(model, views, settings, tmp_path / "one.pt")
    degrees = []
    refinement.run(lambda report: degrees.append(model.shown_degree))
    assert sorted(set(degrees)) == [0, 1, 2] and degrees == sorted(degrees) and bool(model.harmonics.any())
    made = model.gaussians()
    assert made.colors.shape == (len(model.means), 9, 3)
    torch.testing.assert_close(made.colors[:, 0] * CONSTANT + 0.5, model.colors)
    sides = [view_colors(made, view.cam_from_world) for view in views[:2]]
    assert float((sides[0] - sides[1]).detach().abs().max()) > 1e-3
    again = Refinement.resumed(tmp_path / "one.pt", views, settings)
    assert torch.equal(again.model.harmonics, model.harmonics)
    plain = begun(views, 0)
    assert plain.harmonics is None and plain.gaussians().colors.ndim == 2


@pytest.mark.slow
def test_an_interrupted_run_with_harmonics_goes_on_bit_for_bit(views, tmp_path):
    settings = RefineSettings(steps=8, harmonics=1, harmonics_every=0.3, checkpoint_every=4)
    whole, first = (Refinement(begun(views, 1), views, settings, tmp_path / f"{name}.pt") for name in ("whole", "first"))
    whole.run()
    with pytest.raises(Interrupted):
        first.run(interrupt_at(5))
    again = Refinement.resumed(tmp_path / "first.pt", views, settings)
    again.run()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_checkpoints_that_knew_no_such_settings_go_on(views, tmp_path):
    settings, path = RefineSettings(steps=4, checkpoint_every=2), tmp_path / "old.pt"
    Refinement(begun(views, 0), views, settings, path).run()
    content = read_torch(path, "a checkpoint")
    for name in ("harmonics", "harmonics_every"):
        del content["settings"][name]
    del content["settings"]["density"]["reset_every"]
    write_torch(path, content)
    assert Refinement.resumed(path, views, settings).progress.step == 4
    with pytest.raises(CheckpointProblem, match="settings.harmonics: expected 0 as it began, got 3"):
        Refinement.resumed(path, views, replace(settings, harmonics=3))


def test_opacities_are_set_back_with_what_moved_them(views):
    model = begun(views, 0)
    optimizer = torch.optim.Adam([model.opacity_logits, model.means], lr=0.1)
    (model.opacity_logits.sum() + model.means.sum()).backward()
    optimizer.step()
    set_back_opacities(model, optimizer, 0.01)
    assert float(model.opacity_logits.detach().max()) == pytest.approx(math.log(0.01 / 0.99))
    assert not optimizer.state[model.opacity_logits]["exp_avg"].any() and optimizer.state[model.means]["exp_avg"].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RefineSettings(harmonics=4), "RefineSettings.harmonics: expected a degree of 0 to 3, got 4"),
        (lambda: RefineSettings(harmonics_every=0.0), "RefineSettings.harmonics_every: expected a share above 0"),
        (lambda: DensitySettings(reset_every=-1), "DensitySettings.reset_every: expected 0 or more, got -1"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
