"""The usual mistakes with camera poses, each as what would mend it. Nothing is mended with them; they only name a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from pan3d_core.assembly.pose_checks.view_matches import Array, Indices

# All orders of the cameras are tried up to this many, beyond it only exchanges of two.
MAX_PERMUTED = 4
# Optical axes (x right, y down, z forward) from OpenGL's (y up, z backward), and from a body's (x forward, y left, z up).
OPTICAL_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
OPTICAL_FROM_BODY = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


@dataclass(frozen=True)
class Hypothesis:
    """What poses may have been meant."""

    fault: str  # of what was given, as the end of a sentence: "like ..."
    cam_from_world: Array  # (S, 4, 4) as they would be right
    lens: Indices | None = None  # whose intrinsics each view has, where not its own


def _inverse(pose: Array) -> Array:
    return np.asarray(np.linalg.inv(pose), np.float64)


def _turned(quarters: int) -> Array:
    turn = np.eye(4)
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters]
    turn[:2, :2] = [[cosine, -sine], [sine, cosine]]
    return turn


def _rotation_transposed(pose: Array) -> Array:
    mended = pose.copy()
    mended[..., :3, :3] = np.swapaxes(pose[..., :3, :3], -1, -2)
    return mended


def _position_as_translation(pose: Array) -> Array:
    mended = pose.copy()
    mended[..., :3, 3] = -np.einsum("...ij,...j->...i", pose[..., :3, :3], pose[..., :3, 3])
    return mended


def _requaternioned(pose: Array, shift: int) -> Array:
    """The rotation whose quaternion was read with its real part at the wrong end; `shift` says at which."""
    mended = pose.copy()
    mended[..., :3, :3] = _rotation(np.roll(_quaternion(pose[..., :3, :3]), shift, axis=-1))
    return mended


def _quaternion(rotation: Array) -> Array:
    """(..., 3, 3) -> (..., 4) xyzw, by the eigenvector of Bar-Itzhack's matrix, which has no case apart."""
    r = rotation
    k = np.zeros((*r.shape[:-2], 4, 4))
    for i, j in combinations(range(3), 2):
        k[..., i, j] = k[..., j, i] = r[..., i, j] + r[..., j, i]
        third = 3 - i - j
        sign = 1.0 if (i, j) != (0, 2) else -1.0
        k[..., third, 3] = k[..., 3, third] = sign * (r[..., j, i] - r[..., i, j])
    trace = r[..., 0, 0] + r[..., 1, 1] + r[..., 2, 2]
    for i in range(3):
        k[..., i, i] = 2 * r[..., i, i] - trace
    k[..., 3, 3] = trace
    vectors: Array = np.linalg.eigh(k)[1][..., -1]
    return vectors


def _rotation(xyzw: Array) -> Array:
    """(..., 4) unit -> (..., 3, 3)."""
    vector, real = xyzw[..., :3], xyzw[..., 3, None, None]
    cross = np.zeros((*vector.shape, 3))
    cross[..., 0, 1], cross[..., 0, 2], cross[..., 1, 2] = -vector[..., 2], vector[..., 1], -vector[..., 0]
    cross -= np.swapaxes(cross, -1, -2)
    rotation: Array = np.eye(3) + 2 * real * cross + 2 * cross @ cross
    return rotation


MISTAKES: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("OpenGL axes (y up, z backward) instead of optical ones", lambda pose: OPTICAL_FROM_OPENGL @ pose),
    ("world_from_cam instead of cam_from_world (the inverse)", _inverse),
    ("the axes of a body or *_link frame (x forward) instead of the *_optical_frame", lambda pose: OPTICAL_FROM_BODY @ pose),
    ("world_from_cam with OpenGL axes instead of cam_from_world", lambda pose: OPTICAL_FROM_OPENGL @ _inverse(pose)),
    ("world_from_cam of a body or *_link frame instead of cam_from_world", lambda pose: OPTICAL_FROM_BODY @ _inverse(pose)),
    ("optical axes where a body's were turned into optical ones once more", lambda pose: OPTICAL_FROM_BODY.T @ pose),
    ("pictures that are upside down", lambda pose: _turned(2) @ pose),
    ("pictures that are turned by 90 degrees", lambda pose: _turned(1) @ pose),
    ("pictures that are turned by 90 degrees the other way", lambda pose: _turned(3) @ pose),
    ("the transpose of the rotation", _rotation_transposed),
    ("the camera's position in place of the translation", _position_as_translation),
    ("quaternions read as xyzw that are wxyz", lambda pose: _requaternioned(pose, -1)),
    ("quaternions read as wxyz that are xyzw", lambda pose: _requaternioned(pose, 1)),
    (
        "quaternions of world_from_cam read as xyzw that are wxyz",
        lambda pose: _inverse(_requaternioned(_inverse(pose), -1)),
    ),
    (
        "quaternions of world_from_cam read as wxyz that are xyzw",
        lambda pose: _inverse(_requaternioned(_inverse(pose), 1)),
    ),
)


def common_mistakes(cam_from_world: Array) -> Iterator[Hypothesis]:
    """Yield what (S, 4, 4) poses should be if all of them were made with one of the usual mistakes."""
    for fault, mend in MISTAKES:
        yield Hypothesis(fault, mend(cam_from_world))


def single_mistakes(cam_from_world: Array, view: int) -> Iterator[Hypothesis]:
    """Yield the same if only this view's pose was."""
    for fault, mend in MISTAKES:
        mended = cam_from_world.copy()
        mended[view] = mend(cam_from_world[view])
        yield Hypothesis(fault, mended)


def exchanges(cam_from_world: Array, cameras: tuple[str, ...]) -> Iterator[Hypothesis]:
    """Yield the poses in other orders, once with each view's own lens and once with the lenses going along."""
    count = len(cameras)
    if count <= MAX_PERMUTED:
        orders = [np.array(order) for order in permutations(range(count))][1:]
    else:
        orders = [np.arange(count) for _ in range(count * (count - 1) // 2)]
        for order, pair in zip(orders, combinations(range(count), 2)):
            order[list(pair)] = pair[::-1]
    for order in sorted(orders, key=lambda order: int((order != np.arange(count)).sum())):
        names = " and ".join(cameras[index] for index in np.flatnonzero(order != np.arange(count)))
        yield Hypothesis(f"exchanged cameras: {names}", cam_from_world[order])
        yield Hypothesis(f"exchanged pictures: {names}", cam_from_world[order], order)
