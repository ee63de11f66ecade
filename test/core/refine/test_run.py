"""A scene refined in one call: what comes back, how it is followed, ended, cancelled and gone on with."""

from dataclasses import replace

import pytest
import torch
from refine_scenes import LABELS, table_views

from pan3d_core import refine_scene
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.checkpoints import CheckpointProblem, OtherLabels
from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_depth
from pan3d_core.refine.first_map.queries import QuerySettings
from pan3d_core.refine.first_map.start import first_map
from pan3d_core.refine.labels.sources import SceneLabels
from pan3d_core.refine.optimise import Refinement
from pan3d_core.refine.run import EndRefining, FirstSurfaces, SceneSettings
from pan3d_core.refine.schedule import EarlyStop, RefineSettings
from pan3d_core.refine.views import RefineView
from pan3d_core.structures import CameraView


@pytest.fixture(scope="module")
def scene():
    """Camera views with depth, and their true labels."""
    made, _ = table_views(3)
    views = tuple(
        CameraView(
            view.labels.image, view.intrinsics, view.cam_from_world, view.depth, world_frame_id="cell", camera=f"cam{index}"
        )
        for index, view in enumerate(made)
    )
    return views, SceneLabels(LABELS, tuple(view.labels for view in made))


def settings(steps: int = 4, **run) -> SceneSettings:
    surface, queries = SurfaceSettings(voxel_m=0.02), QuerySettings(count=6)
    return SceneSettings(RefineSettings(steps=steps, **run), surface, queries, device="cpu")


def without_depth(views):
    return tuple(replace(view, depth=None) for view in views)


def test_one_call_does_what_its_stages_do(scene):
    views, labels = scene
    result = refine_scene(views, labels, settings())
    chosen = settings()
    own = [RefineView.of(view, label) for view, label in zip(views, labels.views, strict=True)]
    model = first_map(own, LABELS, gaussians_from_depth(own, chosen.surface), chosen.queries)
    Refinement(model, own, chosen.run).run()
    assert torch.equal(result.refinement.model.means, model.means)
    assert result.scene.world_frame_id == "cell" and len(result.scene.cam_from_world) == 3
    assert torch.equal(result.scene.gaussians.means, model.means.detach())
    assert [report.step for report in result.reports] == [1, 2, 3, 4] and result.ending == "used_up"
    figures = result.report()
    assert figures["steps"] == 4 and figures["gaussians"] == len(model.means) and figures["views"] == 3


def test_progress_is_told_before_the_first_step_after_each_and_once_at_the_end(scene):
    views, labels = scene
    told = []
    refine_scene(views, labels, settings(2), progress=told.append)
    assert [(now.stage, now.report.step) for now in told] == [("begun", 0), ("step", 1), ("step", 2), ("used_up", 2)]
    assert all(now.losses["total"] > 0 for now in told[1:3]) and told[0].losses == told[3].losses == {}
    assert len({id(now.refinement) for now in told}) == 1


def test_a_callback_ends_a_run_with_its_result_or_cancels_it(scene, tmp_path):
    views, labels = scene
    stages = []

    def end(now):
        stages.append(now.stage)
        if now.stage == "step" and now.report.step == 2:
            raise EndRefining

    path = tmp_path / "run.pt"
    result = refine_scene(views, labels, settings(), checkpoint=path, progress=end)
    assert result.ending == "ended" and len(result.reports) == 2 and path.exists()
    assert stages == ["begun", "step", "step", "ended"]

    def cancel(now):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine_scene(views, labels, settings(), checkpoint=tmp_path / "none.pt", progress=cancel)
    assert not (tmp_path / "none.pt").exists()


def test_a_run_whose_losses_no_longer_fall_says_so(scene):
    views, labels = scene
    result = refine_scene(views, labels, settings(40, stop=EarlyStop(below=0.99, window=2)))
    assert result.ending == "settled" and len(result.reports) < 40


def test_a_run_goes_on_from_its_checkpoint_to_the_same_map(scene, tmp_path):
    views, labels = scene
    path = tmp_path / "run.pt"

    def cancel(now):
        if now.report.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine_scene(views, labels, settings(checkpoint_every=2), checkpoint=path, progress=cancel)

    def never() -> FirstSurfaces:
        raise AssertionError("a resumed run has its surfaces")

    again = refine_scene(views, labels, settings(), first=never, checkpoint=path, resume=True)
    whole = refine_scene(views, labels, settings())
    assert [report.step for report in again.reports] == [3, 4]
    assert torch.equal(again.scene.gaussians.means, whole.scene.gaussians.means)


def test_a_run_goes_on_only_from_what_began_it(scene, tmp_path):
    views, labels = scene
    path = tmp_path / "run.pt"
    with pytest.raises(FileNotFoundError, match="checkpoint of a refinement: expected a file"):
        refine_scene(views, labels, settings(), checkpoint=path, resume=True)
    with pytest.raises(ValueError, match="checkpoint: expected a file to resume from, got None"):
        refine_scene(views, labels, settings(), resume=True)
    refine_scene(views, labels, settings(1), checkpoint=path)
    with pytest.raises(CheckpointProblem, match="settings.seed"):
        refine_scene(views, labels, settings(seed=5), checkpoint=path, resume=True)
    others = SceneLabels(LabelSpace(("ball", "cube", "table"), LABELS.is_thing), labels.views)
    with pytest.raises(OtherLabels, match="expected the classes that the refinement began with, ball, box, table") as refused:
        refine_scene(views, others, settings(), checkpoint=path, resume=True)
    assert refused.value.known == LABELS and refused.value.given == others.labels


def test_labels_and_first_surfaces_may_be_made_by_what_knows_the_scene(scene):
    views, labels = scene
    asked = []

    def labeller(given):
        asked.append(tuple(view.camera for view in given))
        return labels

    surfaces = gaussians_from_depth([RefineView.of(view, own) for view, own in zip(views, labels.views, strict=True)])
    surfaces = surfaces.select(torch.arange(0, len(surfaces), 4))
    box = OrientedBox(torch.eye(4), torch.full((3,), 0.1))
    result = refine_scene(without_depth(views), labeller, settings(1), first=lambda: FirstSurfaces(surfaces, (box,)))
    assert asked == [("cam0", "cam1", "cam2")] and result.labels is labels
    assert len(result.scene.gaussians) == len(surfaces)
    assert torch.allclose(result.refinement.first_queries.means[0], torch.zeros(3))


def test_the_maps_networks_may_begin_with_another_seed_than_the_run(scene):
    views, labels = scene
    first, second = (refine_scene(views, labels, replace(settings(1), map_seed=seed)).refinement.model for seed in (0, 1))
    assert not torch.equal(first.class_head[0].weight, second.class_head[0].weight)


def test_what_cannot_be_refined_is_refused_before_any_label_is_made(scene):
    views, labels = scene

    def never(given):
        raise AssertionError("no label is needed")

    with pytest.raises(ValueError, match="views: expected at least one, got none"):
        refine_scene((), never)
    with pytest.raises(ValueError, match="views: cam1: expected intrinsics and cam_from_world, got none: refining needs cameras"):
        refine_scene((views[0], replace(views[1], intrinsics=None, cam_from_world=None)), never)
    with pytest.raises(ValueError, match="expected auto, cpu, cuda"):
        refine_scene(views, never, replace(settings(), device="abacus"))
    with pytest.raises(ValueError, match="labels: expected those of 2 views, got 3"):
        refine_scene(views[:2], labels, settings())
    with pytest.raises(ValueError, match="views: expected depth in at least one, got none"):
        refine_scene(without_depth(views), labels, settings())
