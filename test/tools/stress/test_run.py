"""Rows against a node of its own process, over DDS."""

import dataclasses

import pytest
from ros_presence import require_ros

require_ros()

from pan3d_ros.platform.start import own_context  # noqa: E402
from pan3d_tools.cli.checks.stress import chosen_rows  # noqa: E402
from pan3d_tools.stress.faults import RequestFault, Row  # noqa: E402
from pan3d_tools.stress.rows import ROWS  # noqa: E402
from pan3d_tools.stress.run import run_rows  # noqa: E402


@pytest.mark.timeout(300)
def test_forty_rows_are_as_they_must_be_and_a_row_that_is_not_is_told(tmp_path):
    request = next(row.fault for row in ROWS if isinstance(row.fault, RequestFault))
    impossible = Row(dataclasses.replace(request, name="answered otherwise", code="OUT_OF_MEMORY"))
    outcomes = run_rows([*chosen_rows(count=40), impossible], tmp_path)
    assert not [f"{outcome.row.name}: {outcome.problem}" for outcome in outcomes[:-1] if not outcome.passed]
    assert "expected the code OUT_OF_MEMORY, got INVALID_REQUEST" in outcomes[-1].problem


def test_ros_of_the_command_begins_and_ends_beside_that_of_others():
    with own_context() as mine:
        with own_context() as other:
            assert mine.ok() and other.ok()
        assert mine.ok() and not other.ok()
