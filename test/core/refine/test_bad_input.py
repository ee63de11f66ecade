"""Refining what cameras and 2D models really give: views without labels, objects seen once, touching, poses that are off."""

from dataclasses import replace

import pytest
import torch
from raycast_scene import Block
from refine_scenes import LABELS, labels_of, table_map, table_views

from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_depth
from pan3d_core.refine.first_map.start import first_map
from pan3d_core.refine.optimise import Refinement, RefinementDiverged
from pan3d_core.refine.query_care import alike
from pan3d_core.refine.readout import panoptic_view
from pan3d_core.refine.schedule import EarlyStop, RefineSettings
from pan3d_eval.metrics.panoptic import panoptic_quality

STEPS, SIZE = 48, {"voxel_m": 0.025, "queries": 6}


@pytest.fixture(scope="module")
def table():
    return table_views(6)


def refined(views, steps: int = STEPS):
    """A map after some steps, and its maps of classes and ids in the views."""
    model = table_map(views, **SIZE)
    Refinement(model, views, RefineSettings(steps=steps)).run()
    return model, maps_of(model, views)


def maps_of(model, views):
    shown = [panoptic_view(model, view.camera) for view in views]
    return torch.stack([item.semantic_id for item in shown]), torch.stack([item.instance_id for item in shown])


def ids_of_objects(instance, truth) -> list[int]:
    """The id of most pixels of every true object over all views."""
    return [int(instance[truth == value].mode().values) for value in truth.unique().tolist() if value]


def unlabelled(view):
    void, none = torch.full(view.image_hw, -1), torch.zeros(view.image_hw, dtype=torch.int64)
    return replace(view, labels=labels_of(view.labels.image, void, none))


@pytest.mark.slow
def test_a_view_without_any_label_gets_those_of_the_others(table):
    views, truth = table
    _, maps = refined([unlabelled(views[0]), *views[1:]])
    here = panoptic_quality(tuple(item[:1] for item in maps), tuple(item[:1] for item in truth), LABELS)
    assert here.pq > 0.6


def test_views_that_all_have_no_label_are_refused_by_name(table):
    views = [unlabelled(view) for view in table[0]]
    gaussians = gaussians_from_depth(views, SurfaceSettings(voxel_m=0.05))
    with pytest.raises(ValueError, match=r"views: expected 2D labels in at least one of 6, got none: no masks"):
        first_map(views, LABELS, gaussians)
    assert first_map([table[0][0], *views[1:]], LABELS, gaussians).num_queries > 0


@pytest.mark.slow
def test_an_object_that_one_view_alone_has_is_kept(table):
    views, truth = table
    seen_in, lonely = 2, 2
    changed = []
    for index, view in enumerate(views):
        ids = truth[1][index]
        if index != seen_in:
            semantics = torch.where(ids == lonely, -1, view.labels.semantics)
            view = replace(view, labels=labels_of(view.labels.image, semantics, torch.where(ids == lonely, 0, ids)))
        changed.append(view)
    model = table_map(changed, voxel_m=0.03, queries=6)
    run = Refinement(model, changed, RefineSettings(steps=108))  # it learns in one step of six
    run.run()
    shown = panoptic_view(model, views[seen_in].camera).instance_id
    found = int(shown[truth[1][seen_in] == lonely].mode().values)
    others = {int(shown[truth[1][seen_in] == value].mode().values) for value in (1, 3, 4)}
    assert found > 0 and found not in others
    assert bool(model.alive[found - 1]) and int(run.progress.counts.assigned[found - 1]) > 0
    assert not bool(model.alive.all())  # while what never got a mask was dropped


@pytest.mark.slow
def test_small_objects_of_one_class_that_touch_stay_two():
    side = 0.04  # their middles are nearer than `QuerySettings.merge_m`
    objects = tuple(Block((sign * side / 2, 0.0, side / 2), (side, side, side)) for sign in (-1, 1))
    views, truth = table_views(6, objects)
    model, (_, instance) = refined(views)
    assert sorted(model.query_means[:2, 0].tolist()) == pytest.approx([-side / 2, side / 2], abs=0.01)
    first, second = ids_of_objects(instance, truth[1])
    assert 0 < first != second > 0


def test_a_mask_that_one_view_splits_is_still_one_object(table):
    views, _ = table
    whole = table_map(views, **SIZE).query_means
    masks = views[0].labels.masks
    half = masks[1] * (torch.arange(masks.shape[2]) < float(masks[1].nonzero()[:, 1].float().median()))
    split = replace(
        views[0].labels,
        masks=torch.cat([masks, (masks[1] - half)[None]]).index_copy(0, torch.tensor([1]), half[None]),
        class_id=torch.cat([views[0].labels.class_id, views[0].labels.class_id[1:2]]),
    )
    again = table_map([replace(views[0], labels=split), *views[1:]], **SIZE).query_means
    assert float(torch.cdist(whole[:4], again[:4]).detach().amin(1).max()) < 0.01  # four objects, about where they were


