"""Poses that are missing, impossible, or contradict the pictures."""

from __future__ import annotations

import math

import numpy as np

from pan3d_tools.stress.edits import in_sequence, nothing, position, quaternion, shifted, with_header
from pan3d_tools.stress.faults import ALL, BOTH, ONE, Edit, Expected, Fault, HarmlessInput, InputFault

FAMILY = "poses"
_S = math.sqrt(0.5)
# Quaternions x y z w on the right: the camera's axes are renamed.
_OPENGL, _BODY = (1.0, 0.0, 0.0, 0.0), (-0.5, 0.5, -0.5, -0.5)


def bad(name: str, edit: Edit, words: str, scopes: tuple[str, ...] = (ONE,)) -> InputFault:
    """A pose that cannot be used."""
    return InputFault(FAMILY, name, {"pose": edit}, Expected("TF_FAILURE", "transforms", words), scopes)


def contradicts(name: str, edit: Edit, scopes: tuple[str, ...] = (ONE,)) -> InputFault:
    """A possible pose that is not where the pictures were taken from."""
    words = "contradict|its pose looks like|fit better|fit together|share one pose"
    expected = Expected("POSES_CONTRADICT", "pipeline", words, without_metres=True)
    return InputFault(FAMILY, name, {"pose": edit}, expected, scopes)


def fine(name: str, edit: Edit) -> HarmlessInput:
    """The same pose, said in another way."""
    return HarmlessInput(FAMILY, name, {"pose": edit})


def product(p: np.ndarray, q: tuple[float, ...]) -> np.ndarray:
    """The rotation `p` after `q`, both x y z w."""
    (px, py, pz, pw), (qx, qy, qz, qw) = p, q
    return np.array([
        pw * qx + px * qw + py * qz - pz * qy, pw * qy - px * qz + py * qw + pz * qx,
        pw * qz + px * qy - py * qx + pz * qw, pw * qw - px * qx - py * qy - pz * qz,
    ])  # fmt: skip


def turned(degrees: float) -> tuple[float, ...]:
    """A turn about the optical axis."""
    return (0.0, 0.0, math.sin(math.radians(degrees) / 2), math.cos(math.radians(degrees) / 2))


FAULTS: tuple[Fault, ...] = (
    bad("a quaternion of zeros", quaternion(lambda q: q * 0), "unit quaternion", BOTH),
    bad("a quaternion of length 1.2", quaternion(lambda q: q * 1.2), "unit quaternion"),
    bad("a quaternion of length 0.5", quaternion(lambda q: q * 0.5), "unit quaternion"),
    bad("NaN in the quaternion", quaternion(lambda q: q * math.nan), "finite"),
    bad("NaN for a position", position(math.nan, 0.0, 0.5), "finite", BOTH),
    bad("infinity for a position", position(math.inf, 0.0, 0.5), "finite"),
    bad("a position of 1e30 m", position(1e30, 0.0, 0.5), "1e\\+?30|metres|expected|within", BOTH),
    bad("a position in millimetres", position(-450.0, 380.0, 550.0), "metres|millimet|within|expected"),
    bad("a position of 50 km", position(5e4, 0.0, 0.0), "metres|within|expected"),
    bad("another reference frame", with_header(frame_id="moon"), "moon|frame", BOTH),
    bad("no frame", with_header(frame_id=""), "frame"),
    bad("none at all", nothing, "pose", BOTH),
    bad("stamps of 20 s ago", shifted(-20.0), "pose|older|old"),
    bad("stamps of 20 s ahead", shifted(20.0), "pose|newer|ahead|future"),
    contradicts("OpenGL axes", quaternion(lambda q: product(q, _OPENGL)), BOTH),
    contradicts("a body's axes for optical ones", quaternion(lambda q: product(q, _BODY)), BOTH),
    contradicts("the inverse rotation", quaternion(lambda q: q * np.array([-1, -1, -1, 1])), BOTH),
    contradicts("turned by 90 degrees about its axis", quaternion(lambda q: product(q, turned(90.0)))),
    contradicts("turned by 180 degrees about its axis", quaternion(lambda q: product(q, turned(180.0)))),
    contradicts("at the origin", in_sequence(position(0.0, 0.0, 0.0), quaternion(lambda q: np.array([0.0, 0, 0, 1])))),
    contradicts("all at the same place", in_sequence(
        position(-0.5, 0.0, 0.5), quaternion(lambda _: np.array([0.65, -0.65, 0.28, -0.28]) / np.sqrt(1.0018))
    ), (ALL,)),
    fine("the other sign of the quaternion", quaternion(lambda q: -q)),
    fine("a quaternion with the rounding of 16 bits", quaternion(lambda q: np.round(q, 3))),
)  # fmt: skip
