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
AT_LEAST_FOUND = {"coffee": 0, "desk": 3, "sweets": 1, "coins": 0, "books": 0, "house": 0}  # things; docs/photographs.md has all


@pytest.fixture(scope="module")
def engine():
    return build_engine(ModelConfig())


@pytest.mark.parametrize("key", AT_LEAST_FOUND)
def test_things_on_a_photograph_are_found_and_no_segment_is_the_table(key, engine):
    photograph = next(item for item in PHOTOGRAPHS if item.key == key)
    paths = sorted((DATA / key).glob("*.jpg"))
    assert len(paths) == len(photograph.files)
    result = reconstruct(paths, engine=engine)
    figures = judge_photograph(photograph, result)
    assert not result.is_metric  # nothing is known but the pictures
    assert figures.num_segments > 0 and figures.largest_share < 0.5
    assert figures.num_found >= AT_LEAST_FOUND[key]
    assert math.isnan(figures.abs_rel)
