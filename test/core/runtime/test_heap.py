"""A process that works for hours gives back what it has freed."""

import os

import pytest
from heap_work import kept_mb

pytestmark = pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="a matter of glibc")
STEADY = "from pan3d_core.runtime import keep_heap_steady; steady = keep_heap_steady()"


def test_small_blocks_that_are_kept_pin_what_was_freed_between_them_unless_the_heap_is_steady():
    assert kept_mb("") > 150
    assert kept_mb(f"{STEADY}; assert steady") < 20


def test_limits_that_the_user_has_set_stand():
    assert kept_mb(f"{STEADY}; assert not steady", MALLOC_MMAP_THRESHOLD_="30000000") > 150
