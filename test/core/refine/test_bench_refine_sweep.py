"""Every assumed constant can be changed alone, and a sweep says what the map is worth then."""

import pytest

from pan3d_core.bench.refine import parse
from pan3d_core.bench.refine_quality import QualitySettings
from pan3d_core.bench.refine_sweep import SWEPT, UNCHANGED_SEEDS, Assumed, changed, sweep


def value_at(settings, path):
    for name in path.split("."):
        settings = getattr(settings, name)
    return settings


@pytest.mark.parametrize("path", SWEPT)
def test_a_smaller_and_a_larger_value_of_every_constant_are_allowed(path):
    own = value_at(Assumed(), path)
    smaller, larger = SWEPT[path]
    assert smaller < own < larger
    for value in (smaller, larger):
        assert value_at(changed(Assumed(), path, value), path) == value
    assert changed(changed(Assumed(), path, larger), path, own) == Assumed()  # nothing else changed


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
