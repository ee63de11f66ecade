"""Every assumed constant can be changed alone, and a sweep says what the map is worth then."""

import pytest

from pan3d_core.refine import model, query_care, readout, rendering
from pan3d_core.refine.first_map import agreement
from pan3d_core.refine.run import SceneSettings
from pan3d_tools.bench.refine.command import parse
from pan3d_tools.bench.refine.quality import QualitySettings
from pan3d_tools.bench.refine.sweep import OF_MODULES, SWEPT, UNCHANGED_SEEDS, changed, constant_at, sweep


def value_at(settings, path):
    for name in path.split("."):
        settings = getattr(settings, name)
    return settings


@pytest.mark.parametrize("path", [name for name in SWEPT if not name.startswith(OF_MODULES)])
def test_a_smaller_and_a_larger_value_of_every_constant_are_allowed(path):
    own = value_at(SceneSettings(), path)
    smaller, larger = SWEPT[path]
    assert smaller < own < larger
    for value in (smaller, larger):
        assert value_at(changed(SceneSettings(), path, value), path) == value
    assert changed(changed(SceneSettings(), path, larger), path, own) == SceneSettings()  # nothing else changed


@pytest.mark.parametrize("path", [name for name in SWEPT if name.startswith(OF_MODULES)])
def test_a_constant_of_modules_is_changed_wherever_it_is_known_and_back_again(path):
    name = path.removeprefix(OF_MODULES)
    holder = next(module for module in (model, rendering, query_care, agreement) if hasattr(module, name))
    own = getattr(holder, name)
    smaller, larger = SWEPT[path]
    assert smaller < own < larger
    with pytest.raises(KeyError), constant_at(name, larger):
        assert getattr(holder, name) == larger
        raise KeyError
    assert getattr(holder, name) == own


def test_a_constant_that_other_modules_have_taken_over_is_changed_there_too():
    with constant_at("SURFACE_OPACITY", 0.3):
        assert readout.SURFACE_OPACITY == rendering.SURFACE_OPACITY == 0.3
    with pytest.raises(ValueError, match="expected one of pan3d_core.refine, got 'COLOUR'"), constant_at("COLOUR", 1.0):
        pass


@pytest.mark.slow
def test_the_figures_are_those_of_maps_with_the_changed_constant():
    pytest.importorskip("mujoco")
    tiny = QualitySettings(num_views=8, image_hw=(48, 64), steps=6, max_gaussians=1500)
    found = sweep(tiny, ["surface.opacity"])
    assert len(found["unchanged"]) == UNCHANGED_SEEDS and set(found) == {"unchanged", "surface.opacity"}
    first, *_ = found["unchanged"].values()
    assert set(first) == {"pq", "per_view_pq", "miou", "identity_switches"} and 0 <= first["miou"] <= 1
    low, high = found["surface.opacity"].values()
    assert len({tuple(own.values()) for own in (first, low, high)}) == 3  # each is a map of its own


def test_constants_are_named():
    assert parse(["--parts", "sweep", "--constants", "queries.count"]).constants == ["queries.count"]
    with pytest.raises(SystemExit):
        parse(["--constants", "queries.colour"])
