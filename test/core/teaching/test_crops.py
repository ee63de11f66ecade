"""Pictures of single objects: cut out alike wherever they stand, compared only where they are of one network and one space."""

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine
from pan3d_core.teaching import CUES, Looks, cue_distances, read_projection
from pan3d_core.teaching.crops import CROP_PX, FILE, crop_of, features_of, shipped_projection
from pan3d_core.teaching.looks import Patch


@pytest.fixture(scope="module")
def facts():
    return build_engine(ModelConfig()).facts


def scene(top, left, side, color):
    """A square with a stripe on a grey table."""
    picture = np.full((90, 120, 3), 120, np.uint8)
    picture[top : top + side, left : left + side] = color
    picture[top : top + side // 3, left : left + side] = 30
    mask = np.zeros((90, 120), bool)
    mask[top : top + side, left : left + side] = True
    return Patch(picture, mask)


def test_a_crop_shows_the_object_in_its_middle_at_one_size():
    for patch in (scene(10, 10, 12, 200), scene(30, 60, 40, 200), scene(50, 80, 40, 200)):
        crop = crop_of(patch)
        assert crop.picture.shape == (CROP_PX, CROP_PX, 3) and crop.mask.shape == (CROP_PX, CROP_PX)
        rows, columns = np.nonzero(crop.mask)
        assert abs(rows.mean() - (CROP_PX - 1) / 2) < 1 and abs(columns.mean() - (CROP_PX - 1) / 2) < 1
        assert 0.55 * CROP_PX < np.ptp(rows) < 0.95 * CROP_PX


def test_the_shipped_space_is_of_the_shipped_network_and_tells_colours_from_places(facts):
    projection = shipped_projection()
    assert projection.stem == facts.crops_checkpoint and projection.space
    patches = [scene(10, 10, 30, (200, 40, 40)), scene(40, 70, 36, (200, 40, 40)), scene(40, 70, 36, (40, 60, 200))]
    vectors = projection(features_of([crop_of(item) for item in patches], facts.crops))
    assert vectors.shape == (3, projection.matrix.shape[1]) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.8 and 1 - vectors[0] @ vectors[2] > 5 * (1 - vectors[0] @ vectors[1])


def test_what_surrounds_an_object_does_not_count(facts):
    crop = crop_of(scene(20, 40, 30, (60, 160, 60)))
    elsewhere = Patch(np.where(crop.mask[..., None], crop.picture, np.uint8(250)), crop.mask)
    first, second = features_of([crop, elsewhere], facts.crops)
    assert first.shape == (352,) and np.array_equal(first, second) and first.std() > 0


def looks(crops, space="one"):
    flat = np.ones((1, 1), np.float32)
    return Looks(flat, np.ones(1, np.float32), flat, np.zeros(6, np.float32), crops=crops, space=space)


def test_crops_of_another_space_are_not_compared():
    rows = np.eye(3, dtype=np.float32)
    name = "learnt look"
    assert name in {cue.name for cue in CUES}
    assert cue_distances(looks(rows[:2]), looks(rows[:1]))[name] == pytest.approx(1 - 0.5**0.5)  # one view of two is another side
    assert cue_distances(looks(rows[:1]), looks(rows[:1], "other"))[name] is None
    assert cue_distances(looks(None), looks(rows[:1]))[name] is None


def test_a_damaged_projection_is_refused_with_its_field(tmp_path):
    tensors = load_file(FILE)
    save_file({name: value for name, value in tensors.items() if name != "mean"}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="mean: expected a tensor, got none"):
        read_projection(tmp_path / "a.safetensors")
    save_file(tensors | {"deviation": tensors["deviation"][:5].clone()}, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match="deviation"):
        read_projection(tmp_path / "b.safetensors")
    with pytest.raises(FileNotFoundError, match="projection: expected one that was learnt"):
        read_projection(tmp_path / "c.safetensors")
