"""MuJoCo fixes its GL platform at its first import, which in a test file may come before that of `pan3d_sim`."""

import os

os.environ.setdefault("MUJOCO_GL", "osmesa")
