"""Exact pinhole cameras, their rigs and paths, rendering and the errors of depth sensors; knows nothing of objects and cells."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_sim.cameras.depth_noise import DepthNoise as DepthNoise
    from pan3d_sim.cameras.renderer import Renderer as Renderer
    from pan3d_sim.cameras.rig import RigCamera as RigCamera
    from pan3d_sim.cameras.rig import RigConfig as RigConfig
    from pan3d_sim.cameras.rig import sample_rig as sample_rig
    from pan3d_sim.cameras.wrist_path import WristPath as WristPath

# Loaded on first use: depth sensors are asked for where MuJoCo is not installed.
_NAMES = {
    "depth_noise": ("DepthNoise",),
    "renderer": ("Renderer",),
    "rig": ("RigCamera", "RigConfig", "sample_rig"),
    "wrist_path": ("WristPath",),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
