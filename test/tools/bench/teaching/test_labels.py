"""How the benchmark of labels counts."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
from boxes_to_teach import CANDIDATES, cell_of
from labelled_boxes import cell, labelled_scene

from pan3d_core.labelling import LabelledScene
from pan3d_core.labels import LabelSpace
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth
from pan3d_sim.cameras.rig import RigCamera
from pan3d_sim.data.bank import RenderedScene
from pan3d_tools.bench.teaching.labels import Recordings, judged_labels, known_scene, measured
from pan3d_tools.bench.teaching.person import CLICK_S, LOOK_S, clicked


def test_labels_are_judged_view_by_view_and_void_is_neither():
    cell = cell_of(CANDIDATES, 4, 96, 72)
    objects = tuple(SceneObject(number, "block", 0) for number in (1, 2, 3))
    truth = SceneTruth(tuple(cell.ids), tuple(view.depth for view in cell.views), objects, LabelSpace.things(("block",)))
    scene = Scene("table", tuple(cell.views), truth, 0.0)
    right = judged_labels(LabelledScene(scene, (), 0.0, ("a",)), truth)
    assert right.counts.hits.tolist() == [4, 12] and right.named == 3 and right.wrong == 0
    doubted = replace(truth, objects=(*objects[:2], SceneObject(3, "void")))
    found = judged_labels(LabelledScene(replace(scene, truth=doubted), ("object 3: why",), 0.1, ("a",)), truth)
    assert found.counts.hits.tolist() == [4, 8] and found.counts.missed.tolist() == [0, 4] and found.doubted == 1
    assert found.counts.spurious.tolist() == [0, 0] and torch.stack(doubted.instance_ids).max() == 3


def test_a_person_puts_right_what_the_page_shows():
    names = ("red block", "blue block", "green block", "grey block")
    objects = tuple(SceneObject(number, name, number - 1) for number, name in enumerate(names, start=1))
    scene = labelled_scene()
    truth = SceneTruth(tuple(cell().ids), scene.truth.depth, objects, LabelSpace.things(names))
    labelled = LabelledScene(scene, ("object 4: why",), 0.1, ("a",))
    before = judged_labels(labelled, truth)
    person = clicked(labelled, truth)
    after = judged_labels(person.found, truth)
    assert before.counts.hits[1] < 16 and after.counts.hits.tolist() == [4, 16] and after.named == 4 and after.wrong == 0
    assert after.counts.spurious.tolist() == [0, 0]
    # Five objects and two pieces are looked at; one is split by three clicks, one merged, four named (two each), one is table.
    assert (person.objects, person.clicks) == (7, 13) and person.seconds == 7 * LOOK_S + 13 * CLICK_S
    assert 0 < person.found.void_share < before.void_share + 0.1


def test_depth_is_measured_by_the_camera_that_is_asked_for():
    scene = Scene("table", tuple(cell_of(CANDIDATES, 1, 96, 72).views))
    noisy = measured(scene, "active_stereo").views[0].depth
    assert measured(scene, "exact") is scene and not torch.equal(noisy, scene.views[0].depth)


def test_what_is_rendered_becomes_a_scene_with_its_truth():
    cell = cell_of(CANDIDATES, 2, 96, 72)
    cameras = [
        RigCamera(view.camera, view.intrinsics.double().numpy(), view.cam_from_world.double().numpy(), 96, 72)
        for view in cell.views
    ]
    images = np.stack([(255 * view.image).byte().permute(1, 2, 0).numpy() for view in cell.views])
    depth, ids = np.stack([view.depth.numpy() for view in cell.views]), cell.ids.numpy().astype(np.uint8)
    shown = [SimpleNamespace(spec=SimpleNamespace(kind=kind, name=f"red {kind}")) for kind in ("mug", "jug", "mug")]
    scene = known_scene("table", RenderedScene(images, depth, ids, cameras, shown, 0.02))
    truth = scene.known_truth()
    assert truth.labels.names == ("mug", "jug") and [item.class_id for item in truth.objects] == [0, 1, 0]
    assert torch.equal(torch.stack(truth.instance_ids), cell.ids) and scene.support_height_m == 0.02
    assert torch.allclose(scene.views[1].cam_from_world, cell.views[1].cam_from_world)
    assert Recordings(1, 24, "exact").about.startswith("procedural, 6 to a scene")
