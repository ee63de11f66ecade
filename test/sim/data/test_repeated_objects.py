"""Objects that keep their looks while tables, places and cameras change."""

import numpy as np
import pytest

from pan3d_sim.data.repeated_objects import RepeatedObjects
from pan3d_sim.objects.kinds import sample_object


@pytest.fixture(scope="module")
def repeated():
    rng = np.random.default_rng(3)
    with RepeatedObjects(5, [sample_object(rng, kind) for kind in ("box", "can", "mug")], size=(96, 72)) as made:
        yield made


def mean_rgb(scene, index):
    mask = scene.rendered.ids == scene.shown.index(index) + 1
    return scene.rendered.images[mask].mean(0)


def test_an_object_keeps_its_colours_from_scene_to_scene(repeated):
    first, second = repeated.scene(0, [1], num_views=2), repeated.scene(1, [0, 1], num_views=2)
    assert first.shown == (1,) and set(second.shown) == {0, 1}
    coats = [item.coat for scene in (first, second) for item in scene.rendered.objects if item.spec is repeated.objects[1]]
    assert coats[0] == coats[1]
    places = [item.position for scene in (first, second) for item in scene.rendered.objects if item.spec is repeated.objects[1]]
    assert np.abs(places[0] - places[1]).max() > 0.01
    ratio = mean_rgb(first, 1) / mean_rgb(second, 1)
    assert ratio.max() / ratio.min() < 1.6  # other light and other sides, the same surface


def test_a_scene_is_its_number(repeated):
    again = repeated.scene(7, [0, 2], num_views=1), repeated.scene(7, [0, 2], num_views=1)
    assert (again[0].rendered.images == again[1].rendered.images).all() and again[0].shown == again[1].shown
    assert (again[0].rendered.images != repeated.scene(8, [0, 2], num_views=1).rendered.images).any()
