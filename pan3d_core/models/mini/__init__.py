"""The small networks that are trained here, `pan3d-mini` and its relatives; they know parts of FAST3DIS and EPS3D."""

from pan3d_core.models.mini.calibration import Calibration, CalibrationMemory, MiniInputs
from pan3d_core.models.mini.cameras import unposed_cameras
from pan3d_core.models.mini.decode import ScoreCalibration, count_repeats, decode_scene, find_instances
from pan3d_core.models.mini.eps3d import Eps3dMini, Eps3dMiniOutputs, Eps3dMiniSettings
from pan3d_core.models.mini.fast3dis import Fast3disMini, Fast3disMiniOutputs, Fast3disMiniSettings
from pan3d_core.models.mini.geometry import SceneGeometry, scene_geometry
from pan3d_core.models.mini.network import DenseOutputs, MiniArchitecture, MiniOutputs, PanMini, SingleViews
from pan3d_core.models.mini.queries import QueryOutputs, QueryPrediction, SceneFeatures

__all__ = [
    "Calibration",
    "CalibrationMemory",
    "DenseOutputs",
    "Eps3dMini",
    "Eps3dMiniOutputs",
    "Eps3dMiniSettings",
    "Fast3disMini",
    "Fast3disMiniOutputs",
    "Fast3disMiniSettings",
    "MiniArchitecture",
    "MiniInputs",
    "MiniOutputs",
    "PanMini",
    "QueryOutputs",
    "QueryPrediction",
    "SceneFeatures",
    "SceneGeometry",
    "ScoreCalibration",
    "SingleViews",
    "count_repeats",
    "decode_scene",
    "find_instances",
    "scene_geometry",
    "unposed_cameras",
]
