"""Pictures and depth that are broken, huge, or of another kind than they say."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from pan3d_tools.stress.edits import cut, encoded_as, nothing, pixels, with_bytes, with_fields
from pan3d_tools.stress.faults import BOTH, ONE, Edit, Expected, Fault, HarmlessInput, InputFault

FAMILY = "pictures"


def bad(name: str, edit: Edit, words: str, scopes: tuple[str, ...] = (ONE,)) -> InputFault:
    """A picture that cannot be used."""
    return InputFault(FAMILY, name, {"image": edit}, Expected("NO_IMAGES", "camera {camera}", words), scopes)


def bad_depth(name: str, edit: Edit, words: str, scopes: tuple[str, ...] = (ONE,)) -> InputFault:
    """A depth image that cannot be used."""
    return InputFault("depth", name, {"depth": edit}, Expected("NO_IMAGES", "camera {camera}", words), scopes)


def fine(name: str, edits: Mapping[str, Edit]) -> HarmlessInput:
    """A picture of another kind, which shows the same."""
    return HarmlessInput(FAMILY, name, edits)


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


FAULTS: tuple[Fault, ...] = (
    bad("an encoding that there is not", with_fields(encoding="rgb9"), "encoding: expected one of", BOTH),
    bad("an empty encoding", with_fields(encoding=""), "encoding"),
    bad("8UC3, which does not say in which order its colours are", with_fields(encoding="8UC3"), "encoding"),
    bad("a depth encoding for colour", with_fields(encoding="32FC1"), "encoding|step|data"),
    bad("57 bytes", with_bytes(b"\x00" * 57), "data: expected at least", BOTH),
    bad("no bytes", with_bytes(b""), "data: expected at least"),
    bad("the first half of the bytes", cut(0.5), "data: expected at least"),
    bad("all but the last byte", cut(0.99999), "data: expected at least"),
    bad("a step of 0", with_fields(step=0), "step: expected at least", BOTH),
    bad("a step of one pixel", with_fields(step=3), "step: expected at least"),
    bad("a step of 4 GB", with_fields(step=2**32 - 1), "step|data"),
    bad("a width of 0", with_fields(width=0, step=0), "size"),
    bad("a height of 0", with_fields(height=0), "size"),
    bad("sides that make 16 exapixels", with_fields(width=2**32 - 1, height=2**32 - 1), "step|data|size|pixels"),
    bad("a height that the bytes do not have", with_fields(height=100_000), "data: expected|pixels|size|sides"),
    bad("one pixel", pixels(lambda rgb: rgb[:1, :1]), "size|pixels|side"),
    bad("one row", pixels(lambda rgb: rgb[:1]), "size|aspect|side", BOTH),
    bad("one column", pixels(lambda rgb: rgb[:, :1]), "size|aspect|side"),
    bad("a strip of 1 x 2500", pixels(lambda rgb: np.resize(rgb, (2500, 1, 3))), "size|aspect|side", BOTH),
    bad("a picture of another size than its calibration", pixels(lambda rgb: cv2.resize(rgb, (80, 60))), "size", BOTH),
    bad("a picture turned by 90 degrees", pixels(lambda rgb: np.rot90(rgb)), "size"),
    InputFault(FAMILY, "none at all", {"image": nothing},
               Expected("STALE_IMAGES|TIMEOUT", "camera {camera}", "silent|no image|without")),
    bad_depth("57 bytes", with_bytes(b"\x00" * 57), "data: expected at least", BOTH),
    bad_depth("no bytes", with_bytes(b""), "data: expected at least"),
    bad_depth("of another size than the picture", pixels(lambda depth: depth[::2, ::2]), "size of the colour image"),
    bad_depth("an encoding for colour", encoded_as("rgb8", lambda depth: np.zeros((*depth.shape[:2], 3), np.uint8)), "encoding"),
    bad_depth("64-bit numbers", with_fields(encoding="64FC1"), "encoding"),
    InputFault("depth", "none at all", {"depth": nothing},
               Expected("TIMEOUT|NO_IMAGES", "camera {camera}", "no depth|matching|silent|without")),
    fine("rows with padding", {"image": _padded}),
    fine("blue first", {"image": encoded_as("bgr8", lambda rgb: rgb[..., ::-1])}),
    fine("with alpha", {"image": encoded_as("rgba8", lambda rgb: np.concatenate([rgb, rgb[..., :1] * 0 + 255], axis=-1))}),
    fine("16 bits", {"image": encoded_as("rgb16", _wide)}),
    fine("depth in millimetres", {"depth": encoded_as("16UC1", _millimetres)}),
    fine("depth with NaN in its holes", {"depth": pixels(lambda depth: np.where(depth > 0.9, np.float32(np.nan), depth))}),
    fine("negative depth where nothing was measured",
         {"depth": pixels(lambda depth: np.where(depth > 0.9, np.float32(-1.0), depth))}),
    fine("both in other encodings", {
        "image": encoded_as("bgra8", lambda rgb: np.concatenate([rgb[..., ::-1], rgb[..., :1] * 0 + 255], axis=-1)),
        "depth": encoded_as("16UC1", _millimetres),
    }),
)  # fmt: skip
