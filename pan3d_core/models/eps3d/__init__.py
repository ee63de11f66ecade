"""EPS3D and AnySplat, views to panoptic Gaussians and these to objects; they know VGGT and the rasteriser."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_core.models.eps3d.cameras import counted_from_centers as counted_from_centers
    from pan3d_core.models.eps3d.cameras import novel_cameras as novel_cameras
    from pan3d_core.models.eps3d.files import Eps3dContent as Eps3dContent
    from pan3d_core.models.eps3d.files import Eps3dSizes as Eps3dSizes
    from pan3d_core.models.eps3d.files import build_eps3d as build_eps3d
    from pan3d_core.models.eps3d.files import load_own_eps3d as load_own_eps3d
    from pan3d_core.models.eps3d.files import save_eps3d as save_eps3d
    from pan3d_core.models.eps3d.gaussians import VoxelAverage as VoxelAverage
    from pan3d_core.models.eps3d.gaussians import VoxelGrid as VoxelGrid
    from pan3d_core.models.eps3d.gaussians import gaussians_from_raw as gaussians_from_raw
    from pan3d_core.models.eps3d.gaussians import voxel_grid as voxel_grid
    from pan3d_core.models.eps3d.heads import ImageDpt as ImageDpt
    from pan3d_core.models.eps3d.heads import Sem2Ins as Sem2Ins
    from pan3d_core.models.eps3d.heads import TextDecoder as TextDecoder
    from pan3d_core.models.eps3d.network import Eps3d as Eps3d
    from pan3d_core.models.eps3d.network import Eps3dOutput as Eps3dOutput
    from pan3d_core.models.eps3d.network import PanopticHeads as PanopticHeads
    from pan3d_core.models.eps3d.network import PanopticRendering as PanopticRendering
    from pan3d_core.models.eps3d.network import anysplat_1b as anysplat_1b
    from pan3d_core.models.eps3d.network import eps3d_1b as eps3d_1b
    from pan3d_core.models.eps3d.network import load_anysplat as load_anysplat
    from pan3d_core.models.eps3d.network import load_eps3d as load_eps3d
    from pan3d_core.models.eps3d.network import official_name as official_name
    from pan3d_core.models.eps3d.network import render_panoptic as render_panoptic
    from pan3d_core.models.eps3d.readout import READOUTS as READOUTS
    from pan3d_core.models.eps3d.readout import CellReadout as CellReadout
    from pan3d_core.models.eps3d.readout import PixelInstances as PixelInstances
    from pan3d_core.models.eps3d.readout import PixelReadout as PixelReadout
    from pan3d_core.models.eps3d.readout import read_by_cells as read_by_cells
    from pan3d_core.models.eps3d.readout import read_by_pixels as read_by_pixels
    from pan3d_core.models.eps3d.recorded import RecordedEps3d as RecordedEps3d

# Loaded on first use: the small networks take two modules of this room and need neither the rasteriser nor clustering.
_NAMES = {
    "cameras": ("counted_from_centers", "novel_cameras"),
    "files": ("Eps3dContent", "Eps3dSizes", "build_eps3d", "load_own_eps3d", "save_eps3d"),
    "gaussians": ("VoxelAverage", "VoxelGrid", "gaussians_from_raw", "voxel_grid"),
    "heads": ("ImageDpt", "Sem2Ins", "TextDecoder"),
    "network": (
        "Eps3d",
        "Eps3dOutput",
        "PanopticHeads",
        "PanopticRendering",
        "anysplat_1b",
        "eps3d_1b",
        "load_anysplat",
        "load_eps3d",
        "official_name",
        "render_panoptic",
    ),
    "readout": ("CellReadout", "PixelInstances", "PixelReadout", "READOUTS", "read_by_cells", "read_by_pixels"),
    "recorded": ("RecordedEps3d",),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
