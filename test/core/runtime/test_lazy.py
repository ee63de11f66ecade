"""Functions named by where they stand."""

import importlib.util
import math

import pytest

from pan3d_core.runtime.lazy import attributes, load


def test_a_place_is_imported():
    assert load("math:hypot") is math.hypot


@pytest.mark.parametrize("place", ["math", "math:", ":hypot", ""])
def test_a_place_of_another_form_is_refused(place):
    with pytest.raises(ValueError, match="place: expected module:name"):
        load(place)


def test_a_package_offers_names_by_where_they_stand():
    attribute = attributes("importlib", {"util": ("find_spec",)})
    assert attribute("find_spec") is importlib.util.find_spec
    with pytest.raises(AttributeError, match="importlib has no 'other'; it offers find_spec"):
        attribute("other")
