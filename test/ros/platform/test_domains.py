"""Domains: two processes never have the same one, and that of a dead process is free again."""

import os
import socket
import subprocess
import sys
import time

import pytest
from places import ROOT

from pan3d_ros.platform import domains
from pan3d_ros.platform.domains import claim_domain, domain_of_environment, is_quiet

# Claims as many domains of a range as it is told, prints them, and keeps them until it is ended.
CLAIMANT = """
import sys
from pan3d_ros.platform import domains
domains.DOMAIN_IDS = range(int(sys.argv[1]), int(sys.argv[2]))
claims = [domains.claim_domain() for _ in range(int(sys.argv[3]))]
print(*(claim.domain_id for claim in claims), flush=True)
sys.stdin.read()
"""
# Above those that are given to programs: these tests take whole ranges.
FIRST, END = 150, 230


@pytest.fixture
def claimant():
    """(first, end, number) -> a running process and the domains that it has."""
    children = []

    def start(first: int, end: int, number: int) -> subprocess.Popen:
        command = [sys.executable, "-c", CLAIMANT, str(first), str(end), str(number)]
        child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def taken(child: subprocess.Popen) -> list[int]:
    return [int(word) for word in child.stdout.readline().split()]


def test_processes_that_run_at_once_have_different_domains(claimant):
    children = [claimant(FIRST, END, 15) for _ in range(3)]
    found = [domain_id for child in children for domain_id in taken(child)]
    assert len(found) == 45 and len(set(found)) == 45
    assert set(found) <= set(range(FIRST, END))


def test_the_domain_of_a_dead_process_is_free_again(claimant, monkeypatch):
    child = claimant(FIRST, END, 1)
    [domain_id] = taken(child)
    monkeypatch.setattr(domains, "DOMAIN_IDS", range(domain_id, domain_id + 1))
    with pytest.raises(RuntimeError, match=f"all ROS domains from {domain_id} to {domain_id} are taken"):
        claim_domain()
    child.kill()  # it has no chance to tidy up
    child.wait()
    deadline = time.monotonic() + 60
    while True:
        try:
            claim = claim_domain()
        except RuntimeError:  # the same test of another run may have it for a moment
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            break
    assert claim.domain_id == domain_id
    claim.release()
    claim.release()


def test_a_domain_in_which_somebody_listens_is_not_given_away(monkeypatch):
    with claim_domain() as claim:
        assert claim.domain_id in domains.DOMAIN_IDS and is_quiet(claim.domain_id)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
            participant.bind(("", 7400 + 250 * claim.domain_id))
            assert not is_quiet(claim.domain_id)
            claim.release()
            monkeypatch.setattr(domains, "DOMAIN_IDS", range(claim.domain_id, claim.domain_id + 1))
            with pytest.raises(RuntimeError, match="are taken"):
                claim_domain()


def test_a_real_participant_is_noticed(own_domain):
    import rclpy

    context = rclpy.Context()
    assert is_quiet(own_domain)
    rclpy.init(context=context, domain_id=own_domain)
    node = rclpy.create_node("somebody", context=context)
    try:
        assert not is_quiet(own_domain)
    finally:
        node.destroy_node()
        context.try_shutdown()


def test_a_domain_that_is_set_is_used_and_a_free_one_otherwise(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    with domain_of_environment() as domain_id:
        assert domain_id == 7
    assert os.environ["ROS_DOMAIN_ID"] == "7"
    monkeypatch.delenv("ROS_DOMAIN_ID")
    with domain_of_environment() as domain_id:
        assert domain_id in domains.DOMAIN_IDS and os.environ["ROS_DOMAIN_ID"] == str(domain_id)
    assert "ROS_DOMAIN_ID" not in os.environ


def test_the_tests_of_this_process_have_a_domain_that_is_claimed(process_domain):
    assert os.environ["ROS_DOMAIN_ID"] == str(process_domain)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as another, pytest.raises(OSError):
        another.bind(f"\0pan3d_ros_domain_{process_domain}")
