"""Poses that are missing, impossible, or contradict the pictures."""

from __future__ import annotations

import math

import numpy as np

from pan3d_tools.stress.edits import in_sequence, nothing, position, quaternion, shifted, with_header
from pan3d_tools.stress.faults import ALL, BOTH, ONE, Edit, Expected, Fault, InputFault, MessageFamily

POSES = MessageFamily("poses", "pose", "TF_FAILURE", "transforms")
bad, fine = POSES.bad, POSES.fine
_S = math.sqrt(0.5)
# Quaternions x y z w on the right: the camera's axes are renamed.
_OPENGL, _BODY = (1.0, 0.0, 0.0, 0.0), (-0.5, 0.5, -0.5, -0.5)


def contradicts(name: str, edit: Edit, scopes: tuple[str, ...] = (ONE,)) -> InputFault:
    """A possible pose that is not where the pictures were taken from."""
    words = "contradict|its pose looks like|fit better|fit together|share one pose"
    expected = Expected("POSES_CONTRADICT", "pipeline", words, without_metres=True)
    return InputFault(POSES.name, name, {POSES.kind: edit}, expected, scopes)


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


MILLIMETRES = r"expected a pose within align\.max_scene_depth_m = .* are its poses in millimetres\?"
FAULTS: tuple[Fault, ...] = (
    bad("a quaternion of zeros", quaternion(lambda q: q * 0), "/pose: expected a unit quaternion, got length 0(;|$)", BOTH),
    bad("a quaternion of length 1.2", quaternion(lambda q: q * 1.2), r"/pose: expected a unit quaternion, got length 1\.2"),
    bad("a quaternion of length 0.5", quaternion(lambda q: q * 0.5), r"/pose: expected a unit quaternion, got length 0\.5"),
    bad("NaN in the quaternion", quaternion(lambda q: q * math.nan), r"/pose: expected 3 \+ 4 finite numbers, got \[-?0.*nan"),
    bad("NaN for a position", position(math.nan, 0.0, 0.5), r"/pose: expected 3 \+ 4 finite numbers, got \[nan", BOTH),
    bad("infinity for a position", position(math.inf, 0.0, 0.5), r"/pose: expected 3 \+ 4 finite numbers, got \[inf"),
    bad("a position of 1e30 m", position(1e30, 0.0, 0.5), r"/pose: expected a translation within 20000 m, got 1e\+30 m", BOTH),
    bad("a position in millimetres", position(-450.0, 380.0, 550.0), MILLIMETRES),
    bad("a position of 50 km", position(5e4, 0.0, 0.0), r"/pose: expected a translation within 20000 m, got 5e\+04 m"),
    bad("another reference frame", with_header(frame_id="moon"), "/pose: expected frame base_link, got 'moon'", BOTH),
    bad("no frame", with_header(frame_id=""), "/pose: expected frame base_link, got ''"),
    bad("none at all", nothing, r"/pose: the newest pose is \d+\.\d ms older than the image", BOTH),
    bad("stamps of 20 s ago", shifted(-20.0), r"/pose: the newest pose is (19|2\d)\d{3}\.\d ms older than the image"),
    bad("stamps of 20 s ahead", shifted(20.0), r"/pose: the (poses around the image are|oldest pose is) (19|2\d)\d{3}"),
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
