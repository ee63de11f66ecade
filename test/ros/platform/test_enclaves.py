"""Programs under ROS's security that are not let in say so in one sentence."""

import os
import subprocess
import sys

import pytest
from places import ROOT

from pan3d_ros.platform.enclaves import CELL, enclave_arguments, in_words, security_hint
from pan3d_ros.platform.rclpy_private import RCLError
from pan3d_ros.platform.spinning import attempt

OUTSIDE = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce", "ROS_SECURITY_KEYSTORE": ""}


def denied():
    raise RCLError("Failed to create subscription: invalid allocator, at subscription.c:261")


@pytest.mark.parametrize(
    "program", [["-m", "pan3d_ros.perception_node"], ["-m", "pan3d_tools.cli", "calibrate", "check", "--node", "/pan3d"]]
)
def test_a_program_without_keys_ends_with_a_sentence_that_says_where_to_read_on(program):
    environment = os.environ | OUTSIDE | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    out = subprocess.run([sys.executable, *program], env=environment, capture_output=True, text=True, timeout=60)
    assert out.returncode in (1, 2) and "Traceback" not in out.stderr
    sentence = out.stderr.splitlines()[-1]
    assert "ROS cannot start" in sentence and "ROS_SECURITY_ENABLE is true" in sentence and "docs/security.md" in sentence


def test_a_transition_that_is_denied_says_so_and_other_failures_keep_their_words(monkeypatch):
    assert "docs/security.md" not in attempt(denied, lambda: None)[1]
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    assert "docs/security.md" in attempt(denied, lambda: None)[1]
    assert in_words(RCLError("cannot create, at node.c:1\nmore")).startswith("cannot create; node.c:1 (ROS_SECURITY_ENABLE")
    assert in_words(RCLError("")) == "RCLError"
    assert security_hint(RCLError("context is not valid")) == "" == security_hint(ValueError("creature"))


def test_programs_of_ours_name_their_enclaves_where_security_is_on(monkeypatch):
    assert enclave_arguments(CELL) == []
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    assert enclave_arguments(CELL) == ["--ros-args", "--enclave", "/pan3d/cell"]
