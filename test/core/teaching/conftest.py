"""Boxes on a table, seen by exact depth cameras: objects to teach and objects that are only like them."""

import pytest
from boxes_to_teach import BLUE, CANDIDATES, seen_of


@pytest.fixture(scope="session")
def shown():
    """The blue box alone."""
    return seen_of([BLUE])


@pytest.fixture(scope="session")
def among_others():
    """The blue box elsewhere, turned by a quarter, among boxes like it."""
    return seen_of(CANDIDATES)
