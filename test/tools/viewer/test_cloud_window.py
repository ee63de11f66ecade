"""Clouds in Open3D: ours as its objects, and our files read by it."""

import numpy as np
import pytest

from pan3d_core.pictures.cloud_files import Cloud, write_ply
from pan3d_tools import cli


def some_cloud() -> Cloud:
    rng = np.random.default_rng(0)
    normals = np.tile(np.array([0.0, 0.0, 1.0], np.float32), (50, 1))
    colors = rng.integers(0, 256, (50, 3)).astype(np.uint8)
    return Cloud(rng.random((50, 3), np.float32), normals, colors, np.repeat([0, 1], 25).astype(np.int32))


def test_open3d_gets_points_normals_and_colours():
    pytest.importorskip("open3d")
    from pan3d_core.pictures.palette import instance_color
    from pan3d_tools.viewer.cloud_window import open3d_cloud

    cloud = some_cloud()
    seen = open3d_cloud(cloud)
    assert np.allclose(np.asarray(seen.points), cloud.points)
    assert np.allclose(np.asarray(seen.normals), cloud.normals)
    assert np.allclose(np.asarray(seen.colors) * 255, cloud.colors)
    assert np.allclose(np.asarray(open3d_cloud(cloud, by_instance=True).colors)[-1] * 255, instance_color(1))


def test_open3d_reads_our_ply(tmp_path):
    open3d = pytest.importorskip("open3d")
    cloud = some_cloud()
    write_ply(tmp_path / "cloud.ply", cloud)
    read = open3d.io.read_point_cloud(str(tmp_path / "cloud.ply"))
    assert np.allclose(np.asarray(read.points), cloud.points)
    assert np.allclose(np.asarray(read.colors) * 255, cloud.colors)
    assert np.allclose(np.asarray(read.normals), cloud.normals)


def test_view_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "open3d", None)
    write_ply(tmp_path / "cloud.ply", some_cloud())
    assert cli.main(["view", str(tmp_path / "cloud.ply")]) == 2
    assert "the extra [view]" in capsys.readouterr().err


def test_view_refuses_a_file_that_is_no_cloud(tmp_path, capsys):
    (tmp_path / "cloud.ply").write_text("hello")
    assert cli.main(["view", str(tmp_path / "cloud.ply")]) == 2
    assert "pan3d view: error" in capsys.readouterr().err
