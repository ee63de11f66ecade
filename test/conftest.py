"""Fixtures that tests of several rooms share."""

import os

# MuJoCo fixes its GL platform at its first import, which in a test file may come before that of `pan3d_sim`.
os.environ.setdefault("MUJOCO_GL", "osmesa")

pytest_plugins = ["synthetic_cell", "procedural_models", "ros_domains"]
