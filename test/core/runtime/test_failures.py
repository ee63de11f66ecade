"""The families of exceptions that one input may cause, and what is logged of them."""

import logging
import struct

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from pan3d_core.runtime.failures import FAILURES, FailureLog, described


@pytest.mark.parametrize(
    "work",
    [
        lambda: cv2.cvtColor(np.zeros((2, 2, 7), np.uint8), cv2.COLOR_BGR2GRAY),
        lambda: np.linalg.inv(np.zeros((3, 3))),
        lambda: torch.linalg.inv(torch.zeros(3, 3)),
        lambda: ConvexHull(np.zeros((5, 3))),
        lambda: torch.zeros(2) + torch.zeros(3),
        lambda: struct.unpack("<f", b"abc"),
        lambda: [][1],
        lambda: int(float("inf")),
        lambda: b"\xff".decode(),
        lambda: None.width,
        lambda: len(3),
    ],
)
def test_what_odd_data_makes_libraries_raise_is_listed(work):
    with pytest.raises(FAILURES):
        work()


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_on_purpose_is_not_listed(ending):
    assert not issubclass(ending, FAILURES)


def failing(log, numerator):
    try:
        numerator / 0
    except FAILURES as error:
        log.report("a view set", error)


def test_every_kind_of_failure_is_logged_once_with_its_traceback(caplog):
    log = FailureLog(logging.getLogger("failures under test"))
    for _ in range(9):
        failing(log, 1)
    try:
        int("no number")
    except FAILURES as error:
        log.report("a view set", error)
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert [record.exc_info[0] for record in tracebacks] == [ZeroDivisionError, ValueError]
    repeated = [record.getMessage() for record in caplog.records if not record.exc_info]
    assert [text.split("th time")[0].rsplit(" ", 1)[-1] for text in repeated] == ["2", "4", "8"]


def test_a_failure_is_described_on_one_line_of_bounded_length():
    assert described(ValueError("a\n  b")) == "ValueError: a b"
    assert described(KeyError()) == "KeyError"
    assert len(described(ValueError("x" * 10_000))) < 600
