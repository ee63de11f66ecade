"""3D Gaussians as PLY: what other programs read, and what comes back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussian_boxes import boxes_scene

from pan3d_core.gaussians.files import read_scene_file, write_scene_file
from pan3d_core.gaussians.ply import read_gaussian_ply, write_gaussian_ply
from pan3d_core.geometry.spherical_harmonics import harmonic_colors
from pan3d_core.rendering.rasterizer import rasterize
from pan3d_core.structures import Gaussians


def some_gaussians(count: int, degree: int) -> Gaussians:
    noise = torch.Generator().manual_seed(1)
    colors = torch.randn(count, (degree + 1) ** 2, 3, generator=noise)
    return Gaussians(
        means=torch.randn(count, 3, generator=noise),
        scales=torch.rand(count, 3, generator=noise) + 1e-4,
        quats_wxyz=torch.randn(count, 4, generator=noise),
        opacities=torch.rand(count, generator=noise) * 0.98 + 0.01,
        colors=colors,
    )


@pytest.mark.parametrize(("count", "degree"), [(0, 0), (1, 0), (40, 1), (40, 3), (40, 4)])
def test_round_trip(tmp_path, count, degree):
    given = some_gaussians(count, degree)
    write_gaussian_ply(tmp_path / "a.ply", given)
    back = read_gaussian_ply(tmp_path / "a.ply")
    for name in ("means", "colors"):
        assert torch.equal(getattr(back, name), getattr(given, name)), name
    for name in ("scales", "opacities"):
        torch.testing.assert_close(getattr(back, name), getattr(given, name), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(back.quats_wxyz, torch.nn.functional.normalize(given.quats_wxyz, dim=-1))


def test_numbers_as_the_layout_wants_them(tmp_path):
    """Read by hand from the header: order, logit, logarithm, channel-major harmonics, w first."""
    given = some_gaussians(5, 2)
    write_gaussian_ply(tmp_path / "a.ply", given)
    header, _, body = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")
    names = [line.split()[2] for line in header.decode().splitlines() if line.startswith("property float ")]
    rest = [f"f_rest_{k}" for k in range(24)]
    assert names == [
        "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *rest, "opacity", "scale_0", "scale_1", "scale_2",
        "rot_0", "rot_1", "rot_2", "rot_3",
    ]  # fmt: skip
    table = dict(zip(names, np.frombuffer(body, "<f4").reshape(5, len(names)).T, strict=True))
    row = 3
    assert table["nx"][row] == 0
    assert table["f_dc_1"][row] == given.colors[row, 0, 1]
    assert table["f_rest_7"][row] == given.colors[row, 8, 0]  # last coefficient of red
    assert table["f_rest_8"][row] == given.colors[row, 1, 1]  # first one of green
    assert 1 / (1 + np.exp(-table["opacity"][row])) == pytest.approx(float(given.opacities[row]), rel=1e-5)
    assert np.exp(table["scale_2"][row]) == pytest.approx(float(given.scales[row, 2]), rel=1e-5)
    unit = given.quats_wxyz[row] / given.quats_wxyz[row].norm()
    assert [table[f"rot_{k}"][row] for k in range(4)] == pytest.approx(unit.tolist(), rel=1e-5)


def test_an_independent_reader_agrees(tmp_path):
    plyfile = pytest.importorskip("plyfile")
    given = some_gaussians(30, 3)
    write_gaussian_ply(tmp_path / "a.ply", given)
    read = plyfile.PlyData.read(tmp_path / "a.ply")["vertex"]
    assert read.count == 30 and not plyfile.PlyData.read(tmp_path / "a.ply").text
    assert np.array_equal(np.stack([read["x"], read["y"], read["z"]], 1), given.means.numpy())
    higher = np.stack([read[f"f_rest_{k}"] for k in range(45)], 1).reshape(30, 3, 15)
    assert np.array_equal(higher.transpose(0, 2, 1), given.colors[:, 1:].numpy())


def test_a_file_of_another_writer_is_read(tmp_path):
    """Other order, other types, properties of its own and comments."""
    plyfile = pytest.importorskip("plyfile")
    names = ["rot_3", "rot_2", "rot_1", "rot_0", "opacity", "scale_0", "scale_1", "scale_2", "x", "y", "z", "f_dc_0", "f_dc_1"]
    table = np.zeros(2, [(name, "f8") for name in names] + [("f_dc_2", "f4"), ("segment", "u1")])
    table["x"], table["rot_0"], table["scale_1"], table["opacity"] = [1, 2], 2.0, -1.0, 0.5
    made = plyfile.PlyData([plyfile.PlyElement.describe(table, "vertex")], byte_order="<", comments=["by somebody"])
    made.write(tmp_path / "b.ply")
    read = read_gaussian_ply(tmp_path / "b.ply")
    assert read.means[:, 0].tolist() == [1, 2] and read.quats_wxyz[0].tolist() == [2, 0, 0, 0]
    assert read.scales[0].tolist() == pytest.approx([1, np.exp(-1), 1]) and read.colors.shape == (2, 1, 3)
    assert float(read.opacities[0]) == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_rgb_becomes_the_constant_harmonic(tmp_path):
    scene = boxes_scene(0.03)
    write_scene_file(tmp_path / "a.ply", scene)
    back = read_scene_file(tmp_path / "a.ply")
    assert back.gaussians.colors.shape == (len(scene.gaussians), 1, 3)
    up = torch.tensor([0.0, 0.0, 1.0]).expand(len(scene.gaussians), 3)
    torch.testing.assert_close(harmonic_colors(back.gaussians.colors, up), scene.gaussians.colors)
    assert back.ids() == () and not back.is_metric and back.names == {}
    views = (scene.cam_from_world[:1], scene.intrinsics[:1], scene.image_hw)
    torch.testing.assert_close(
        rasterize(back.gaussians, *views).colors, rasterize(scene.gaussians, *views).colors, atol=1e-4, rtol=0
    )


def test_extremes_become_finite(tmp_path):
    given = some_gaussians(3, 0)
    given = replace(
        given,
        opacities=torch.tensor([0.0, 1.0, 0.5]),
        scales=torch.tensor([[0.0, 1.0, 1e6], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]),
    )
    write_gaussian_ply(tmp_path / "a.ply", given)
    content = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")[2]
    assert np.isfinite(np.frombuffer(content, "<f4")).all()
    back = read_gaussian_ply(tmp_path / "a.ply")
    torch.testing.assert_close(back.opacities, given.opacities, atol=2e-6, rtol=0)
    torch.testing.assert_close(back.scales, given.scales, atol=1e-8, rtol=1e-5)


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "a.ply"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_gaussian_ply(path)
    write_gaussian_ply(path, some_gaussians(4, 1))
    whole = path.read_bytes()
    for content, message in (
        (whole[:-3], "bytes after the header"),
        (b"hello", "expected a binary little-endian PLY"),
        (whole.replace(b"binary_little_endian", b"binary_big_endian"), "expected a binary little-endian PLY"),
        (whole.replace(b"property float opacity\n", b"property float other\n"), "expected the properties x, .* got .*other"),
        (whole.replace(b"f_rest_8\n", b"f_rest_9\n"), "f_rest: expected 0, 9, 24"),
        (whole.replace(b"vertex 4", b"vertex many"), "expected 'element vertex COUNT'"),
        (whole.replace(b"property float nx", b"property list uchar int nx"), "nothing but numbers per vertex"),
        (whole.replace(b"property float nx", b"element face 1"), "nothing but numbers per vertex"),
        (whole[:-4] + np.float32(np.nan).tobytes(), "rot_0: expected finite"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_gaussian_ply(path)


def test_other_suffixes_are_refused(tmp_path):
    for use in (read_scene_file, lambda path: write_scene_file(path, boxes_scene(0.1))):
        with pytest.raises(ValueError, match="ending in .safetensors or .ply, got .*a.obj"):
            use(tmp_path / "a.obj")
