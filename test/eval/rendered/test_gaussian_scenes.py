"""Which views are context, where novel cameras stand for an engine with a world of its own, and what is table and floor."""

import json
from dataclasses import replace

import pytest
import torch
from raycast_scene import HEIGHT, LABELS, TABLE_SCENE, WIDTH, Ball, camera_ring, cast

from pan3d_core.config import PreprocessConfig
from pan3d_core.engines import ENGINES, EngineFacts
from pan3d_core.engines.depth_clusters import DepthClusters
from pan3d_core.geometry.alignment import Similarity
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.geometry.transforms import look_at
from pan3d_core.language.encoders import TEXT_ENCODERS
from pan3d_core.language.text_space import TextSpace
from pan3d_core.structures import CameraView, Gaussians, InstanceSet, Reconstruction
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.scan_truth import RegionTruth
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth, write_scene
from pan3d_eval.execution import Failure, run_items
from pan3d_eval.rendered.gaussian_scenes import (
    GaussianEvaluation,
    GaussianProtocol,
    GaussianViewEvaluator,
    ordered_around,
    scores_of,
)
from pan3d_eval.rendered.pictures import gaussian_view_picture, in_true_numbers
from pan3d_eval.rendered.true_views import tabletop_truth
from pan3d_tools import cli

NAMES = (*LABELS.names, "table", "floor")
SHUFFLED = (3, 0, 2, 4, 1)
RING = camera_ring(9, arc_deg=70.0)[::2]  # all at one height
PREPROCESS = PreprocessConfig(height=HEIGHT, width=WIDTH, mode="cover", resample="area")


def encode(texts):
    """One axis per word."""
    return torch.stack([torch.eye(4)[NAMES.index(text)] for text in texts])


def table_scene(cameras=None):
    """Five views of four objects in a random order."""
    made = cast(TABLE_SCENE, RING[list(SHUFFLED)] if cameras is None else cameras)
    objects = tuple(SceneObject(k, "thing", 0 if isinstance(item, Ball) else 1) for k, item in enumerate(made.objects, start=1))
    truth = SceneTruth(tuple(made.ids), tuple(made.depth), objects, LABELS)
    return Scene("table", tuple(made.views), truth, 0.0)


class TrueGaussians:
    """An engine that knows the truth of the views it is given: a Gaussian on every pixel, features of what it shows.

    Without poses its world is turned, moved and three times as large.
    """

    facts = EngineFacts(PREPROCESS, LABELS, text_space=TextSpace(torch.eye(4), torch.zeros(4), "made up"))

    def __init__(self, scene):
        self.scene, self.seen = scene, None

    def __call__(self, views):
        self.seen = views
        index = [next(k for k, view in enumerate(self.scene.views) if view.camera == name) for name in views.cameras]
        true_cameras = torch.stack([self.scene.views[k].cam_from_world for k in index])
        depth = torch.stack([self.scene.truth.depth[k] for k in index])
        ids = torch.stack([self.scene.truth.instance_ids[k] for k in index]).flatten()
        kinds = torch.tensor([2, *(item.class_id for item in self.scene.truth.objects)])
        points = unproject_depth(depth, views.intrinsics, true_cameras).flatten(0, 2)
        size = (0.5 * depth / views.intrinsics[0, 0, 0]).flatten()[:, None].expand(-1, 3)
        rotation = (
            torch.eye(3) if views.cam_from_world is not None else matrix_from_quat_xyzw(torch.tensor([0.1, 0.5, -0.3, 0.8]))
        )
        own = Similarity(1.0, rotation, torch.zeros(3))
        if views.cam_from_world is None:
            own = replace(own, scale=3.0, translation=torch.tensor([0.4, -2.0, 1.0]))
        gaussians = Gaussians(
            means=own.apply(points),
            scales=own.scale * size,
            quats_wxyz=torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(len(points), 4),
            opacities=torch.full((len(points),), 0.95),
            colors=views.images.movedim(1, -1).flatten(0, 2),
            semantic_features=torch.eye(4)[kinds[ids]],
            instance_features=torch.eye(5)[ids],
        )
        cameras = own.apply_to_cameras(true_cameras)
        found = Reconstruction(own.scale * depth, depth, views.intrinsics, cameras, False, gaussians=gaussians)
        return found, InstanceSet(depth.new_zeros(0, *depth.shape), None, depth.new_zeros(0), LABELS)


