"""The projection by which pictures of objects are compared: what tells objects apart stays, what changes with the view goes."""

import numpy as np
import pytest

from pan3d_tools.bench.teaching.command import run
from pan3d_tools.bench.teaching.learning import DIMENSIONS, discriminant


def share_of_own(vectors, owners):
    """How often the nearest of all others is of the same object."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -1)
    return float((owners[alike.argmax(1)] == owners).mean())


def test_directions_in_which_objects_differ_are_kept_and_those_of_views_are_not():
    rng = np.random.default_rng(0)
    owners = np.repeat(np.arange(60), 12)
    own = rng.normal(size=(60, 14))[owners]  # what each object is
    light = rng.normal(size=(len(owners), 120)) * 5  # what the view adds, of far larger numbers
    values = np.concatenate([light, own + 0.05 * rng.normal(size=own.shape)], 1)
    mean, deviation, projection = discriminant(values, owners)
    assert mean.shape == deviation.shape == (134,) and projection.shape == (134, DIMENSIONS)
    standard = (values - mean) / deviation
    assert share_of_own(standard @ projection, owners) > 0.9 > 0.6 > share_of_own(standard, owners)


def test_it_is_learnt_from_modelled_objects_alone(tmp_path):
    with pytest.raises(ValueError, match=r"--learn-look: expected modelled objects \(--object-folder\), got none"):
        run(["--learn-look", str(tmp_path / "look.safetensors")])
    with pytest.raises(ValueError, match="--engine: expected one that compares pictures of objects, got depth_clusters"):
        run(["--learn-look", str(tmp_path / "look.safetensors"), "--engine", "depth_clusters"])
    assert not list(tmp_path.iterdir())
