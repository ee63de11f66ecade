"""The training renderer: geometry of its images, visibility of its objects, shapes and words."""

import numpy as np
import pytest

from pan3d_sim.data.bank import ObjectBank
from pan3d_sim.objects.kinds import GRASPABLE_KINDS, HELD_OUT_KINDS, KINDS, rest_pose, sample_object
from pan3d_sim.objects.meshes import lathe, matrix_from_quat, quat_between_z, tube
from pan3d_sim.objects.vocabulary import DESCRIPTIONS, HELD_OUT_DESCRIPTIONS, PARAPHRASES, SYNONYMS_PER_KIND, vocabulary


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(3)
    bank = ObjectBank(rng, size=15)
    rendered = bank.render_scene(rng, 4)
    bank.close()
    return rendered


def test_views_reproject_into_each_other(scene):
    height, width = scene.depth.shape[1:]
    rows, columns = np.mgrid[0:height, 0:width]
    first, second = scene.cameras[:2]
    near = (scene.depth[1] > 0.1) & (scene.depth[1] < 2.0)
    pixels = np.stack([columns[near], rows[near], np.ones(near.sum())])
    points_cam = np.linalg.solve(second.intrinsics, pixels) * scene.depth[1][near]
    points_world = (points_cam.T - second.cam_from_world[:3, 3]) @ second.cam_from_world[:3, :3]
    seen_at, z = first.project(points_world)
    x, y = np.round(seen_at).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    error = np.abs(scene.depth[0][y[inside], x[inside]] - z[inside])
    assert np.median(error) < 0.004
    agree = scene.ids[0][y[inside], x[inside]] == scene.ids[1][near][inside]
    assert agree.mean() > 0.85


def test_table_depth_meets_the_support_plane(scene):
    camera, depth, ids = scene.cameras[0], scene.depth[0], scene.ids[0]
    rows, columns = np.nonzero((ids == 0) & (depth > 0) & (depth < 1.0))
    points_cam = np.linalg.solve(camera.intrinsics, np.stack([columns, rows, np.ones(len(rows))])) * depth[rows, columns]
    heights = ((points_cam.T - camera.cam_from_world[:3, 3]) @ camera.cam_from_world[:3, :3])[:, 2]
    assert abs(np.median(heights) - scene.support_height_m) < 0.002


def test_every_listed_object_is_visible_and_nothing_else(scene):
    assert set(np.unique(scene.ids)) - {0} == set(range(1, len(scene.objects) + 1))


def test_object_colour_is_what_the_image_shows(scene):
    sizes = [(scene.ids == k + 1).sum() for k in range(len(scene.objects))]
    k = int(np.argmax(sizes))
    pixels = scene.images[scene.ids == k + 1].astype(float)
    rgb = np.array(scene.objects[k].rgb)
    if rgb.max() - rgb.min() > 0.3:
        assert np.argmax(np.median(pixels, axis=0)) == np.argmax(rgb)


@pytest.mark.parametrize("kind", KINDS + HELD_OUT_KINDS)
def test_every_kind_rests_on_the_support(kind):
    rng = np.random.default_rng(1)
    obj = sample_object(rng, kind)
    for _ in range(4):
        position, quat = rest_pose(obj, rng, np.zeros(2), 0.3)
        assert abs((obj.vertices @ matrix_from_quat(quat).T + position)[:, 2].min() - 0.3) < 1e-9
    assert 0.02 < max(obj.extents_m) < 0.3
    assert obj.name == f"{obj.color_name} {kind}"


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind: expected one of box, can"):
        sample_object(np.random.default_rng(0), "unicorn")


def test_vocabulary_describes_every_kind_once():
    assert tuple(DESCRIPTIONS) == KINDS and set(GRASPABLE_KINDS) < set(KINDS)
    known = [name for names in DESCRIPTIONS.values() for name in names[:SYNONYMS_PER_KIND]]
    assert len(known) == len(set(known)), "two kinds share a known name"
    assert all(names[0] == kind for kind, names in DESCRIPTIONS.items())


def test_held_out_kinds_are_apart_and_have_words():
    assert len(HELD_OUT_KINDS) == 5 and not set(HELD_OUT_KINDS) & set(KINDS)
    assert tuple(HELD_OUT_DESCRIPTIONS) == HELD_OUT_KINDS
    words = {text.lower() for names in DESCRIPTIONS.values() for text in names}
    assert not words & {text.lower() for names in HELD_OUT_DESCRIPTIONS.values() for text in names}
    kinds_drawn = {sample_object(np.random.default_rng(seed)).kind for seed in range(200)}
    assert kinds_drawn == set(KINDS)


def test_paraphrases_are_never_trained_on():
    trained = {text.lower() for names in (*DESCRIPTIONS.values(), *HELD_OUT_DESCRIPTIONS.values()) for text in names}
    said = [text.lower() for names in PARAPHRASES.values() for text in names]
    assert not trained & set(said) and len(said) == len(set(said))
    assert set(PARAPHRASES) == set(KINDS + HELD_OUT_KINDS) and all(len(names) >= 5 for names in PARAPHRASES.values())
    with pytest.raises(ValueError, match="kinds: expected some of box"):
        vocabulary(["unicorn"])


def test_meshes_are_closed_and_face_outwards():
    sphere = lathe([(0, -1), *[(np.cos(a), np.sin(a)) for a in np.linspace(-1.4, 1.4, 15)], (0, 1)], 32)
    cylinder = tube(np.array([[0, 0, 0], [0, 0, 0.5], [0, 0, 1.0]]), 0.2, 32)
    for mesh, volume in ((sphere, 4 / 3 * np.pi), (cylinder, np.pi * 0.04)):
        a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
        assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6 == pytest.approx(volume, rel=0.03)
    direction = np.array([1.0, 2.0, -0.5])
    assert np.allclose(matrix_from_quat(quat_between_z(direction)) @ [0, 0, 1], direction / np.linalg.norm(direction))