@pytest.fixture(scope="module")
def scene():
    return table_scene()


@pytest.fixture(scope="module")
def shown(scene):
    """With poses and without: what was shown, and the engine that was asked."""
    found = {}
    for use_poses in (True, False):
        engine = TrueGaussians(scene)
        found[use_poses] = GaussianViewEvaluator(engine, encode, GaussianProtocol(use_poses)).show(scene), engine
    return found


@pytest.mark.parametrize("use_poses", [True, False])
def test_the_engine_sees_every_second_view_of_the_arc_and_no_truth(shown, use_poses):
    seen = shown[use_poses][1].seen
    assert seen.cameras == tuple(f"cam{SHUFFLED.index(place)}" for place in (0, 2, 4))
    assert seen.depth is None and (seen.cam_from_world is not None) == use_poses and seen.support_height_m == 0.0


def test_true_gaussians_are_good_and_the_same_in_any_world(shown):
    tables = []
    for own, _ in shown.values():
        assert own.truth.is_novel.tolist() == [False, True, False, True, False] and own.camera_residual < 1e-5
        evaluation = GaussianEvaluation((scores_of(own),))
        tables.append(evaluation.figures())
        for kind, images in (("context", 3), ("novel", 2)):
            figures = evaluation.of(kind)
            # Pixels as balls are thicker than the small objects' outlines; every object is found.
            assert min(figures.semantic_miou, figures.instance_miou, figures.pq) > 0.7 and figures.semantic_accuracy > 0.96
            assert figures.instance_f > 0.99 and figures.psnr_db > 20
            assert figures.images == images and tables[-1][f"{kind} pq"] == figures.pq
        # In the novel views corners of the table are unknown, which counts as one more object.
        assert evaluation.of("context").rq == 1.0 and 0.9 < evaluation.of("novel").rq < 1.0
        assert tables[-1]["num_gaussians"] == 3 * HEIGHT * WIDTH and tables[-1]["scenes"] == 1
    same, again = ({name: value for name, value in table.items() if not name.endswith("_s")} for table in tables)
    assert same == pytest.approx(again, abs=2e-3)


def test_the_true_world_is_kept_where_poses_are_given(scene, shown):
    found = shown[True][0].truth.cam_from_world
    expected = torch.stack([view.cam_from_world for view in ordered_around(scene).views])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert not torch.allclose(shown[False][0].truth.cam_from_world, expected, atol=0.1)


def test_a_camera_in_the_wrong_place_is_seen_in_the_figures(scene):
    """The true Gaussians, but cameras that say another place: novel views are put beside what they show."""

    class Shifted(TrueGaussians):
        def __call__(self, views):
            found, instances = super().__call__(views)
            moved = found.cam_from_world.clone()
            moved[:, 0, 3] += 0.05
            return replace(found, cam_from_world=moved), instances

    figures = GaussianEvaluation((GaussianViewEvaluator(Shifted(scene), encode)(scene),)).of("novel")
    assert figures.semantic_miou < 0.6 and figures.instance_f < 0.9


def test_views_are_ordered_around_what_they_look_at():
    scene = ordered_around(table_scene())
    poses = torch.stack([view.cam_from_world for view in scene.views])
    assert torch.equal(poses, RING)
    assert torch.equal(scene.truth.depth[3], cast(TABLE_SCENE, RING).depth[3])
    # An arc on the other side, across the cut of the angle at 180 degrees.
    turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0]))
    behind = ordered_around(table_scene((RING @ turn)[list(SHUFFLED)]))
    assert torch.equal(torch.stack([view.cam_from_world for view in behind.views]), RING @ turn)


