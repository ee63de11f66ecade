"""Fixtures that tests of several rooms share."""

import gc
import os
import tempfile

# MuJoCo fixes its GL platform at its first import, which in a test file may come before that of `pan3d_sim`.
os.environ.setdefault("MUJOCO_GL", "osmesa")

# Workers of one run share the cores: each computes in one thread, and so does what it starts. Read when torch is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# What somebody has built for robots on this machine is none of the tests' business; nothing is there until a test builds it.
os.environ["PAN3D_CACHE"] = os.path.join(tempfile.gettempdir(), f"pan3d-test-cache-{os.getpid()}")

pytest_plugins = ["synthetic_cell", "labelled_boxes", "procedural_models", "teacher_files", "ros_domains", "ros_spinner"]


def pytest_collection_finish():
    """What was imported stays: collecting garbage, as a node does that lets go of a model, passes it over."""
    gc.freeze()
