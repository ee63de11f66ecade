import pytest
import torch

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.refine.labels.sources import EngineLabelSettings, in_label_space, labels_from_engine
from pan3d_eval.rendered.refined import label_figures
from pan3d_sim.data.refine_scene import REFINE_LABELS, RefineSceneSettings, render_refine_scene
from pan3d_sim.objects.kinds import KINDS

SMALL = RefineSceneSettings(num_views=6, width=64, height=48, num_objects=3, hold_out_every=3)


@pytest.fixture(scope="module")
def made():
    return render_refine_scene(3, SMALL)


def test_a_seed_gives_the_same_scene_and_another_seed_another_one(made):
    again, other = render_refine_scene(3, SMALL), render_refine_scene(4, SMALL)
    assert torch.equal(made.semantic_id, again.semantic_id)
    for mine, same, another in zip(made.scene.views, again.scene.views, other.scene.views, strict=True):
        assert torch.equal(mine.image, same.image) and torch.equal(mine.cam_from_world, same.cam_from_world)
        assert not torch.equal(mine.cam_from_world, another.cam_from_world)


def test_given_and_held_out_views_share_the_journey_between_them(made):
    assert made.held_out == (2, 5) and made.given == (0, 1, 3, 4)
    assert [view.camera for view in made.views(made.held_out)] == ["view_02", "view_05"]
    default = RefineSceneSettings()
    assert len(default.given) == 18 and default.held_out == (3, 7, 11, 15, 19, 23)
    assert RefineSceneSettings(hold_out_every=0).held_out == ()


def test_every_object_is_seen_and_has_its_kind_as_class(made):
    semantic_id, instance_id = made.truth(tuple(range(6)))
    assert semantic_id.shape == instance_id.shape == (6, 48, 64)
    assert {item.instance_id for item in made.scene.truth.objects} == set(instance_id.unique().tolist()) - {0} == {1, 2, 3}
    for item in made.scene.truth.objects:
        classes = semantic_id[instance_id == item.instance_id].unique().tolist()
        assert classes == [item.class_id] and KINDS[item.class_id] in item.name
    assert REFINE_LABELS.is_thing == (True,) * len(KINDS) + (False, False)


def test_table_ends_at_its_edges_and_floor_lies_below(made):
    table, floor = (REFINE_LABELS.names.index(name) for name in ("table", "floor"))
    views = made.scene.views
    points = unproject_depth(
        *(torch.stack([getattr(v, key) for v in views]) for key in ("depth", "intrinsics", "cam_from_world"))
    )
    on_table, on_floor = points[made.semantic_id == table], points[made.semantic_id == floor]
    assert len(on_table) > 1000 and len(on_floor) > 20
    assert float(on_table[:, :2].abs().max()) < 0.605 and float(on_table[:, 2].min()) > -0.045
    assert float((on_floor[:, 2] + 0.75).abs().max()) < 0.03


def test_the_camera_goes_around_the_table_and_looks_at_its_middle(made):
    eyes = invert_rigid(torch.stack([view.cam_from_world for view in made.scene.views]))[:, :3, 3]
    turns = torch.atan2(eyes[:, 1], eyes[:, 0])
    steps = torch.remainder(turns.roll(-1) - turns, 2 * torch.pi)
    assert torch.allclose(steps, torch.full((6,), 2 * torch.pi / 6), atol=1e-4)
    lens = made.scene.views[0].intrinsics
    for view in made.scene.views:
        pixel = lens @ (view.cam_from_world[:3, :3] @ torch.tensor([0.0, 0.0, 0.03]) + view.cam_from_world[:3, 3])
        assert torch.allclose(pixel[:2] / pixel[2], torch.tensor([31.5, 23.5]), atol=1e-3)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"num_views": 0}, "num_views, width, height: expected at least 1"),
        ({"hold_out_every": 1}, "hold_out_every: expected 0 or at least 2, got 1"),
        ({"arc_deg": 400.0}, "arc_deg: expected more than 0"),
    ],
)
def test_settings_that_make_no_scene_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        RefineSceneSettings(**wrong)


def test_labels_of_the_embedded_engine_are_right_in_each_view_and_no_object_is_one_over_all_views():
    shown = render_refine_scene(1004, RefineSceneSettings(num_views=8, width=128, height=96, num_objects=4, hold_out_every=0))
    engine = build_engine(ModelConfig(threads=1))
    wanted = EngineLabelSettings(classes=shown.labels.names)
    found = labels_from_engine(engine, shown.scene.views, shown.scene.support_height_m, wanted)
    result = label_figures(in_label_space(found, shown.labels), shown.truth(shown.given))
    assert result.per_view_pq > 0.5 and result.accuracy > 0.85
    assert result.pq < 0.4 and result.identity_switches > 20
