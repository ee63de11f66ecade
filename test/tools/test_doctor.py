"""The doctor: what it finds, what it says to do, and its exit code."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from pan3d_tools import doctor
from pan3d_tools.doctor import MISSING, OK, OPTIONAL, Check


def test_only_a_missing_needed_thing_makes_the_exit_code_1():
    assert doctor.exit_code([Check("a", OK, ""), Check("b", OPTIONAL, "")]) == 0
    assert doctor.exit_code([Check("a", OK, ""), Check("b", MISSING, "")]) == 1


def test_the_report_names_what_is_missing_and_how_to_mend_it():
    report = doctor.format_report([Check("torch", MISSING, "no torch", "pip install torch"), Check("GPU", OK, "there")])
    assert "-> pip install torch" in report
    assert report.endswith("needed and missing: torch")


def test_python_and_libraries_of_the_test_run_are_found():
    for check in (doctor.check_python(), doctor.check_libraries(), doctor.check_torch()):
        assert check.status == OK, check


def test_every_finding_that_is_not_ok_says_what_to_do_or_why_it_does_not_matter(monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name, package=None: None)
    for check in (doctor.check_libraries(), doctor.check_ros_extras(), doctor.check_renderer(), doctor.check_bags()):
        assert check.status != OK
        assert check.detail
        assert check.mend


def test_a_ros_that_cannot_be_imported_is_reported_with_its_reason(monkeypatch):
    def fail(name, package=None):
        raise ImportError("librcl.so: cannot open shared object file")

    monkeypatch.setattr(doctor.importlib, "import_module", fail)
    check = doctor.check_ros()
    assert check.status == MISSING
    assert "librcl.so" in check.detail
    assert "activate.sh" in check.mend


@pytest.mark.parametrize("content", [b"", b"\x10\x00\x00\x00\x00\x00\x00\x00{"])
def test_a_damaged_checkpoint_is_found(monkeypatch, tmp_path, content):
    (tmp_path / "pan3d_core" / "weights").mkdir(parents=True)
    (tmp_path / "pan3d_core" / "weights" / "pan3d-mini.safetensors").write_bytes(content)
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "pan3d_tools" / "doctor.py"))
    check = doctor.check_weights()
    assert check.status == MISSING
    assert "pan3d-mini.safetensors" in check.detail


def test_no_checkpoint_is_found(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "pan3d_tools" / "doctor.py"))
    assert doctor.check_weights().status == MISSING


def test_a_dds_profile_that_does_not_exist_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", str(tmp_path / "no.xml"))
    assert doctor.check_dds_profile().status == MISSING
    (tmp_path / "no.xml").write_text("<dds/>")
    assert doctor.check_dds_profile().status == OK


def test_shared_memory_that_is_full_or_not_there_is_told(monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage._replace(free=10_000_000))
    full = doctor.check_shared_memory(tmp_path)
    assert full.status == OPTIONAL and "10 MB free" in full.detail and "--shm-size" in full.mend
    for name in ("fastrtps_0123456789abcdef", "fastrtps_0123456789abcdef_el"):
        (tmp_path / name).write_bytes(b"x" * 100_000)
        os.utime(tmp_path / name, (0, 0))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage._replace(free=100_000_000))
    roomy = doctor.check_shared_memory(tmp_path)
    assert roomy.status == OK and "left by processes that were killed" in roomy.detail
    monkeypatch.setattr(doctor, "other_users", lambda folder: ("camera",))
    shared = doctor.check_shared_memory(tmp_path)
    assert shared.status == OPTIONAL and "camera uses it, too" in shared.detail and "BUILTIN_TRANSPORTS=UDPv4" in shared.mend
    assert doctor.check_shared_memory(tmp_path / "none").status == OPTIONAL


def test_a_renderer_that_hangs_or_dies_is_reported(monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name, package=None: object())

    def hang(*args, **kwargs):
        raise subprocess.TimeoutExpired("python", doctor.RENDER_TIMEOUT_S)

    monkeypatch.setattr(doctor.subprocess, "run", hang)
    assert "no picture within" in doctor.check_renderer().detail
    died = subprocess.CompletedProcess([], -11, "", "ImportError: OSMesa not found\n")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *args, **kwargs: died)
    check = doctor.check_renderer()
    assert check.status == OPTIONAL
    assert "OSMesa not found" in check.detail
