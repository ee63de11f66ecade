"""camera_info that is wrong, missing, or unusual and right."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pan3d_tools.stress.edits import distortion, matrix, nothing, with_fields, with_header
from pan3d_tools.stress.faults import BOTH, ONE, Edit, Expected, Fault, HarmlessInput, InputFault

FAMILY = "calibrations"


def bad(name: str, edit: Edit, words: str, scopes: tuple[str, ...] = (ONE,)) -> InputFault:
    """A calibration that cannot be used."""
    return InputFault(FAMILY, name, {"info": edit}, Expected("NO_CAMERA_INFO", "camera {camera}", words), scopes)


def fine(name: str, edits: Mapping[str, Edit]) -> HarmlessInput:
    """A calibration that says the same in another way."""
    return HarmlessInput(FAMILY, name, edits)


IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
FAULTS: tuple[Fault, ...] = (
    bad("zeros for K", with_fields(k=[0.0] * 9), "not calibrated|focal", BOTH),
    bad("identity for K", with_fields(k=IDENTITY), "focal|identity|calibrated", BOTH),
    bad("NaN in K", matrix(fx=math.nan), "finite|focal", BOTH),
    bad("infinity in K", matrix(fy=math.inf), "finite|focal"),
    bad("a negative focal length", matrix(fx=-150.0), "focal"),
    bad("a focal length of one pixel", matrix(fx=1.0, fy=1.0), "focal"),
    bad("a focal length of a million pixels", matrix(fx=1e6, fy=1e6), "focal"),
    bad("focal lengths that differ tenfold", matrix(fx=1500.0), "fx and fy"),
    bad("a principal point outside the picture", matrix(cx=5000.0), "principal point", BOTH),
    bad("a negative principal point", matrix(cy=-400.0), "principal point"),
    bad("skew", matrix(skew=60.0), "skew", BOTH),
    bad("a number below the diagonal", matrix(lower=20.0), "K|last row|triangular|skew"),
    bad("a last row that is not 0 0 1", matrix(row=0.0), "last row|K"),
    bad("another size", with_fields(width=640, height=480), "size", BOTH),
    bad("another size by one row", with_fields(height=119), "size"),
    bad("sides exchanged", with_fields(width=120, height=160), "size"),
    bad("a size of 0", with_fields(width=0, height=0), "size"),
    bad("binning that does not fit", with_fields(binning_x=3, binning_y=3), "size"),
    bad("a distortion model that there is not", distortion("barrel", [0.1] * 5), "distortion", BOTH),
    bad("coefficients without a model", distortion("", [0.1, 0.0, 0.0, 0.0, 0.0]), "distortion"),
    bad("three coefficients", distortion("plumb_bob", [0.1, 0.0, 0.0]), "coefficient|distortion"),
    bad("NaN for a coefficient", distortion("plumb_bob", [math.nan, 0.0, 0.0, 0.0, 0.0]), "finite|coefficient|distortion"),
    bad("coefficients of 1e9", distortion("plumb_bob", [1e9, 0.0, 0.0, 0.0, 0.0]), "coefficient|distortion"),
    bad("five coefficients for a fisheye", distortion("equidistant", [0.1, 0.0, 0.0, 0.0, 0.1]), "coefficient|distortion"),
    fine("an empty model without coefficients", {"info": distortion("", [])}),
    fine("four coefficients", {"info": distortion("plumb_bob", [0.0] * 4)}),
    fine("eight coefficients that end in zeros", {"info": distortion("plumb_bob", [0.0] * 8)}),
    fine("fourteen coefficients", {"info": distortion("rational_polynomial", [0.0] * 14)}),
    fine("twelve coefficients", {"info": distortion("rational_polynomial", [0.0] * 12)}),
    fine("the model's name with capitals and a blank", {"info": distortion("Plumb Bob", [0.0] * 5)}),
    fine("a fisheye by another name", {"info": distortion("kannala_brandt", [0.0] * 4)}),
    fine("inverse Brown-Conrady of zeros, as RealSense sends it", {"info": distortion("inverse_brown_conrady", [0.0] * 5)}),
    fine("a frame of another name", {"info": with_header(frame_id="driver_frame")}),
    fine("binning of 0", {"info": with_fields(binning_x=0, binning_y=0)}),
    fine("sent once and never again", {"info": nothing}),
)  # fmt: skip
