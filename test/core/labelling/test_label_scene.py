"""A recording of boxes on a table is labelled without anybody; what cannot be labelled is refused with the field that lacks."""

from dataclasses import replace

import pytest
import torch
from boxes_to_teach import BLUE, CANDIDATES, CONFIG, ELSEWHERE, RED, cell_of, engine, taught

from pan3d_core.config import ModelConfig, WorkspaceConfig
from pan3d_core.engines import build_engine
from pan3d_core.labelling import LabelSettings, label_scene
from pan3d_core.labelling import scene as scene_module
from pan3d_core.labelling.chosen_views import posed_views, spread_views
from pan3d_core.labelling.doubt import DoubtRules, Verdicts
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.teaching import TaughtLibrary
from pan3d_core.views.scene_folder import Scene
from pan3d_core.views.shrinking import shrunk

TINY = LabelSettings(steps=20, longest_px=96, max_gaussians=4000)
UNKNOWN = replace(CONFIG, workspace=WorkspaceConfig())


def scene_of(blocks, **changes):
    return Scene("table", tuple(cell_of(blocks, 4, 128, 96).views), None, 0.0, **changes)


def pipeline_with(library=None, config=CONFIG):
    pipeline = PerceptionPipeline(engine(), config)
    if library is not None:
        pipeline.use_library(library)
    return pipeline


@pytest.fixture(scope="module")
def verdict():
    """What the truth of the labelled scene is made of; is filled in by `labelled`."""
    return []


@pytest.fixture(scope="module")
def labelled(verdict):
    library = TaughtLibrary((taught("blue valve", BLUE),))
    made = scene_module._truth
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_module, "_truth", lambda *parts: verdict.extend(parts) or made(*parts))
        return label_scene(scene_of(CANDIDATES), pipeline_with(library), TINY)


def test_every_object_has_one_id_in_all_views_and_its_true_place(labelled):
    truth = labelled.scene.known_truth()
    assert len(labelled.objects) == len(CANDIDATES) and labelled.proposers == ("depth_clusters",)
    true = torch.stack([cell_of(CANDIDATES, 4, 96, 72).ids[row] for row in range(4)])
    mine = torch.stack(truth.instance_ids)
    for number in range(1, len(CANDIDATES) + 1):
        inside = true == number
        best = int(torch.bincount(mine[inside]).argmax())
        union = int((inside | (mine == best)).sum())
        assert best in {item.instance_id for item in labelled.objects}
        assert int((inside & (mine == best)).sum()) > 0.5 * union
    for item in labelled.objects:
        (block,) = [b for b in CANDIDATES if float(torch.dist(item.box.world_from_box[:3, 3], torch.tensor(b.center))) < 0.03]
        assert sorted(item.box.size_m.tolist()) == pytest.approx(sorted(block.size), abs=0.03)


def test_what_was_taught_has_its_name_and_the_rest_are_things(labelled):
    names = sorted(item.name for item in labelled.objects)
    assert names == ["blue valve", "thing", "thing"]
    assert labelled.scene.known_truth().labels.names == ("blue valve", "thing")


def test_depth_is_measured_or_rendered_and_void_is_no_object(labelled):
    truth = labelled.scene.known_truth()
    assert all(item is not None and item.shape == (72, 96) for item in truth.depth)
    assert 0 < labelled.void_share < 0.6 and len(truth.void_ids) == 1
    assert labelled.scene.support_height_m == 0.0 and not labelled.warnings


def test_a_doubtful_object_is_void_with_an_id_and_a_box_of_its_own(labelled, verdict):
    shown, depth, found, refined = verdict
    value, *sure = found.names
    doubted = Verdicts({key: found.names[key] for key in sure}, {value: "why"}, found.void | (shown.instance_id == value))
    truth = scene_module._truth(shown, depth, doubted, refined)
    ids = torch.stack(truth.instance_ids)
    void = [item for item in truth.objects if item.is_void]
    assert [item.box is not None for item in void] == [True, False] and len(truth.objects) == len(labelled.objects) + 1
    assert torch.equal(ids == void[0].instance_id, shown.instance_id == value)
    assert torch.equal(ids == void[1].instance_id, found.void)


