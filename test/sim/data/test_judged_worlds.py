"""Worlds by name that engines are judged in."""

from __future__ import annotations

import pytest

from pan3d_sim.data.judged_worlds import JUDGED_WORLDS, WorldScenes


@pytest.mark.parametrize("name", JUDGED_WORLDS)
def test_every_world_has_settings_and_none_shows_what_training_shows_alone(name):
    scenes = WorldScenes(name, objects="somewhere")
    settings = scenes.settings()
    assert bool(settings.objects) == JUDGED_WORLDS[name].modelled
    assert not JUDGED_WORLDS[name].modelled or not settings.is_for_training


def test_scenes_are_rendered_once_and_lie_apart_from_others(tmp_path):
    few = WorldScenes("surfaces", count=1, num_views=1, width=32, height=24)
    folder = few.render(tmp_path)
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}
    assert written and few.render(tmp_path) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")} == written
    assert WorldScenes("surfaces", count=1, num_views=1, width=48, height=24).render(tmp_path) != folder


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"world": "moon"}, "world: expected one of cell"),
        ({"world": "cell", "first_seed": 3}, "seed: expected 1000000 or more"),
        ({"world": "modelled"}, "expected a folder of modelled objects"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_name(changes, words):
    with pytest.raises(ValueError, match=words):
        WorldScenes(**changes)
