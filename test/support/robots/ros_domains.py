"""ROS domains of tests: each test process has one of its own, and a test that needs another gets one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pan3d_ros.platform.domains import VARIABLE, claim_domain


@pytest.fixture(scope="session", autouse=True)
def process_domain() -> Iterator[int]:
    """The domain of this test process and of all that it starts: other ROS programs must not be heard, nor other test runs."""
    with claim_domain() as claim, pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(claim.domain_id))
        yield claim.domain_id


@pytest.fixture
def own_domain(monkeypatch) -> Iterator[int]:
    """A domain for one test, without the nodes of other tests that may still be found in that of the process."""
    with claim_domain() as claim:
        monkeypatch.setenv(VARIABLE, str(claim.domain_id))
        yield claim.domain_id