def down_looking():
    """A camera 1 m above a table; 4 rows each of its 16 x 16 image: object, table, 0.4 m below it, no depth."""
    camera = look_at(torch.tensor([0.0, 0.0, 1.3]), torch.zeros(3), torch.tensor([1.0, 0.0, 0.0]))
    intrinsics = torch.tensor([[160.0, 0.0, 7.5], [0.0, 160.0, 7.5], [0.0, 0.0, 1.0]])
    depth = torch.tensor([0.9, 1.0, 1.4, 0.0]).repeat_interleave(4)[:, None].expand(16, 16).contiguous()
    ids = torch.zeros(16, 16, dtype=torch.int64)
    ids[:4], ids[:4, 12:] = 2, 5
    views = tuple(CameraView(torch.rand(3, 16, 16), intrinsics, camera, depth, camera=f"cam{k}") for k in range(4))
    objects = (SceneObject(2, "box", 1), SceneObject(5, "something", -1))
    return Scene("down", views, SceneTruth((ids,) * 4, (depth,) * 4, objects, LABELS), 0.3)


def test_table_and_floor_by_true_depth():
    scene = down_looking()
    batch = preprocess(scene.views, PreprocessConfig(height=16, width=16, mode="cover"), scene.support_height_m)
    truth, labels = tabletop_truth(scene, batch)
    assert labels.names == NAMES and labels.is_thing == (True, True, False, False)
    assert truth.semantic_id[0, 1::4, 1::4].tolist() == [[1, 1, 1, -1], [2] * 4, [3] * 4, [-1] * 4]
    assert truth.instance_id[0, 1::4, 1::4].tolist() == [[2, 2, 2, 5], [6] * 4, [7] * 4, [0] * 4]
    higher = replace(scene, support_height_m=0.36)  # 0.06 m above what is seen
    assert tabletop_truth(higher, batch)[0].semantic_id[0, 5].tolist() == [3] * 16


def test_other_words_for_what_stands_below_the_objects():
    scene = down_looking()
    batch = preprocess(scene.views, PreprocessConfig(height=16, width=16, mode="cover"), scene.support_height_m)
    truth, labels = tabletop_truth(scene, batch, ("conveyor", "hall"))
    assert labels.names == (*LABELS.names, "conveyor", "hall")
    assert torch.equal(truth.semantic_id, tabletop_truth(scene, batch)[0].semantic_id)


def test_a_data_set_s_own_names_of_walls_and_floors(scene):
    """Regions as scans have them: every pixel is named, no support is asked for, and views keep the order of the recording."""
    ids = tuple(torch.where(item > 0, item + 10, 1).int() for item in scene.truth.instance_ids)
    objects = tuple(replace(item, instance_id=item.instance_id + 10) for item in scene.truth.objects)
    names = {1: "floor", **{item.instance_id: LABELS.names[item.class_id] for item in objects}}
    truth = SceneTruth(tuple(item.long() for item in ids), scene.truth.depth, objects, LABELS, regions=RegionTruth(ids, names))
    room = replace(scene, truth=truth, support_height_m=None)
    shown = GaussianViewEvaluator(TrueGaussians(scene), encode, GaussianProtocol(True)).show(room)
    assert shown.labels.names == ("floor", *(LABELS.names[k] for k in dict.fromkeys(o.class_id for o in objects)))
    assert shown.labels.is_thing == (False, True, True) and shown.truth.is_novel.tolist() == [False, True] * 2 + [False]
    assert int(shown.truth.semantic_id.min()) == 0 and torch.equal(shown.truth.instance_id[1], ids[1].long())


