"""The space in which pictures of objects are compared: what tells objects apart stays, what changes with the view goes."""

import numpy as np
import pytest

from pan3d_core.teaching import Projection
from pan3d_core.teaching.crops import CROP_PX
from pan3d_core.teaching.looks import Patch
from pan3d_tools.bench.teaching import learning, metric
from pan3d_tools.bench.teaching.command import run
from pan3d_tools.bench.teaching.metric import Sample, discriminant, fitted_space
from pan3d_tools.bench.teaching.tables import FIRST_FITTED, FITTED, GROUP, numbers_to_learn_from


def share_of_own(vectors, owners):
    """How often the nearest of all others is of the same object."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -1)
    return float((owners[alike.argmax(1)] == owners).mean())


def test_directions_in_which_objects_differ_are_kept_and_those_of_views_are_not(monkeypatch):
    monkeypatch.setattr(metric, "DIMENSIONS", 64)
    rng = np.random.default_rng(0)
    owners = np.repeat(np.arange(60), 12)
    own = rng.normal(size=(60, 14))[owners]  # what each object is
    light = rng.normal(size=(len(owners), 120)) * 5  # what the view adds, of far larger numbers
    values = np.concatenate([light, own + 0.05 * rng.normal(size=own.shape)], 1)
    mean, deviation, projection = discriminant(values, owners)
    assert mean.shape == deviation.shape == (134,) and projection.shape == (134, 64)
    standard = (values - mean) / deviation
    assert share_of_own(standard @ projection, owners) > 0.9 > 0.6 > share_of_own(standard, owners)


def episode(rng, told_by):
    """Twelve objects in three scenes, two pictures each; all numbers but those that tell the objects are noise."""
    own, scenes = np.repeat(np.arange(12), 6), np.tile(np.repeat(np.arange(3), 2), 12)
    values = rng.normal(size=(len(own), 12))
    values[:, told_by] = rng.normal(size=(12, 12))[own][:, told_by] + 0.2 * rng.normal(size=(len(own), 12))[:, told_by]
    return Sample(values[None].astype(np.float32), own, scenes)


def test_comparing_scenes_finds_what_the_first_objects_do_not_show(monkeypatch):
    for name, value in (("DIMENSIONS", 12), ("HIDDEN", 8), ("STEPS", 80), ("RATE", 2e-2)):
        monkeypatch.setattr(metric, name, value)
    rng, first, last = np.random.default_rng(1), slice(0, 4), slice(4, 8)
    plain, others = [episode(rng, first) for _ in range(2)], [episode(rng, last) for _ in range(10)]
    held = {name: tensor.float().numpy() for name, tensor in fitted_space(plain, others).items()}
    space, fresh = Projection(**held, stem="", space=""), episode(rng, last)
    values = np.concatenate([item.features[0] for item in plain]).astype(np.float64)
    mean, deviation, begun = discriminant(values, np.concatenate([plain[0].owners, 12 + plain[1].owners]))
    before = share_of_own((fresh.features[0] - mean) / deviation @ begun, fresh.owners)
    assert share_of_own(space(fresh.features[0]), fresh.owners) > before + 0.2


def test_scenes_of_an_object_are_kept_apart_and_what_one_scene_shows_is_left_out():
    sample = Sample(np.zeros((1, 5, 2), np.float32), np.array([0, 1, 0, 0, 1]), np.array([0, 0, 1, 1, 0]))
    assert [[rows.tolist() for rows in scenes] for scenes in sample.by_object()] == [[[0], [2, 3]]]


def test_what_weights_are_fitted_to_is_never_learnt_from():
    count = 202
    learnt = numbers_to_learn_from(count)
    order = np.random.default_rng(7).permutation(count)
    fitted = order[FIRST_FITTED * GROUP : (FIRST_FITTED + FITTED) * GROUP]
    assert len(learnt) == count - len(fitted) and not set(learnt) & set(fitted)
    with pytest.raises(ValueError, match="--object-folder: expected at least 189 objects of the training split, got 60"):
        numbers_to_learn_from(60)


def test_an_object_in_other_colours_has_them_in_all_its_pictures():
    red = np.zeros((CROP_PX, CROP_PX, 3), np.uint8)
    red[:, :40] = (200, 60, 20)
    mask = np.zeros((CROP_PX, CROP_PX), bool)
    mask[:, :40] = True
    shown = learning._Pictures((Patch(red, mask),) * 3, np.array([0, 1, 0]), np.arange(3))
    same, mirrored = (learning._recoloured(np.random.default_rng(3), shown, mirrored=flag) for flag in (False, True))
    assert np.array_equal(same[0].picture, same[2].picture) and not np.array_equal(same[0].picture, same[1].picture)
    assert not np.array_equal(same[0].picture, red) and np.array_equal(same[0].mask, mask)
    assert np.array_equal(mirrored[0].picture[:, ::-1], same[0].picture) and np.array_equal(mirrored[0].mask, mask[:, ::-1])


def test_it_is_learnt_from_modelled_objects_alone(tmp_path):
    with pytest.raises(ValueError, match=r"--learn-look: expected modelled objects \(--object-folder\), got none"):
        run(["--learn-look", str(tmp_path / "look.safetensors")])
    with pytest.raises(ValueError, match="--engine: expected one that compares pictures of objects, got depth_clusters"):
        run(["--learn-look", str(tmp_path / "look.safetensors"), "--engine", "depth_clusters"])
    assert not list(tmp_path.iterdir())
