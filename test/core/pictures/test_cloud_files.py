import numpy as np
import pytest

from pan3d_core.pictures.cloud_files import Cloud, read_ply, write_ply


def cloud(count: int) -> Cloud:
    rng = np.random.default_rng(0)
    return Cloud(
        points=rng.normal(size=(count, 3)).astype(np.float32),
        normals=rng.normal(size=(count, 3)).astype(np.float32),
        colors=rng.integers(0, 256, (count, 3)).astype(np.uint8),
        instance_id=rng.integers(0, 70_000, count).astype(np.int32),
    )


@pytest.mark.parametrize("count", [0, 1, 500])
def test_ply_survives_the_disk(count, tmp_path):
    original = cloud(count)
    write_ply(tmp_path / "cloud.ply", original)
    back = read_ply(tmp_path / "cloud.ply")
    for name in ("points", "normals", "colors", "instance_id"):
        np.testing.assert_array_equal(getattr(back, name), getattr(original, name))


def test_cut_off_and_foreign_files_are_refused(tmp_path):
    write_ply(tmp_path / "cloud.ply", cloud(10))
    content = (tmp_path / "cloud.ply").read_bytes()
    (tmp_path / "cloud.ply").write_bytes(content[:-5])
    with pytest.raises(ValueError, match="bytes after the header"):
        read_ply(tmp_path / "cloud.ply")
    (tmp_path / "cloud.ply").write_bytes(b"ply\nformat ascii 1.0\nend_header\n")
    with pytest.raises(ValueError, match="got another layout, which begins .*format ascii 1.0"):
        read_ply(tmp_path / "cloud.ply")
    lost = cloud(3)
    lost.points[1, 2] = np.nan
    write_ply(tmp_path / "cloud.ply", lost)
    with pytest.raises(ValueError, match=r"cloud\.ply: x, y, z: expected finite numbers, got NaN or infinity in 1 points"):
        read_ply(tmp_path / "cloud.ply")
