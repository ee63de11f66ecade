"""Tests of the conversion of models: size, axes, triangles, textures, resting poses."""

import numpy as np
import pytest
from modelled_objects import picture, write_catalogue
from scipy.spatial import ConvexHull, Delaunay

from pan3d_sim.library.catalogue import open_catalogue, read_catalogue
from pan3d_sim.library.convert import MAX_TEXTURE, prepare
from pan3d_sim.library.obj_files import parse_obj
from pan3d_sim.library.pieces import convex_pieces
from pan3d_sim.library.simplify import Triangles, simplified
from pan3d_sim.objects.meshes import lathe, matrix_from_quat
from pan3d_sim.objects.rest_poses import stable_poses


def _prepared(path, name="cube", longest_m=None):
    with open_catalogue(path) as archive:
        return prepare(archive, read_catalogue(archive)[name], longest_m)


def test_a_model_gets_its_real_size_stands_on_the_plane_and_has_a_part_for_each_material(catalogue):
    item = _prepared(catalogue)
    low, high = item.hull.min(0), item.hull.max(0)
    assert np.allclose(high - low, [0.10, 0.30, 0.20], atol=1e-6) and np.allclose(low, [-0.05, -0.15, 0.0], atol=1e-6)
    printed, painted = item.parts  # the largest first
    assert painted.texture is None and np.allclose(painted.rgb, [0.8, 0.1, 0.1]) and painted.specular == 0.5
    assert printed.texture.shape == (4, 8, 3) and np.allclose(printed.rgb, [0, 0, 250 / 255])
    assert printed.texcoords.shape == (len(printed.vertices), 2) and printed.texcoords.min() >= 0 <= printed.texcoords.max() <= 1
    assert np.allclose(_prepared(catalogue, longest_m=0.15).hull.max(0), [0.025, 0.075, 0.10], atol=1e-6)


def test_open_parts_are_seen_from_both_sides_and_closed_things_from_outside_only(catalogue):
    item = _prepared(catalogue)
    assert [len(part.faces) for part in item.parts] == [8, 16]  # neither part is closed by itself


def test_a_texture_of_any_size_is_taken_and_a_damaged_one_gives_the_plain_colour(tmp_path, caplog):
    large = _prepared(write_catalogue(tmp_path / "large.sh3f", texture=picture((3000, 200))))
    assert max(large.parts[0].texture.shape) == MAX_TEXTURE
    damaged = _prepared(write_catalogue(tmp_path / "damaged.sh3f", texture=picture()[:40]))
    assert damaged.parts[0].texture is None and damaged.parts[0].rgb == (1.0, 1.0, 1.0)
    assert "cube: a part has its plain colour" in caplog.text


@pytest.mark.parametrize(("name", "reason"), [("flat", "expected a solid"), ("broken", "line 1: expected 'v' with numbers")])
def test_what_has_no_volume_or_no_numbers_is_refused_by_name(catalogue, name, reason):
    with pytest.raises(ValueError, match=reason):
        _prepared(catalogue, name)


def test_a_box_rests_on_its_six_sides_and_mostly_on_the_largest():
    corners = np.array([[x, y, z] for x in (0, 0.02) for y in (0, 0.1) for z in (0, 0.2)])
    quats, weights = stable_poses(corners, corners.mean(0))
    assert len(quats) == 6 and weights.sum() == pytest.approx(1.0) and weights[:2].sum() > 0.8
    for quat in quats:
        heights = (corners @ matrix_from_quat(quat).T)[:, 2]
        assert (heights < heights.min() + 1e-6).sum() == 4


def test_a_thing_does_not_rest_on_a_face_beside_its_centre_of_mass():
    corners = np.array([[x, y, z] for x in (0, 0.1) for y in (0, 0.1) for z in (0, 0.1)])
    quats, _ = stable_poses(corners, np.array([0.05, 0.05, 0.01]))
    leaning = np.concatenate([corners, [[0.3, 0.05, 0.11], [0.3, 0.05, 0.1]]])
    poses, _ = stable_poses(leaning, np.array([0.2, 0.05, 0.1]))
    upright = [abs(quat[0]) > 0.999 for quat in poses]
    assert len(quats) == 6 and not any(upright)


