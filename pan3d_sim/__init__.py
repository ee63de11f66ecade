"""Simulated robot cell: procedural objects, exact cameras, physics and grasp execution, all from one seed."""

import importlib
import importlib.util
import os

# MuJoCo chooses its GL platform when it is first imported; software rendering works without display or GPU.
os.environ.setdefault("MUJOCO_GL", "osmesa")

# Mesa's software renderer and triton (part of torch's CUDA build) each bring an LLVM. A process in which Mesa's came first
# crashes when torch later imports triton; the other order works.
if os.environ["MUJOCO_GL"] == "osmesa" and importlib.util.find_spec("triton") is not None:
    importlib.import_module("triton")