def set_alike(model, *names: str) -> None:
    with torch.no_grad():
        for name in names:
            value = getattr(model, name)
            value.copy_(value[:1].expand_as(value).clone())


@pytest.mark.slow
def test_queries_that_are_all_alike_begin_again_and_come_apart(table):
    views, truth = table
    model = table_map(views, **SIZE)
    run = Refinement(model, views, RefineSettings(steps=60))
    assert alike(model) == ""

    def collapse(report):
        if report.step == 12:
            set_alike(model, "query_tokens", "query_means", "query_log_scales", "query_quats_wxyz")
            assert alike(model) == "all 6 queries are alike and in one place"

    run.run(collapse)
    ids = ids_of_objects(maps_of(model, views)[1], truth[1])
    assert run.progress.reseeds == 1 and len({*ids} - {0}) == 4


@pytest.mark.slow
def test_tokens_alike_at_their_places_come_apart_without_beginning_again(table):
    views, truth = table
    model = table_map(views, **SIZE)
    set_alike(model, "query_tokens")
    run = Refinement(model, views, RefineSettings(steps=STEPS))
    run.run()
    ids = ids_of_objects(maps_of(model, views)[1], truth[1])
    assert run.progress.reseeds == 0 and len({*ids} - {0}) == 4


@pytest.mark.slow
def test_poses_that_are_two_centimetres_off_cost_a_tenth_of_the_quality_and_no_object(table):
    views, truth = table
    generator = torch.Generator().manual_seed(0)
    moved = []
    for view in views:
        pose = view.cam_from_world.clone()
        pose[:3, 3] += 0.02 / 3**0.5 * torch.randn(3, generator=generator)
        moved.append(replace(view, cam_from_world=pose))
    quality = []
    for given in (views, moved):
        _, maps = refined(given)
        quality.append(panoptic_quality(maps, truth, LABELS).pq)
        assert len({*ids_of_objects(maps[1], truth[1])} - {0}) == 4
    assert quality[0] - 0.2 < quality[1] < quality[0]


def test_a_loss_that_is_not_finite_names_the_view_and_keeps_the_last_good_state(table, tmp_path):
    views, _ = table
    image = views[4].labels.image.clone()
    image[0, 3, 5] = torch.nan
    bad = replace(views[4], labels=replace(views[4].labels, image=image))
    path = tmp_path / "checkpoint.pt"
    given = [*views[:4], bad, views[5]]
    run = Refinement(table_map(views, **SIZE), given, RefineSettings(steps=6, checkpoint_every=1), path)
    run.save()
    with pytest.raises(RefinementDiverged, match=r"step \d, views\[4\]: the loss color, total is not finite.*checkpoint.pt"):
        run.run()
    kept = Refinement.resumed(path, given, run.settings)
    assert kept.progress.step == run.progress.step
    assert all(bool(torch.isfinite(value).all()) for value in kept.model.state_dict().values())


def test_a_run_ends_when_its_losses_stop_falling_and_not_before(table, tmp_path):
    views, _ = table
    path, small = tmp_path / "checkpoint.pt", {"voxel_m": 0.04, "queries": 6}
    stop = EarlyStop(below=0.9, window=6)  # any fall of less than nine tenths is none
    run = Refinement(table_map(views, **small), views, RefineSettings(steps=60, stop=stop), path)
    run.run()
    assert run.settled and run.progress.step == 60 * 7 // 30 + 12  # two windows after the last term joined
    again = Refinement.resumed(path, views, run.settings)
    again.run()
    assert again.progress.step == run.progress.step
    further = Refinement.resumed(path, views, replace(run.settings, stop=EarlyStop(), steps=28))
    further.run()
    assert further.progress.step == 28 and not further.settled


def test_losses_have_stopped_falling_when_two_windows_are_nearly_alike():
    stop = EarlyStop(below=0.01, window=3)
    totals: tuple[float, ...] = ()
    for total in (9.0, 4.0, 2.0, 2.0, 1.0, 1.5):
        totals = stop.after(totals, total)
        assert not stop.reached(totals)
    for total in (1.5, 1.0, 2.0):
        totals = stop.after(totals, total)
    assert len(totals) == 6 and stop.reached(totals)
    assert EarlyStop().after((), 1.0) == () and not EarlyStop().reached((1.0,) * 500)
    with pytest.raises(ValueError, match="EarlyStop.below: expected 0 to less than 1, got 1"):
        EarlyStop(below=1.0)
    with pytest.raises(ValueError, match="EarlyStop.window: expected at least 1 step, got 0"):
        EarlyStop(window=0)
