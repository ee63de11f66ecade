"""Where cameras really are, by what their pictures share; knows poses that were given and matches, no engine and no robot."""

from pan3d_core.calibration.check import CalibrationCheck, CameraCheck, check_calibration, corrected
from pan3d_core.calibration.words import lines_of, mending, pose_numbers, words_of

__all__ = ["CalibrationCheck", "CameraCheck", "check_calibration", "corrected", "lines_of", "mending", "pose_numbers", "words_of"]
