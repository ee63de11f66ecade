"""Refining: quality that rises, also above that of poor labels; and runs that stop, go on, diverge and collapse."""

from dataclasses import replace

import pytest
import torch
from refine_scenes import LABELS, Interrupted, interrupt_at, labels_of, spoiled, table_map, table_views

from pan3d_core.refine.losses import PANOPTICSPLATTING_WEIGHTS
from pan3d_core.refine.optimise import Refinement, RefinementDiverged
from pan3d_core.refine.query_care import MatchCounts, drop_repeated, prune, reseed
from pan3d_core.refine.readout import panoptic_view
from pan3d_core.refine.schedule import LearningRates, RefineSettings, rates_at, scene_radius, view_of_step
from pan3d_core.refine.views import RefineView, thing_ranks
from pan3d_core.structures import CameraView
from pan3d_eval.metrics.panoptic import panoptic_quality

SMALL = {"voxel_m": 0.03, "queries": 6}


@pytest.fixture(scope="module")
def table():
    return table_views(6)


def rendered_quality(model, views, truth) -> float:
    shown = [panoptic_view(model, view.camera) for view in views]
    maps = torch.stack([item.semantic_id for item in shown]), torch.stack([item.instance_id for item in shown])
    return panoptic_quality(maps, truth, LABELS).pq


def label_quality(views, truth) -> float:
    """Of the labels themselves, each view's ids being its own."""
    semantics, ids, used = [], [], 0
    for view in views:
        own = torch.zeros(view.image_hw, dtype=torch.int64)
        for row, mask in enumerate(view.labels.masks):
            own[mask > 0.5] = used + row + 1
        used += len(view.labels.masks)
        ids.append(own)
        semantics.append(view.labels.semantics)
    return panoptic_quality((torch.stack(semantics), torch.stack(ids)), truth, LABELS).pq


def test_a_few_steps_on_right_labels_find_every_object_in_all_views(table):
    views, truth = table
    model = table_map(views)
    before = rendered_quality(model, views, truth)
    Refinement(model, views, RefineSettings(steps=45)).run()
    assert before < 0.4 and rendered_quality(model, views, truth) > 0.7


@pytest.mark.slow
def test_a_map_of_poor_labels_is_better_than_the_labels(table):
    views, truth = table
    poor = spoiled(views, seed=2)
    model = table_map(poor)
    Refinement(model, poor, RefineSettings(steps=150)).run()
    assert rendered_quality(model, views, truth) > label_quality(poor, truth) + 0.1


def states(run: Refinement) -> list[torch.Tensor]:
    moments = [value for state in run.optimizer.state_dict()["state"].values() for value in state.values()]
    return [*run.model.state_dict().values(), *moments]


def test_an_interrupted_run_ends_in_the_same_bits(table, tmp_path):
    views, _ = table
    settings = RefineSettings(steps=16, checkpoint_every=9, prune_from=0.5)
    whole = Refinement(table_map(views, **SMALL), views, settings)
    whole.run()
    path = tmp_path / "run" / "checkpoint.pt"
    with pytest.raises(Interrupted):
        Refinement(table_map(views, **SMALL), views, settings, path).run(interrupt_at(11))
    again = Refinement.resumed(path, views, settings)
    assert again.progress.step == 9 and again.progress.neighbours == whole.progress.neighbours
    again.run()
    assert all(torch.equal(a, b) for a, b in zip(states(whole), states(again), strict=True))
    assert torch.equal(again.progress.counts.assigned, whole.progress.counts.assigned)
    assert not [item for item in tmp_path.rglob("*") if item.name.startswith(".")]