def test_round_things_rest_although_no_face_is_large():
    ball = lathe([(0, -0.05), *((0.05 * np.cos(a), 0.05 * np.sin(a)) for a in np.linspace(-1.5, 1.5, 40)), (0, 0.05)], 60)
    assert len(stable_poses(ball.vertices, np.array([0.0004, 0.0003, 0.0002]))[0]) >= 1


def test_fewer_triangles_keep_the_shape_and_sharp_edges():
    ball = lathe([(0, -1), *((np.cos(a), np.sin(a)) for a in np.linspace(-1.55, 1.55, 120)), (0, 1)], 200)
    mesh = Triangles(ball.vertices, ball.faces, np.zeros((len(ball.faces), 3, 2)), np.zeros(len(ball.faces), int))
    fewer = simplified(mesh, 3000)
    assert 1000 < len(fewer.corners) <= 3000 < len(ball.faces)
    assert np.abs(np.linalg.norm(fewer.vertices, axis=1) - 1).max() < 0.03
    steps = np.linspace(0, 1, 30)
    sheet = np.array([[x, y, 0.0] for x in steps for y in steps] + [[x, y, 1.0] for x in steps for y in steps])
    grid = [(i * 30 + j, i * 30 + j + 1, i * 30 + j + 30) for i in range(29) for j in range(29)]
    grid += [(a + 900, b + 900, c + 900) for a, b, c in grid]
    flat = simplified(Triangles(sheet, np.array(grid), np.zeros((len(grid), 3, 2)), np.zeros(len(grid), int)), 300)
    assert np.minimum(np.abs(flat.vertices[:, 2]), np.abs(flat.vertices[:, 2] - 1)).max() < 1e-6


@pytest.mark.parametrize(
    "text", ["", "v 0 0 0\n", "v 0 0 0\nv 1 0 0\nf 1 2 9\n", "v 0 0 0\nf 0 0 0\n", "v nan 0 0\nv 1 0 0\nv 1 1 0\nf 1 2 3\n"]
)
def test_files_without_usable_triangles_are_refused(text):
    with pytest.raises(ValueError, match="model: expected triangles|expected 'f' with numbers"):
        parse_obj(text, lambda name: "")


def test_a_catalogue_without_sizes_is_refused(tmp_path):
    archive = open_catalogue(write_catalogue(tmp_path / "a.sh3f", without_sizes=True))
    with archive, pytest.raises(ValueError, match="expected model, id and sizes in every row"):
        read_catalogue(archive)
    (tmp_path / "b.sh3f").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"b\.sh3f: expected a catalogue of models"):
        open_catalogue(tmp_path / "b.sh3f")


def test_a_bowl_is_cut_into_pieces_that_leave_it_hollow_and_a_box_stays_whole():
    rng = np.random.default_rng(0)
    box = rng.uniform(-0.05, 0.05, (3000, 3))
    box[np.arange(3000), rng.integers(3, size=3000)] = 0.05 * rng.choice([-1, 1], 3000)
    assert len(convex_pieces(box)) == 1
    bowl = rng.normal(size=(3000, 3))
    bowl = 0.06 * bowl / np.linalg.norm(bowl, axis=1, keepdims=True) * [1, 1, -1]
    bowl = bowl[bowl[:, 2] < 0]
    pieces = convex_pieces(bowl)
    whole = ConvexHull(bowl)
    assert 4 <= len(pieces) <= 16 and sum(ConvexHull(piece).volume for piece in pieces) < 0.6 * whole.volume
    assert all(Delaunay(piece).find_simplex([0.0, 0.0, -0.02]) < 0 for piece in pieces), "the bowl is filled"


def test_a_sheet_becomes_a_thin_solid():
    (piece,) = convex_pieces(np.column_stack([np.random.default_rng(0).uniform(0, 0.1, (200, 2)), np.zeros(200)]))
    assert np.ptp(piece[:, 2]) == pytest.approx(0.002) and ConvexHull(piece).volume > 0
