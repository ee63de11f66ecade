"""LSeg's image side against stored results of the official code: a small member with weights that a formula makes."""

import json
from gzip import decompress

import numpy as np
import pytest
import torch
from procedural_models import procedural_value, uniform
from safetensors.torch import save_file
from stored_arrays import DATA

from pan3d_core.models.lseg import LsegImageEncoder, LsegSizes, prepared_picture, read_lseg_image_encoder

SHAPES = json.loads(decompress((DATA / "lseg" / "tiny_names_and_shapes.json.gz").read_bytes()))


def weights():
    found = {name: procedural_value(name, tuple(shape)) for name, shape in SHAPES.items()}
    variances = {name: 0.5 + value.abs() for name, value in found.items() if name.endswith("running_var")}
    counts = {name: torch.zeros((), dtype=torch.int64) for name in found if name.endswith("num_batches_tracked")}
    return {f"net.{name}": value.contiguous() for name, value in (found | variances | counts).items()}


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_file(weights() | {"net.clip_pretrained.positional_embedding": torch.zeros(3, 4)}, path)
    return path


@torch.no_grad()
def test_features_are_those_of_the_official_code(checkpoint):
    model = read_lseg_image_encoder(checkpoint)
    assert model.sizes == LsegSizes(64, 4, 4, (8, 12, 16, 16), 8, 12)
    images = torch.from_numpy(2 * uniform("images", (1, 3, 64, 96)) - 1).float()
    found = model(images)
    with np.load(DATA / "lseg" / "tiny_64x96.npz") as stored:
        expected = torch.from_numpy(stored["features"])
    assert found.shape == (1, 12, 32, 48) and expected.shape == (1, 12, 16, 24)
    torch.testing.assert_close(found[:, :, ::2, ::2], expected, atol=2e-6, rtol=1e-5)


def test_the_published_network_has_the_published_sizes():
    with torch.device("meta"):
        state = LsegImageEncoder().state_dict()
    assert LsegSizes().taps == (5, 11, 17, 23)
    assert LsegSizes.of_weights(state, "itself") == LsegSizes()
    assert state["pretrained.model.pos_embed"].shape == (1, 577, 1024) and state["scratch.head1.weight"].shape == (512, 256, 1, 1)


def test_pictures_keep_nearly_their_shape():
    made = prepared_picture(torch.ones(3, 240, 320))
    assert made.shape == (1, 3, 352, 480) and float(made.max()) == pytest.approx(1.0)
    assert prepared_picture(torch.zeros(3, 10, 400)).shape == (1, 3, 32, 480)


def test_another_file_is_refused_by_name(checkpoint, tmp_path):
    found = weights()
    lacking = {name: value for name, value in found.items() if "head1.bias" not in name}
    save_file(lacking, tmp_path / "lacking.safetensors")
    with pytest.raises(ValueError, match=r"1 missing: scratch.head1.bias"):
        read_lseg_image_encoder(tmp_path / "lacking.safetensors")
    save_file({"net.scratch.head1.weight": torch.zeros(2, 2, 1, 1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="expected LSeg's image encoder with pretrained.model.pos_embed, got none in"):
        read_lseg_image_encoder(tmp_path / "other.safetensors")
