"""The engine of the tables' tests."""

import pytest
from recalling_engine import Recalling

from pan3d_core.engines import ENGINES


@pytest.fixture
def engine(monkeypatch):
    made = Recalling()
    monkeypatch.setitem(ENGINES, "recalling", lambda config: made)
    return made
