"""What many views repair of what 2D labels get wrong: one kind of error at a time."""

from dataclasses import replace

import pytest
import torch
from raycast_scene import TABLE_SCENE, Ball
from refine_scenes import LABELS, table_map, table_views

from pan3d_core.refine.labels.noise import NO_NOISE, noisy_labels
from pan3d_core.refine.labels.sources import SceneLabels
from pan3d_core.refine.losses import PANOPTICSPLATTING_WEIGHTS
from pan3d_core.refine.optimise import Refinement
from pan3d_core.refine.readout import panoptic_view
from pan3d_core.refine.schedule import LearningRates, RefineSettings
from pan3d_eval.rendered.refined import label_figures, refined_view_figures

# Labels from the first step on and fast: the first Gaussians have the true colours.
FAST = RefineSettings(
    steps=64, weights=replace(PANOPTICSPLATTING_WEIGHTS, labels_from=0), rates=LearningRates(features=0.2, decoders=0.02)
)
VIEWS, MOST = 8, 5  # in the others all masks are wrong
TOUCHING = (*TABLE_SCENE, Ball((0.12, 0.02, 0.03), 0.03))
# What goes wrong, and by how much more objects are found in the map than in its labels (RQ of single views).
KINDS = {
    "dropped": (replace(NO_NOISE, dropped=1.0), 0.07),
    "wrong_class": (replace(NO_NOISE, wrong_class=1.0), 0.15),
    "merged": (replace(NO_NOISE, merged=1.0), 0.015),  # two of five objects touch, and in some views alone
    "split": (replace(NO_NOISE, split=1.0), 0.1),
    "unknown": (replace(NO_NOISE, unknown=1.0), 0.1),
    "unlabelled": (replace(NO_NOISE, unlabelled=1.0), 0.15),
}


@pytest.fixture(scope="module")
def table():
    return table_views(VIEWS, TOUCHING)


def figures(table, noise, share):
    """Of labels that are spoilt in a share of the views, and of the map that is refined from them."""
    views, truth = table
    right = SceneLabels(LABELS, tuple(replace(view.labels, masks=view.labels.masks > 0) for view in views))
    worse = noisy_labels(right, noise, torch.Generator().manual_seed(1))
    spoilt = tuple(worse.views[index] if index * share % 1 >= 1 - share else own for index, own in enumerate(right.views))
    mixed = replace(right, views=spoilt)
    poor = [replace(view, labels=labels) for view, labels in zip(views, spoilt, strict=True)]
    model = table_map(poor, voxel_m=0.014, queries=7)
    Refinement(model, poor, FAST).run()
    shown = [panoptic_view(model, view.camera) for view in views]
    maps = torch.stack([item.semantic_id for item in shown]), torch.stack([item.instance_id for item in shown])
    return label_figures(mixed, truth), refined_view_figures(maps, truth, LABELS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_most_views_say_holds_in_all(table, kind):
    noise, margin = KINDS[kind]
    labels, found = figures(table, noise, (VIEWS - MOST) / VIEWS)
    assert found.per_view_rq > labels.per_view_rq + margin
    assert found.pq > labels.pq + 0.3 and found.identity_switches == 0


@pytest.mark.slow
def test_borders_that_are_ragged_in_all_views_become_smooth(table):
    labels, found = figures(table, replace(NO_NOISE, ragged_px=2.0, ragged_length_px=4.0), 1.0)
    assert found.per_view_pq > labels.per_view_pq + 0.1 and found.pq > labels.pq + 0.3


@pytest.mark.slow
def test_ids_that_views_do_not_share_become_one_per_object(table):
    labels, found = figures(table, NO_NOISE, 1.0)
    assert labels.per_view_pq == pytest.approx(1.0) and labels.identity_switches > 10
    assert found.pq > labels.pq + 0.3 and found.identity_switches == 0
