"""Simulated robot cell: procedural objects, exact cameras, physics and grasp execution, all from one seed."""

import os

# MuJoCo chooses its GL platform when it is first imported; software rendering works without display or GPU.
os.environ.setdefault("MUJOCO_GL", "osmesa")
