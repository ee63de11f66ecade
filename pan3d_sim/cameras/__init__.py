"""Exact pinhole cameras, their rigs and paths, rendering and the errors of depth sensors; knows nothing of objects and cells."""

from pan3d_sim.cameras.depth_noise import DepthNoise
from pan3d_sim.cameras.renderer import Renderer
from pan3d_sim.cameras.rig import RigCamera, RigConfig, sample_rig
from pan3d_sim.cameras.wrist_path import WristPath

__all__ = ["DepthNoise", "Renderer", "RigCamera", "RigConfig", "WristPath", "sample_rig"]
