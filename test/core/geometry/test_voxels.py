import numpy as np
import pytest

from pan3d_core.geometry.voxels import build_voxel_graph, components, group_by_tone, split_touching


def test_components_join_through_corners_and_not_over_gaps():
    line = np.stack([np.arange(10) * 0.01] * 3, axis=1)  # a diagonal: voxels meet at corners only
    far = line + [0.2, 0.0, 0.0]
    graph = build_voxel_graph(np.concatenate([line, far]), 0.01)
    group = components(len(graph.counts), graph.edges)[graph.voxel_of_point]
    assert len(set(group[:10])) == 1 and len(set(group[10:])) == 1 and group[0] != group[10]


def test_rows_at_the_border_do_not_wrap_around():
    points = np.array([[0.005, 0.095, 0.095], [0.015, 0.005, 0.005]])
    graph = build_voxel_graph(points, 0.01)
    assert len(graph.counts) == 2 and len(graph.edges) == 0


def test_voxel_means_and_counts():
    points = np.array([[0.001, 0.0, 0.0], [0.003, 0.0, 0.0], [0.051, 0.0, 0.0]])
    graph = build_voxel_graph(points, 0.01)
    assert graph.counts.tolist() == [2, 1]
    np.testing.assert_allclose(graph.centers[:, 0], [0.002, 0.051])
    np.testing.assert_allclose(graph.mean_of(np.array([[2.0], [4.0], [5.0]])), [[3.0], [5.0]])


def test_no_points_is_no_voxel():
    graph = build_voxel_graph(np.zeros((0, 3)), 0.01)
    assert len(graph.counts) == 0 and components(0, graph.edges).shape == (0,)


def test_a_gradient_does_not_chain_two_colours_together():
    tones = np.linspace(0.0, 1.0, 21)[:, None].repeat(3, axis=1)
    edges = np.stack([np.arange(20), np.arange(1, 21)], axis=1)
    group = group_by_tone(tones, edges, 0.3)
    assert len(set(group)) > 1 and group[0] != group[20]
    assert (group_by_tone(tones * 0.1, edges, 0.3) == 0).all()


def painted_fold(degrees: float, second_color: tuple[float, float, float]):
    """Voxels of a sheet that is folded upwards by an angle at x = 0, its second half painted; graph, colours and normals."""
    along, across = np.meshgrid(np.arange(-0.1, 0.1, 0.0023), np.arange(0.0, 0.1, 0.0023), indexing="ij")
    x, y = along.ravel(), across.ravel()
    angle = np.radians(degrees)
    rises = x > 0
    points = np.stack([np.where(rises, x * np.cos(angle), x), y, np.where(rises, x * np.sin(angle), 0.0)], axis=1)
    normals = np.where(rises[:, None], [-np.sin(angle), 0.0, np.cos(angle)], [0.0, 0.0, 1.0])
    colors = np.where(rises[:, None], second_color, (0.8, 0.1, 0.1))
    graph = build_voxel_graph(points, 0.005)
    return graph, graph.mean_of(colors), graph.mean_of(normals), graph.centers[:, 0] > 0


@pytest.mark.parametrize(
    ("degrees", "color", "parts"),
    [
        (60.0, (0.1, 0.1, 0.8), 2),  # a blue box beside a red one
        (60.0, (0.8, 0.1, 0.1), 1),  # a mug and its handle
        (0.0, (0.1, 0.1, 0.8), 1),  # a label on a box
        (3.0, (0.1, 0.1, 0.8), 1),  # a label on a box that is measured badly
        (-60.0, (0.1, 0.1, 0.8), 1),  # a lid's edge
    ],
)
def test_touching_things_are_parted_where_colour_changes_and_the_surface_folds_inwards(degrees, color, parts):
    graph, colors, normals, second = painted_fold(degrees, color)
    group = split_touching(graph, colors, normals / np.linalg.norm(normals, axis=1, keepdims=True), color_step=0.3, min_voxels=20)
    assert len(set(group)) == parts
    if parts == 2:
        assert np.mean((group == group[second][0]) == second) > 0.97


def test_a_small_patch_of_another_colour_joins_what_it_lies_on():
    graph, colors, normals, second = painted_fold(60.0, (0.8, 0.1, 0.1))
    patch = second & (graph.centers[:, 1] < 0.02) & (graph.centers[:, 0] < 0.02)
    assert 10 < patch.sum() < 60
    colors = np.where(patch[:, None], (0.1, 0.1, 0.8), colors)
    assert len(set(split_touching(graph, colors, normals, color_step=0.3, min_voxels=60))) == 1
