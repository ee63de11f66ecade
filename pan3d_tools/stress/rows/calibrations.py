"""camera_info that is wrong, missing, or unusual and right."""

from __future__ import annotations

import math

from pan3d_tools.stress.edits import distortion, matrix, nothing, with_fields, with_header
from pan3d_tools.stress.faults import BOTH, Fault, MessageFamily

CALIBRATIONS = MessageFamily("calibrations", "info", "NO_CAMERA_INFO")
bad, fine = CALIBRATIONS.bad, CALIBRATIONS.fine


def another_size(width: int, height: int) -> str:
    """What is told of a calibration for another size."""
    return f"expected the image size 160 x 120, got {width} x {height}"


IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
FAULTS: tuple[Fault, ...] = (
    bad("zeros for K", with_fields(k=[0.0] * 9), "positive focal lengths, got fx = 0, fy = 0", BOTH),
    bad("identity for K", with_fields(k=IDENTITY), "expected a calibration, got the identity", BOTH),
    bad("NaN in K", matrix(fx=math.nan), "positive focal lengths, got fx = nan", BOTH),
    bad("infinity in K", matrix(fy=math.inf), "positive focal lengths, got fx = 150, fy = inf"),
    bad("a negative focal length", matrix(fx=-150.0), "positive focal lengths, got fx = -150"),
    bad("a focal length of one pixel", matrix(fx=1.0, fy=1.0), "expected focal lengths of .* got fx = 1, fy = 1;"),
    bad("a focal length of a million pixels", matrix(fx=1e6, fy=1e6), r"expected focal lengths of .* got fx = 1e\+06"),
    bad("focal lengths that differ tenfold", matrix(fx=1500.0), "fx and fy within a factor of .* got 1500 and 150"),
    bad("a principal point outside the picture", matrix(cx=5000.0), r"principal point inside .* got \(5000", BOTH),
    bad("a negative principal point", matrix(cy=-400.0), r"principal point inside .* -400\.0\)"),
    bad("skew", matrix(skew=60.0), "pixels without skew, got 60 and 0", BOTH),
    bad("a number below the diagonal", matrix(lower=20.0), "pixels without skew, got 0 and 20"),
    bad("a last row that is not 0 0 1", matrix(row=0.0), "expected the last row 0 0 1, got 0 0 0"),
    bad("another size", with_fields(width=640, height=480), another_size(640, 480), BOTH),
    bad("another size by one row", with_fields(height=119), another_size(160, 119)),
    bad("sides exchanged", with_fields(width=120, height=160), another_size(120, 160)),
    bad("a size of 0", with_fields(width=0, height=0), another_size(0, 0)),
    bad("binning that does not fit", with_fields(binning_x=3, binning_y=3), another_size(53, 40)),
    bad("a distortion model that there is not", distortion("barrel", [0.1] * 5), "expected one of .* got 'barrel'", BOTH),
    bad("coefficients without a model", distortion("", [0.1, 0.0, 0.0, 0.0, 0.0]), "expected one of plumb_bob, .* got ''"),
    bad("three coefficients", distortion("plumb_bob", [0.1, 0.0, 0.0]), "expected .* numbers for plumb_bob, got 3"),
    bad("NaN for a coefficient", distortion("plumb_bob", [math.nan, 0.0, 0.0, 0.0, 0.0]), "d: expected finite numbers"),
    bad("coefficients of 1e9", distortion("plumb_bob", [1e9, 0.0, 0.0, 0.0, 0.0]), "coefficients: expected those of a lens"),
    bad("five coefficients for a fisheye", distortion("equidistant", [0.1, 0.0, 0.0, 0.0, 0.1]), "for equidistant, got 5"),
    fine("an empty model without coefficients", distortion("", [])),
    fine("four coefficients", distortion("plumb_bob", [0.0] * 4)),
    fine("eight coefficients that end in zeros", distortion("plumb_bob", [0.0] * 8)),
    fine("fourteen coefficients", distortion("rational_polynomial", [0.0] * 14)),
    fine("twelve coefficients", distortion("rational_polynomial", [0.0] * 12)),
    fine("the model's name with capitals and a blank", distortion("Plumb Bob", [0.0] * 5)),
    fine("a fisheye by another name", distortion("kannala_brandt", [0.0] * 4)),
    fine("inverse Brown-Conrady of zeros, as RealSense sends it", distortion("inverse_brown_conrady", [0.0] * 5)),
    fine("a frame of another name", with_header(frame_id="driver_frame")),
    fine("binning of 0", with_fields(binning_x=0, binning_y=0)),
    fine("sent once and never again", nothing),
)  # fmt: skip