def test_a_loss_that_is_not_finite_stops_before_it_does_harm(table, tmp_path):
    views, _ = table
    path = tmp_path / "checkpoint.pt"
    run = Refinement(table_map(views, **SMALL), views, RefineSettings(steps=8, checkpoint_every=2), path)
    broken = replace(run.targets[0], image=torch.full_like(run.targets[0].image, torch.nan))

    def poison(report):
        if report.step == 3:
            run.targets = [broken] * len(run.targets)

    with pytest.raises(RefinementDiverged, match=r"step 4, views\[\d\]: the loss color, total is not finite; .* is .*pt"):
        run.run(poison)
    assert all(bool(torch.isfinite(value).all()) for value in run.model.state_dict().values())
    assert Refinement.resumed(path, views, RefineSettings(steps=8)).progress.step == 2


def test_minutes_end_a_run_and_stretch_its_schedule(table):
    views, _ = table
    reports = []
    Refinement(table_map(views, **SMALL), views, RefineSettings(steps=1, minutes=0.02)).run(reports.append)
    assert reports[-1].share_done == 1 and reports[-1].elapsed_s >= 1.2 and len(reports) > 1
    assert set(reports[0].losses) == {"color", "total"}


def test_terms_start_at_the_published_shares_of_any_budget():
    for steps in (100, 600):
        settings = RefineSettings(steps=steps)
        started = [settings.weights_at(settings.share_done(step, 0.0)) for step in range(steps)]
        assert [w.instances > 0 for w in started].index(True) == steps // 10
        assert [w.warp > 0 for w in started].index(True) == -(-7 * steps // 30)


def test_every_round_sees_every_view_once_in_an_order_of_its_own():
    rounds = [[view_of_step(step, 7, seed=3) for step in range(7 * k, 7 * k + 7)] for k in range(4)]
    assert all(sorted(order) == list(range(7)) for order in rounds) and len({tuple(order) for order in rounds}) > 1


def test_learning_rates_of_positions_follow_the_scene_and_fall():
    first, last = (rates_at(LearningRates(means=1.6e-4), share, 0.5) for share in (0.0, 1.0))
    assert first["means"] == pytest.approx(0.8e-4) and last["means"] == pytest.approx(0.8e-6)
    assert first["colors"] == last["colors"] and last["semantic_features"] == pytest.approx(0.1 * first["instance_features"])
    poses = torch.eye(4).repeat(2, 1, 1)
    poses[1, 0, 3] = -2.0  # 2 m to the right
    assert scene_radius(list(poses)) == pytest.approx(1.1) and scene_radius([poses[0]]) == 1.0


def counted(*views: tuple[list[int], list[list[float]]]) -> MatchCounts:
    """Of views of three queries: winners of each mask, and coverages (3, M)."""
    counts = MatchCounts.none(3)
    for matched, coverage in views:
        pairs = torch.tensor(matched), torch.arange(len(matched))
        counts = counts.after(torch.arange(3), pairs, torch.tensor(coverage))
    return counts


def test_a_collapse_is_one_query_for_all_masks_or_none_for_any():
    fine = counted(([0, 1], [[0.9, 0.1], [0.1, 0.8], [0.0, 0.0]]))
    assert fine.collapsed(0.9, 0.05) == ""
    one = counted(([0, 1], [[0.9, 0.9], [0.1, 0.8], [0.0, 0.0]]))
    assert one.collapsed(0.9, 0.05) == "query 0 covers 100% of 2 masks best"
    single = counted(([0], [[0.9], [0.1], [0.0]]), ([0], [[0.9], [0.1], [0.0]]))
    assert single.collapsed(0.9, 0.05) == ""  # one object in the scene is no collapse
    faint = counted(([0, 1], [[0.01, 0.0], [0.0, 0.02], [0.0, 0.0]]))
    assert faint.collapsed(0.9, 0.05).startswith("no query covers any of 2 masks")
    assert MatchCounts.none(3).collapsed(0.9, 0.05) == "" and fine.next_round().collapsed(0.9, 0.05) == ""
    assert fine.next_round().assigned.tolist() == [1, 1, 0]


def test_queries_that_never_got_a_mask_are_dropped_unless_none_did(table):
    model = table_map(table[0], **SMALL)
    counts = MatchCounts.none(6)
    prune(model, counts)
    assert bool(model.alive.all())
    counts.assigned[[1, 4]] = 2
    prune(model, counts)
    assert model.alive.nonzero()[:, 0].tolist() == [1, 4]


@pytest.mark.slow
def test_collapsed_queries_begin_again_and_recover(table):
    views, truth = table
    run = Refinement(table_map(views, voxel_m=0.02, queries=6), views, RefineSettings(steps=72))
    collapsed = 12

    def collapse(report):
        if report.step == collapsed:  # one query everywhere, the others nowhere
            with torch.no_grad():
                run.model.query_means.fill_(5.0)
                run.model.query_means[2] = 0.0
                run.model.query_log_scales[2] = 3.0
                run.model.instance_features.copy_(run.model.query_norm(run.model.query_projection(run.model.query_tokens[2])))

    run.run(collapse)
    assert run.progress.reseeds == 1
    assert rendered_quality(run.model, views, truth) > 0.6


def test_starting_again_forgets_features_and_keeps_surfaces(table):
    views, _ = table
    run = Refinement(table_map(views, **SMALL), views, RefineSettings(steps=3))
    surfaces = run.model.means.detach().clone()
    with torch.no_grad():
        run.model.instance_features.fill_(1.0)
        run.model.query_means.add_(1.0)
    changed = reseed(run.model, run.first_queries, seed=9)
    assert len(changed) == 5 and not run.model.instance_features.any() and torch.equal(run.model.means, surfaces)
    torch.testing.assert_close(run.model.query_means.detach(), run.first_queries.means)


def test_views_are_checked_by_name(table):
    view = table[0][0]
    assert thing_ranks(LABELS).tolist() == [0, 1, -1, -1]
    model = table_map(table[0], **SMALL)
    with pytest.raises(ValueError, match="views: expected at least one, got none"):
        Refinement(model, [], RefineSettings())
    stuff = replace(view, labels=replace(view.labels, class_id=torch.full_like(view.labels.class_id, 2)))
    with pytest.raises(ValueError, match=r"views\[1\].labels.class_id: expected things, got 'table'"):
        Refinement(model, [view, stuff], RefineSettings())
    unknown = replace(view, labels=replace(view.labels, semantics=torch.full(view.image_hw, 7)))
    with pytest.raises(ValueError, match=r"views\[0\].labels.semantics: expected -1 to 2, got 7 to 7"):
        Refinement(model, [unknown], RefineSettings())
    with pytest.raises(ValueError, match=r"ViewLabels.semantics: expected shape \(56, 72\), got \(56, 71\)"):
        RefineView(replace(view.labels, semantics=view.labels.semantics[:, 1:]), view.intrinsics, view.cam_from_world)
    with pytest.raises(ValueError, match=r"CameraView.cam_from_world: expected a calibrated camera, got none for 'camera'"):
        RefineView.of(CameraView(view.labels.image, intrinsics=view.intrinsics), view.labels)
    with pytest.raises(ValueError, match=r"RefineSettings.minutes: expected a positive time, got -1"):
        RefineSettings(minutes=-1.0)


def test_views_without_any_label_change_nothing_but_colour(table):
    views, _ = table
    bare = [
        replace(v, labels=labels_of(v.labels.image, torch.full(v.image_hw, -1), torch.zeros_like(v.labels.semantics)))
        for v in views
    ]
    model = table_map(views, **SMALL)
    weights = replace(PANOPTICSPLATTING_WEIGHTS, labels_from=0, warp=0.0)
    run = Refinement(model, bare, RefineSettings(steps=2, weights=weights))
    reports = []
    run.run(reports.append)
    assert reports[-1].losses["semantics"] == 0 and run.progress.reseeds == 0
    assert not model.instance_features.any() and not model.semantic_features.any()


def test_a_view_that_sees_no_query_or_has_masks_without_classes_is_no_obstacle(table):
    views, _ = table
    nameless = [replace(v, labels=replace(v.labels, class_id=torch.full_like(v.labels.class_id, -1))) for v in views]
    model = table_map(views, voxel_m=0.03, queries=4)
    weights = replace(PANOPTICSPLATTING_WEIGHTS, labels_from=0, warp_from=0)
    Refinement(model, nameless, RefineSettings(steps=2, weights=weights)).run()
    with torch.no_grad():
        model.query_means += 100.0
        model.query_log_scales.fill_(-5.0)
    assert len(model.seen_by(views[0].camera).queries) == 0
    reports = []
    Refinement(model, views, RefineSettings(steps=2, weights=weights)).run(reports.append)
    assert reports[-1].losses["instances"] == 0 and reports[-1].losses["semantics"] > 0


def sure_map(table, claims: list[list[float]], of_class: tuple[float, ...] = ()):
    """A map whose queries are everywhere, and whose Gaussian i belongs to query q with probability claims[q][i % columns];
    `of_class`: probabilities of the queries' first class, else those of all are 0.9."""
    model = table_map(table[0], **SMALL)
    wanted = torch.tensor(claims).logit(eps=1e-6)
    with torch.no_grad():
        model.query_log_scales.fill_(6.0)
        model.alive.copy_(torch.arange(model.num_queries) < len(claims))
        model.query_tokens.normal_(generator=torch.Generator().manual_seed(3))
        keys = model.query_norm(model.query_projection(model.query_tokens[: len(claims)]))
        columns = torch.arange(len(model.means)) % wanted.shape[1]
        model.instance_features.copy_((torch.linalg.pinv(keys) @ wanted)[:, columns].T)
    sure = torch.tensor(of_class or [0.9] * len(claims))[:, None]
    logits = torch.cat([sure, torch.zeros_like(sure) + 0.01, (1 - sure)], dim=1).log()
    model.class_logits = lambda queries: logits[queries]
    return model


def test_queries_that_claim_what_others_have_are_dropped_and_those_with_things_of_their_own_stay(table):
    # Two objects, a half of the first, both in one, and nobody's.
    model = sure_map(table, [[0.9, 0.9, 0.1, 0.1], [0.1, 0.1, 0.9, 0.9], [0.8, 0.1, 0.1, 0.1], [0.7, 0.7, 0.7, 0.8], [0.3] * 4])
    assert drop_repeated(model) == 3
    assert model.alive.nonzero()[:, 0].tolist() == [0, 1]
    assert drop_repeated(model) == 0


def test_of_two_queries_with_one_object_the_surer_one_stays(table):
    model = sure_map(table, [[0.8, 0.8, 0.8], [0.9, 0.9, 0.7]])
    assert drop_repeated(model) == 1 and model.alive.nonzero()[:, 0].tolist() == [1]


def test_two_halves_do_not_outvote_the_whole_that_is_surer_what_it_is(table):
    claims = [[0.8, 0.8, 0.8], [0.9, 0.9, 0.1], [0.1, 0.1, 0.95]]
    kept = {}
    for of_class in ((0.9, 0.4, 0.3), (0.4, 0.9, 0.9)):
        model = sure_map(table, claims, of_class)
        drop_repeated(model)
        kept[of_class] = model.alive.nonzero()[:, 0].tolist()
    assert list(kept.values()) == [[0], [1, 2]]


def test_a_map_whose_queries_claim_nothing_keeps_them(table):
    model = sure_map(table, [[0.2, 0.2], [0.1, 0.1]])
    assert drop_repeated(model) == 0 and int(model.alive.sum()) == 2


def test_a_run_ends_without_repeated_queries_and_its_checkpoint_keeps_them(table, tmp_path):
    views, _ = table
    run = Refinement(table_map(views, **SMALL), views, RefineSettings(steps=1), tmp_path / "checkpoint.pt")
    run.run()
    stored = Refinement.resumed(tmp_path / "checkpoint.pt", views, RefineSettings(steps=1))
    assert int(stored.model.alive.sum()) == stored.model.num_queries
    stored.run()  # nothing is left to do but the end
    assert torch.equal(stored.model.alive, run.model.alive)