def test_scenes_that_say_too_little_are_refused():
    scene, engine = down_looking(), TrueGaussians(table_scene())
    evaluator = GaussianViewEvaluator(engine, encode)
    bare = replace(scene.views[0], cam_from_world=None)
    for message, changed in {
        "scene down: expected true instances": replace(scene, truth=None),
        "the height of the support": replace(scene, support_height_m=None),
        "scene down: expected at least 4 views, got 3": replace(scene, views=scene.views[:3]),
        "expected pose and intrinsics of every view": replace(scene, views=(bare, *scene.views[1:])),
        "expected the true depth of every view": replace(scene, truth=replace(scene.truth, depth=(None,) * 4)),
    }.items():
        with pytest.raises(ValueError, match=message):
            evaluator(changed)
    outcomes = run_items(lambda: evaluator, [replace(scene, truth=None)])
    assert isinstance(outcomes[0], Failure) and outcomes[0].name == "down"


def test_engines_without_gaussians_are_refused(scene):
    class Plain(TrueGaussians):
        def __call__(self, views):
            found, instances = super().__call__(views)
            return replace(found, gaussians=None), instances

    with pytest.raises(ValueError, match="engine: expected Gaussians in its reconstruction, got none"):
        GaussianViewEvaluator(Plain(scene), encode)(scene)
    with pytest.raises(ValueError, match="engine: expected one with a text_space for its Gaussians, got DepthClusters"):
        GaussianViewEvaluator(DepthClusters(), encode)


def test_pictures_show_segments_in_the_colours_of_what_they_are(shown):
    truth = torch.tensor([[[1, 1, 2, 2, 0]]])
    # Segment 4 is object 2, 3 is object 1, 1 is more of object 1, and 2 lies where nothing is known.
    assert in_true_numbers(torch.tensor([[[3, 3, 4, 4, 2]]]), truth).tolist() == [[[1, 1, 2, 2, 3]]]
    assert in_true_numbers(torch.tensor([[[3, 3, 3, 4, 0]]]), truth).tolist() == [[[1, 1, 1, 2, 0]]]
    assert in_true_numbers(torch.tensor([[[3, 1, 2, 2, 2]]]), truth).tolist()[0][0][2:] == [2, 2, 2]
    own, _ = shown[True]
    picture = gaussian_view_picture(own, 40)
    height = round(40 * HEIGHT / WIDTH) + 24 + 3
    assert picture.shape == (6 * height + 3, 5 * 43 + 3, 3)
    # The true and the read instances of the first view agree nearly everywhere.
    true_row, read_row = (picture[3 + row * height :][: height - 27, 3:43] for row in (4, 5))
    assert (true_row == read_row).all(-1).mean() > 0.9


class WordAxes:
    """`encode` as a text encoder."""

    dim = 4

    def encode(self, texts):
        return encode(texts)


@pytest.mark.parametrize("readout", ["cells", "nothing"])
def test_command_line(scene, tmp_path, monkeypatch, capsys, readout):
    """Figures, pictures of what was asked for, and what failed by name and exit code."""
    write_scene(tmp_path / "scenes" / "good", scene)
    write_scene(tmp_path / "scenes" / "short", replace(scene, name="short", views=scene.views[:3]))
    monkeypatch.setitem(ENGINES, "true", lambda config: TrueGaussians(scene))
    monkeypatch.setitem(TEXT_ENCODERS, "made up", lambda weights: WordAxes())
    out = tmp_path / "out"
    options = ["--engine", "true", "--readout", readout, "--no-poses", "--pictures", "1", "-o", str(out)]
    assert cli.main(["eval-gaussians", str(tmp_path / "scenes"), *options]) == 1
    shown, content = capsys.readouterr(), json.loads((out / "figures.json").read_text())
    assert "failed: short: scene short: expected at least 4 views, got 3" in shown.err
    assert content["run"] | {"command": ""} == {"engine": "true", "poses": False, "readout": readout, "command": ""}
    if readout == "cells":
        assert content["figures"]["novel instance_f"] > 0.99 and "novel instance_f" in shown.out
        assert list(content["failures"]) == ["short"] and [path.name for path in out.glob("*.png")] == ["scene_0.png"]
    else:
        assert "readout: expected one of pixels, cells, got 'nothing'" in shown.err and not list(out.glob("*.png"))
