"""Functions named by where they stand."""

import math

import pytest

from pan3d_core.runtime.lazy import load


def test_a_place_is_imported():
    assert load("math:hypot") is math.hypot


@pytest.mark.parametrize("place", ["math", "math:", ":hypot", ""])
def test_a_place_of_another_form_is_refused(place):
    with pytest.raises(ValueError, match="place: expected module:name"):
        load(place)
