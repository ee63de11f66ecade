"""Teachers of EPS3D: the cell's truth, any model in the process, what was written earlier; and their maps under augmentation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.data.arrays import SceneBatch, ShardSet, TeacherMaps
from training.data.augment import flip_batch
from training.data.targets.teachers import (
    CallableTeacher,
    FileTeacher,
    agreed_half,
    cell_classes,
    cell_teacher,
    image_key,
    stuff_ids,
    taught,
)
from training.data.targets.text import load_text_targets


@pytest.fixture(scope="module")
def batch(data_folder) -> SceneBatch:
    return ShardSet(data_folder / "val").batch(np.array([0, 1]), [np.arange(4)] * 2)


@pytest.fixture(scope="module")
def text(data_folder):
    return load_text_targets(data_folder / "text_embeddings.npz")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_table_and_floor_are_told_by_height(batch):
    found = stuff_ids(batch)
    free = (batch.ids == 0) & (batch.depth > 0)
    assert bool((found[free] == 1).any()) and bool((found[~free] == 0).all())
    lowered = stuff_ids(replace(batch, support_height=batch.support_height + 0.5))
    assert bool((lowered[free] == 2).all())  # the same ground half a metre below a support is floor


def test_the_cell_says_what_every_pixel_is(batch, text, data_folder):
    teacher = cell_teacher(text, data_folder)
    maps = teacher(batch, generator())
    classes = cell_classes(batch, 2)
    kind = batch.kinds[torch.arange(2)[:, None, None, None], batch.ids]
    assert torch.equal(classes[batch.ids > 0], kind[batch.ids > 0]) and set(classes.unique().tolist()) <= {-1, 0, 1, 2, 3}
    on_object = batch.ids > 0
    assert torch.equal(maps.ids[on_object], batch.ids[on_object])
    assert bool((maps.ids[classes == 2] == batch.kinds.shape[1] + 1).all())
    # Each feature is one description of its own kind; the same seed draws the same one.
    half = agreed_half(classes)
    features = maps.features.movedim(2, -1)
    for k in (0, 1):
        known = text.embeddings[text.kind == k]
        assert float((features[half == k] @ known.T).amax(-1).min()) > 0.999
    torch.testing.assert_close(features[half == 2], teacher.stuff_embeddings[:1].expand(int((half == 2).sum()), -1))
    assert float(features[half < 0].abs().sum()) == 0.0
    assert torch.equal(teacher(batch, generator()).features, maps.features)


def test_pixels_that_disagree_have_no_feature():
    classes = torch.tensor([[1, 1, 1, 2], [1, 1, 2, 2], [3, 3, -1, -1], [3, 3, -1, -1]])
    assert agreed_half(classes).tolist() == [[1, -1], [3, -1]]


def test_maps_are_mirrored_with_their_images(batch, text, data_folder):
    with_maps = taught(batch, cell_teacher(text, data_folder), generator())
    mirrored = flip_batch(with_maps)
    again = taught(flip_batch(batch), cell_teacher(text, data_folder), generator())
    assert torch.equal(mirrored.teacher.ids[batch.ids.flip(-1) > 0], again.teacher.ids[batch.ids.flip(-1) > 0])
    torch.testing.assert_close(mirrored.teacher.features, again.teacher.features)


def test_models_in_the_process_and_files_say_the_same(batch, tmp_path):
    ask = CallableTeacher(lambda image: (image[0] > 0.5).long() + 1, lambda image: image[:, ::4, ::4] - 0.5)
    said = ask(batch, generator())
    files = FileTeacher(tmp_path / "maps")
    for image, ids, features in zip(batch.images.flatten(0, 1), said.ids.flatten(0, 1), said.features.flatten(0, 1)):
        files.write(image, ids, features)
    read = files(batch, generator())
    assert torch.equal(read.ids, said.ids)
    torch.testing.assert_close(read.features, said.features, atol=1e-3, rtol=0)
    assert FileTeacher(tmp_path / "maps", size=(7, 9))(batch, generator()).features.shape[-2:] == (7, 9)
    assert image_key(batch.images[0, 0]) != image_key(batch.images[0, 1])


def test_bad_maps_are_named(batch, tmp_path):
    class Wrong:
        def __init__(self, ids, features):
            self.maps = TeacherMaps(ids, features)

        def __call__(self, batch, generator):
            return self.maps

    ids, features = torch.zeros_like(batch.ids), torch.zeros(2, 4, 8, 28, 36)
    with pytest.raises(ValueError, match=r"teacher ids: expected integers of shape \(2, 4, 112, 144\)"):
        taught(batch, Wrong(ids[..., ::2], features), generator())
    with pytest.raises(ValueError, match="teacher ids: expected integers"):
        taught(batch, Wrong(ids.float(), features), generator())
    with pytest.raises(ValueError, match="teacher features: expected finite"):
        taught(batch, Wrong(ids, features / 0), generator())
    with pytest.raises(FileNotFoundError, match="teacher: expected .*npz, which does not exist; write it for every"):
        FileTeacher(Path(tmp_path))(batch, generator())
    np.savez(tmp_path / f"{image_key(batch.images[0, 0])}.npz", ids=np.zeros((112, 144)))
    with pytest.raises(ValueError, match="expected ids and features in .*got none named features"):
        FileTeacher(tmp_path)(batch, generator())
