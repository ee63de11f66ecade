"""Six photographs of real things, at a small size, through the shipped network: coarse expectations."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pan3d_core import reconstruct
from pan3d_core.config import ModelConfig
from pan3d_core.engines import build_engine
from pan3d_eval.photographs import PHOTOGRAPHS, judge_photograph

DATA = Path(__file__).parents[2] / "data/photographs"
# Of each photograph: how many things are found at least, how many other segments there are at most (docs/photographs.md has all).
EXPECTED = {"coffee": (1, 2), "desk": (3, 2), "sweets": (0, 6), "coins": (0, 1), "books": (0, 2), "house": (2, 2)}


@pytest.fixture(scope="module")
def engine():
    return build_engine(ModelConfig())


@pytest.mark.parametrize("key", EXPECTED)
def test_things_on_a_photograph_are_found_and_no_segment_is_the_table(key, engine):
    photograph = next(item for item in PHOTOGRAPHS if item.key == key)
    paths = sorted((DATA / key).glob("*.jpg"))
    assert len(paths) == len(photograph.files)
    result = reconstruct(paths, engine=engine)
    figures = judge_photograph(photograph, result)
    assert not result.is_metric  # nothing is known but the pictures
    at_least_found, at_most_others = EXPECTED[key]
    assert figures.num_found >= at_least_found and figures.num_segments - figures.num_found <= at_most_others
    assert figures.largest_share < 0.5
    assert math.isnan(figures.abs_rel)
