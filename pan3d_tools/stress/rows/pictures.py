"""Pictures and depth that are broken, huge, or of another kind than they say."""

from __future__ import annotations

import cv2
import numpy as np

from pan3d_tools.stress.edits import cut, encoded_as, nothing, pixels, with_bytes, with_fields
from pan3d_tools.stress.faults import BOTH, Fault, HarmlessInput, MessageFamily

PICTURES = MessageFamily("pictures", "image", "NO_IMAGES")
DEPTH = MessageFamily("depth", "depth", "NO_IMAGES")
bad, fine = PICTURES.bad, PICTURES.fine


def _padded(message: object) -> object:
    """16 bytes behind every row, as some drivers send them."""
    rows = np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.step)  # type: ignore[attr-defined]
    message.data = np.pad(rows, ((0, 0), (0, 16))).tobytes()  # type: ignore[attr-defined]
    message.step += 16  # type: ignore[attr-defined]
    return message


def _wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint16) * 257


def _millimetres(depth: np.ndarray) -> np.ndarray:
    return np.round(depth * 1000).astype(np.uint16)


def of_size(width: int, height: int) -> str:
    """What is told of a picture of another size than its calibration and its depth."""
    return rf"expected the (image size|size of the colour image) {width} x {height}\b"


def too_long(width: int, height: int) -> str:
    """What is told of a picture much longer than wide."""
    return rf"limits\.max_aspect = 20 to 1, got {width} x {height}\b"


SILENT = r"^silent for \d+\.\d s; sets are formed without it"
FAULTS: tuple[Fault, ...] = (
    bad("an encoding that there is not", with_fields(encoding="rgb9"), "encoding: expected one of .* got 'rgb9'", BOTH),
    bad("an empty encoding", with_fields(encoding=""), "encoding: expected one of .*bgr8', .* got ''"),
    bad("8UC3, which does not order its colours", with_fields(encoding="8UC3"), "got '8UC3'; name the order of its channels"),
    bad("a depth encoding for colour", with_fields(encoding="32FC1"), "encoding: expected one of .* got '32FC1'"),
    bad("57 bytes", with_bytes(b"\x00" * 57), r"data: expected at least 57600 bytes .* got 57\b", BOTH),
    bad("no bytes", with_bytes(b""), r"data: expected at least 57600 bytes .* got 0\b"),
    bad("the first half of the bytes", cut(0.5), r"data: expected at least 57600 bytes .* got 28800\b"),
    bad("all but the last byte", cut(0.99999), r"data: expected at least 57600 bytes .* got 57599\b"),
    bad("a step of 0", with_fields(step=0), r"step: expected at least 480 .* got 0\b", BOTH),
    bad("a step of one pixel", with_fields(step=3), r"step: expected at least 480 .* got 3\b"),
    bad("a step of 4 GB", with_fields(step=2**32 - 1), "data: expected at least 511101108585 bytes"),
    bad("a width of 0", with_fields(width=0, step=0), "a size of at least 1 x 1, got 0 x 120"),
    bad("a height of 0", with_fields(height=0), "a size of at least 1 x 1, got 160 x 0"),
    bad("sides of 4 billion pixels", with_fields(width=2**32 - 1, height=2**32 - 1), "limits.max_pixels = .* got 4294967295 x"),
    bad("a height that the bytes do not have", with_fields(height=100_000), too_long(160, 100_000)),
    bad("one pixel", pixels(lambda rgb: rgb[:1, :1]), of_size(1, 1)),
    bad("one row", pixels(lambda rgb: rgb[:1]), too_long(160, 1), BOTH),
    bad("one column", pixels(lambda rgb: rgb[:, :1]), too_long(1, 120)),
    bad("a strip of 1 x 2500", pixels(lambda rgb: np.resize(rgb, (2500, 1, 3))), too_long(1, 2500), BOTH),
    bad("a picture of another size than its calibration", pixels(lambda rgb: cv2.resize(rgb, (80, 60))), of_size(80, 60), BOTH),
    bad("a picture turned by 90 degrees", pixels(lambda rgb: np.rot90(rgb)), of_size(120, 160)),
    MessageFamily("pictures", "image", "STALE_IMAGES|TIMEOUT").bad(
        "none at all", nothing, SILENT, BOTH, "the last image arrived|: without left"
    ),
    DEPTH.bad("57 bytes", with_bytes(b"\x00" * 57), r"data: expected at least 76800 bytes .* got 57\b", BOTH),
    DEPTH.bad("no bytes", with_bytes(b""), r"data: expected at least 76800 bytes .* got 0\b"),
    DEPTH.bad("of another size than the picture", pixels(lambda depth: depth[::2, ::2]), "colour image 160 x 120, got 80 x 60"),
    DEPTH.bad("an encoding for colour", with_fields(encoding="rgb8"), "depth Image.encoding: expected one of .* got 'rgb8'"),
    DEPTH.bad("64-bit numbers", with_fields(encoding="64FC1"), "depth Image.encoding: expected one of .* got '64FC1'"),
    MessageFamily("depth", "depth", "TIMEOUT|NO_IMAGES").bad(
        "none at all", nothing, "^images, but no depth on |^image and depth have no matching stamps|"
        + SILENT, BOTH, "image and depth have no matching stamps|: without left"
    ),
    fine("rows with padding", _padded),
    fine("blue first", encoded_as("bgr8", lambda rgb: rgb[..., ::-1])),
    fine("with alpha", encoded_as("rgba8", lambda rgb: np.concatenate([rgb, rgb[..., :1] * 0 + 255], axis=-1))),
    fine("16 bits", encoded_as("rgb16", _wide)),
    DEPTH.fine("in millimetres", encoded_as("16UC1", _millimetres)),
    DEPTH.fine("NaN in its holes", pixels(lambda depth: np.where(depth > 0.9, np.float32(np.nan), depth))),
    DEPTH.fine("negative where nothing was measured", pixels(lambda depth: np.where(depth > 0.9, np.float32(-1.0), depth))),
    HarmlessInput("pictures", "both in other encodings", {
        "image": encoded_as("bgra8", lambda rgb: np.concatenate([rgb[..., ::-1], rgb[..., :1] * 0 + 255], axis=-1)),
        "depth": encoded_as("16UC1", _millimetres),
    }),
)  # fmt: skip