@pytest.mark.slow
def test_colours_alone_are_labelled_by_a_map_of_what_the_network_sees():
    scene = scene_of(CANDIDATES)
    pipeline = PerceptionPipeline(build_engine(ModelConfig()), replace(CONFIG, model=ModelConfig()))
    found = label_scene(scene.without_depth(), pipeline, replace(TINY, steps=150, doubt=DoubtRules(alone=0.3)))
    truth, true = found.scene.known_truth(), torch.stack([cell_of(CANDIDATES, 4, 96, 72).ids[row] for row in range(4)])
    assert found.proposers == ("pan3d-mini",) and found.objects
    assert all(bool((item > 0).float().mean() > 0.8) for item in truth.depth)
    for item in found.objects:  # what is sure is an object, with outlines that are mostly right
        mask = torch.stack(truth.instance_ids) == item.instance_id
        assert float((true[mask] > 0).float().mean()) > 0.5


def test_recordings_that_cannot_be_labelled_are_refused():
    pipeline, scene = pipeline_with(), scene_of([BLUE])
    unposed = replace(scene, views=tuple(replace(view, cam_from_world=None) for view in scene.views))
    with pytest.raises(
        ValueError, match="scene table: cam_from_world: expected at least 2 views with intrinsics and pose, got 0"
    ):
        label_scene(unposed, pipeline, TINY)
    with pytest.raises(ValueError, match="scene table: views: expected at least 2 views .* got 1 of 1"):
        label_scene(replace(scene, views=scene.views[:1]), pipeline, TINY)
    with pytest.raises(ValueError, match="scene table: depth: expected it for the engine depth_clusters, got none"):
        label_scene(scene.without_depth(), pipeline, TINY)
    with pytest.raises(ValueError, match="objects: expected at least one in 4 views, got none: depth_clusters found nothing"):
        label_scene(scene_of([]), pipeline, TINY)
    odd = replace(scene, views=(*scene.views[:3], shrunk(scene.views[3], 64)))
    with pytest.raises(ValueError, match="images: expected one size in all views, got 64x48, 128x96"):
        label_scene(odd, pipeline, TINY)
    plain = [replace(view, image=torch.full_like(view.image, 0.4), depth=None) for view in scene.views]
    with pytest.raises(ValueError, match="support_height_m: expected the height that objects stand on, got none"):
        label_scene(replace(scene, views=tuple(plain), support_height_m=None), pipeline_with(config=UNKNOWN), TINY)


def darkened(view):
    return replace(view, image=torch.zeros_like(view.image))


def test_dark_pictures_are_refused_each_with_its_reason():
    scene = scene_of([BLUE])
    dark = replace(scene, views=(*map(darkened, scene.views[:3]), scene.views[3]))
    with pytest.raises(
        ValueError, match=r"scene table: images: expected at least 2 that are clear, got 1 of 4: view 0 \(cam0\): too"
    ):
        label_scene(dark, pipeline_with(), TINY)


def test_a_moved_object_is_void_and_a_dark_view_is_left_out_and_both_are_told():
    before, after = scene_of([BLUE, RED]), scene_of([replace(BLUE, center=ELSEWHERE.center), RED])
    dark = replace(darkened(before.views[0]), camera="night")
    found = label_scene(replace(before, views=(*before.views[:2], *after.views[2:], dark)), pipeline_with(), TINY)
    assert len(found.scene.views) == 4 and [item.name for item in found.objects] == ["thing"]
    moved, unclear = found.warnings
    assert moved.startswith("scene table: in 4 of 4 views something stands where others see through it")
    assert unclear == "scene table: 1 of 5 views are left out: view 4 (night): too dark (brightness 0.00 of at least 0.08)"
    truth, box = found.scene.known_truth(), cell_of([BLUE], 1, 96, 72).ids[0] == 1
    assert float(torch.isin(truth.instance_ids[0][box], torch.tensor(truth.void_ids)).float().mean()) > 0.5


def test_views_are_chosen_far_from_each_other_in_their_order():
    views = list(scene_of([BLUE]).views)
    assert spread_views(views, 9) == views
    doubled = [view for view in views for _ in range(3)]
    assert spread_views(doubled, 4) == [doubled[0], doubled[3], doubled[6], doubled[9]]
    assert posed_views("table", views) == views


def test_a_smaller_view_shows_the_same_places():
    view = scene_of([BLUE]).views[0]
    small = shrunk(view, 64)
    assert small.hw == (48, 64) and small.depth.shape == (48, 64) and shrunk(view, 128) is view
    assert float(small.intrinsics[0, 0]) == pytest.approx(float(view.intrinsics[0, 0]) / 2)
    assert set(small.depth.unique().tolist()) <= set(view.depth.unique().tolist())
