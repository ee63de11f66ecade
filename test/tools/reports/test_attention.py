"""`pan3d reconstruct --attention`: where queries look, for the engine that has some."""

import numpy as np
import pytest
import torch
from PIL import Image

from pan3d_core.models.vggt.files import SegVggtContent, SegVggtSizes, build_segvggt, save_segvggt
from pan3d_core.views.image_files import write_image
from pan3d_tools import cli


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / f"{name}.png" for name in ("left", "right")]
    for seed, path in enumerate(paths):
        write_image(path, torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(seed)))
    return [str(path) for path in paths]


def test_the_picture_has_a_row_for_each_query_and_a_column_for_each_view(pictures, tmp_path, capsys):
    torch.manual_seed(0)
    sizes = SegVggtSizes(
        native_grid=5, dim=48, encoder_depth=1, depth=2, heads=3, camera_depth=1, camera_heads=4, features=16,
        out_channels=(8, 12, 16, 16), layers=(0, 0, 1, 1), queries=8, class_hidden=8, lora_rank=0,
    )  # fmt: skip
    save_segvggt(build_segvggt(sizes, 2), SegVggtContent(sizes, ("mug", "can"), 70, {}), tmp_path / "own.safetensors")
    out = tmp_path / "out"
    options = ["--engine", "segvggt", "--weights", str(tmp_path / "own.safetensors"), "--device", "cpu", "--attention"]
    assert cli.main(["reconstruct", *pictures, "-o", str(out), *options]) == 0, capsys.readouterr().err
    with Image.open(out / "attention.png") as stored:
        picture = np.array(stored)
    assert "attention.png" in capsys.readouterr().out
    height, width = picture.shape[0] // 6, picture.shape[1] // 2
    assert picture.shape[0] == 6 * height and height - 8 == pytest.approx(0.75 * width, abs=14)
    bars = [picture[row * height + height - 8, :] for row in range(6)]
    lit = np.array([(bar.sum(-1) > 0).sum() for bar in bars])
    assert np.abs(lit - width).max() <= 2  # shares of a query's attention add up to one over the views


def test_other_engines_have_no_queries_that_look(pictures, tmp_path, capsys):
    code = cli.main(["reconstruct", *pictures, "-o", str(tmp_path / "out"), "--attention"])
    error = capsys.readouterr().err
    assert code == 2 and "--attention: expected the engine segvggt, whose queries look at views, got pan3d-mini" in error
    assert not (tmp_path / "out").exists()
