"""What does not fit a network is named before it runs."""

import pytest
import torch
from tiny_graphs import tiny_graph

from pan3d_core.runtime.networks.interface import OutsideProfile, ShapeGate


@pytest.fixture
def check():
    graph = tiny_graph()
    return ShapeGate(graph.inputs, graph.axes)


def test_lengths_of_axes_are_found(check):
    assert check(tiny_graph().samples(3)) == {"views": 3}
    assert check(tiny_graph().samples(3)) == {"views": 3}  # the second time it is known to fit


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scale": torch.ones(2)}, r"scale: expected 1 of torch.float32, got \(2,\)"),
        ({"views": torch.ones(1, 3, 3).double()}, "views: expected 1, views, 3 of torch.float32, got .*float64"),
        ({"views": torch.ones(1, 3)}, r"views: expected 3 axes \(1, views, 3\), got 2"),
    ],
)
def test_what_does_not_fit_is_named(check, changed, message):
    with pytest.raises(ValueError, match=message):
        check({**tiny_graph().samples(3), **changed})
    with pytest.raises(ValueError, match="expected views, scale, got none named scale"):
        check({"views": torch.ones(1, 3, 3)})


def test_too_many_views_are_outside_the_profile(check):
    with pytest.raises(OutsideProfile, match="views: expected 1 to 8 views, got 9"):
        check(tiny_graph().samples(9))
