"""What the tests of modelled objects share."""

import pytest
from modelled_objects import write_catalogue

from pan3d_sim.library.tables import ListedObject


@pytest.fixture
def catalogue(tmp_path):
    return write_catalogue(tmp_path / "Scopia.sh3f")


@pytest.fixture
def rows():
    return [ListedObject("Scopia", name, "box", "train", None) for name in ("cube", "flat", "broken", "missing")]
