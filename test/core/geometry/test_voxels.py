import numpy as np

from pan3d_core.geometry.voxels import build_voxel_graph, components, group_by_tone


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
