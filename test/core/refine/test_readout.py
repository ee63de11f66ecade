"""Panoptic pictures and scenes of a map whose queries and features say exactly what is where."""

import pytest
import torch
from raycast_scene import TABLE_SCENE
from refine_scenes import LABELS, table_map, table_views
from torch import nn

from pan3d_core.gaussians.editing import without_instances
from pan3d_core.gaussians.scene import read_gaussian_scene, write_gaussian_scene
from pan3d_core.refine.readout import gaussian_ids, panoptic_view, query_classes, refined_scene
from pan3d_eval.metrics.panoptic import panoptic_quality

CENTERS = torch.tensor([item.center for item in TABLE_SCENE])
KINDS = (0, 1, 1, 0)


class Says(nn.Module):
    """A decoder that looks its answer up: logits by the largest of the first channels."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns = columns

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features[..., : self.columns]


@pytest.fixture(scope="module")
def known():
    """Views, truth and a map that knows it: every Gaussian has the colour of its object, which says whose it is."""
    views, truth = table_views(3)
    model = table_map(views, voxel_m=0.015).requires_grad_(False)
    model.log_scales -= 1.0  # sharper than a first guess, so that borders are where they are
    model.opacity_logits.fill_(4.0)
    colors = torch.tensor([(0.6, 0.55, 0.5), *(item.rgb for item in TABLE_SCENE)])
    owner = torch.cdist(model.colors, colors).argmin(1)  # 0 = table
    query_of_object = torch.cdist(CENTERS, model.query_means).argmin(1)
    model.query_projection, model.query_norm = nn.Identity(), nn.Identity()
    model.query_tokens.zero_()
    model.query_log_scales.fill_(2.0)  # metres: the prior is 1 everywhere
    model.instance_features.fill_(-1.0)
    model.semantic_features.zero_()
    for row in range(model.num_queries):
        model.query_tokens[row, row] = 20.0
    model.class_head, model.semantic_decoder = Says(3), Says(3)
    wanted = torch.zeros(model.num_queries, 3)
    wanted[:, 2] = 10.0
    for thing, (row, kind) in enumerate(zip(query_of_object.tolist(), KINDS)):
        wanted[row] = 10.0 * torch.nn.functional.one_hot(torch.tensor(kind), 3)
        model.instance_features[owner == thing + 1, row] = 1.0
    model.class_logits = lambda queries: wanted[queries]
    kind_of_owner = torch.tensor([2, *KINDS])
    model.semantic_features[:, :3] = 10.0 * torch.nn.functional.one_hot(kind_of_owner[owner], 3)
    return views, truth, model, owner, query_of_object


def maps_of(model, views):
    shown = [panoptic_view(model, view.camera) for view in views]
    return torch.stack([item.semantic_id for item in shown]), torch.stack([item.instance_id for item in shown])


def test_a_map_that_knows_the_truth_reads_it_out_with_one_id_per_object(known):
    views, truth, model, _, query_of_object = known
    semantic, instance = maps_of(model, views)
    quality = panoptic_quality((semantic, instance), truth, LABELS)
    assert quality.rq == 1.0 and quality.pq > 0.8
    for thing, row in enumerate(query_of_object.tolist()):
        ids = instance[(truth[1] == thing + 1) & (instance > 0)]
        assert int(ids.mode().values) == row + 1
    assert not instance[semantic == 2].any()


def test_the_class_of_the_query_outvotes_wrong_classes_of_pixels(known):
    views, truth, model, owner, _ = known
    kept = model.semantic_features.clone()
    wrong = owner == 1  # the first ball: its surface looks a little more like a box
    model.semantic_features[wrong, :3] = torch.tensor([0.0, 0.5, -5.0])
    semantic, _ = maps_of(model, views)
    model.semantic_features.copy_(kept)
    inside = truth[1] == 1
    assert float((semantic[inside] == 0).float().mean()) > 0.8


def test_an_object_has_one_class_where_its_pixels_have_two(known, monkeypatch):
    views, truth, model, owner, query_of_object = known
    logits = model.class_logits
    thing = int(query_of_object[0])
    unsure = torch.tensor([1.0, 0.6, -5.0])  # of the object's query: its class, and nearly as much the other one
    monkeypatch.setattr(model, "class_logits", lambda rows: torch.where(rows[:, None] == thing, unsure, logits(rows)))
    features = model.semantic_features.clone()
    lower = (owner == 1) & (model.means[:, 0] < CENTERS[0, 0])
    model.semantic_features[lower, :3] = 10.0 * torch.tensor([0.0, 1.0, 0.0])  # of the other class
    try:
        semantic, instance = maps_of(model, views)
    finally:
        model.semantic_features.copy_(features)
    assert semantic[instance == thing + 1].unique().tolist() == [KINDS[0]]
    assert panoptic_quality((semantic, instance), truth, LABELS).pq > 0.8


def test_what_belongs_to_no_query_is_no_object_even_where_pixels_look_like_one(known):
    views, truth, model, owner, query_of_object = known
    model.alive[query_of_object[0]] = False
    semantic, instance = maps_of(model, views)
    ids, classes = gaussian_ids(model), query_classes(model)
    model.alive.fill_(True)
    assert float((instance[truth[1] == 1] > 0).float().mean()) < 0.1
    assert float((semantic[truth[1] == 1] == 2).float().mean()) > 0.8  # stuff is what remains
    assert not ids[owner == 1].any() and int(classes[query_of_object[0]]) == -1


def test_nothing_rendered_is_void(known):
    views, _, model, _, _ = known
    away = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0])) @ views[0].cam_from_world
    from pan3d_core.refine.views import view_camera

    shown = panoptic_view(model, view_camera(away, views[0].intrinsics, views[0].image_hw))
    assert bool((shown.semantic_id == -1).all()) and not shown.instance_id.any()


def test_the_scene_has_the_objects_with_names_and_goes_through_file_and_editing(known, tmp_path):
    views, _, model, owner, query_of_object = known
    scene = refined_scene(model, views)
    wanted = torch.cat([torch.tensor([0]), query_of_object + 1])[owner]
    assert float((scene.instance_id == wanted).float().mean()) > 0.999
    assert {scene.names[int(row) + 1] for row in query_of_object[[0, 3]]} == {"ball"}
    assert {scene.names[int(row) + 1] for row in query_of_object[[1, 2]]} == {"box"}
    write_gaussian_scene(tmp_path / "scene.safetensors", scene)
    again = read_gaussian_scene(tmp_path / "scene.safetensors")
    assert again.names == scene.names and torch.equal(again.instance_id, scene.instance_id)
    first = int(query_of_object[0]) + 1
    left = without_instances(again, [first])
    assert first not in left.ids() and len(left.gaussians) == int((wanted != first).sum())
