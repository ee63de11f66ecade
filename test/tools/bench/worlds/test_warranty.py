"""Promises are judged by answers that they were not made from, and errors by their deviations."""

import numpy as np
import pytest

from pan3d_core.warranty import OBJECT, WORDS, Confirmation
from pan3d_tools.bench.worlds.deviations import Errors, fitted, left_out
from pan3d_tools.bench.worlds.warranty import World, normalized, parse, promise


def world(name, score, wrong_each):
    answers = [Confirmation(score, number % wrong_each > 0) for number in range(100)]
    return World(name, {OBJECT: answers, WORDS: []}, [])


def test_a_promise_is_judged_in_each_world():
    figures = promise([world("here", 0.97, 50), world("there", 0.03, 2)], OBJECT, 0.2, 20)
    assert figures["each"]["here"]["wrong"] == pytest.approx(0.02, abs=0.005) and figures["each"]["here"]["given"] == 1.0
    assert figures["each"]["there"]["given"] == 0.0 and figures["worlds with answers"] == 1
    assert figures["wrong"] == figures["worst"] and figures["worlds within 2 points"] == 1
    nothing = promise([world("here", 0.97, 50)], WORDS, 0.2, 20)
    assert nothing["given"] == 0.0 and nothing["worlds with answers"] == 0


def test_errors_are_normalized_per_axis():
    one = Errors(1.0, 1.0, 4, (0.1,) * 3, (0.01, 0.02, 0.0), (0.03, 0.0, 0.0), (0.01,) * 3, (0.01,) * 3)
    figures = normalized([one])
    assert figures["place"] == pytest.approx(5 / 3) and figures["sides"] == pytest.approx(3.0) and figures["objects"] == 1
    assert figures["sides beyond 2 sigma"] == pytest.approx(1 / 3) and figures["place beyond 2 sigma"] == 0.0
    assert normalized([]) == {"objects": 0}
    assert parse(["--worlds", "cell"]).shares == [0.05, 0.1, 0.2]


def drawn(rng, count):
    """Errors of objects by the model itself: 4 mm and 5 % of the extent, three times as large where the name is not known."""
    rows = []
    for _ in range(count):
        size, name = rng.uniform(0.02, 0.2, 3), float(rng.uniform())
        spread = np.sqrt(0.004**2 + (0.05 * size) ** 2) * (1 + 2 * (1 - name))
        rows.append(Errors(1.0, name, 4, tuple(size), tuple(rng.normal(0, spread)), (0.0,) * 3, (1.0,) * 3, (1.0,) * 3))
    return rows


def test_the_model_is_found_again_and_right_where_it_was_not_fitted():
    rng = np.random.default_rng(0)
    worlds = {"here": drawn(rng, 300), "there": drawn(rng, 300)}
    model = fitted([item for own in worlds.values() for item in own], "place_m")
    certain = 1 - 0.3 * model.of_name
    assert model.of_all_m * certain == pytest.approx(0.004, rel=0.25) and model.of_extent * certain == pytest.approx(
        0.05, rel=0.25
    )
    assert model.of_name / certain == pytest.approx(2.0, rel=0.25)
    found = left_out(worlds, "place_m")
    assert all(row["mean"] == pytest.approx(1.0, abs=0.2) for row in found.values()) and set(found) == {"here", "there", "all"}
    assert found["all"]["beyond 2 sigma"] == pytest.approx(0.046, abs=0.03)
    assert left_out({}, "place_m") == {}
