"""Promises are judged by answers that they were not made from, and errors by their deviations."""

import pytest

from pan3d_core.warranty import OBJECT, WORDS, Confirmation
from pan3d_tools.bench.warranty import Errors, World, normalized, parse, promise


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
