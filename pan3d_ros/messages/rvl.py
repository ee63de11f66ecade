"""Depth pictures packed by RVL (Wilson, "Fast Lossless Depth Image Compression", 2017), as compressed_depth_image_transport
writes them. No ROS in here."""

from __future__ import annotations

import numpy as np

MOST_PIXELS = 1 << 26  # a size beyond is no size; it would be believed before the first pixel is read
_LONGEST = 9  # nibbles of three bits: runs are at most MOST_PIXELS long, differences have 17 bits


def decode_rvl(data: np.ndarray) -> np.ndarray:
    """Unpack a picture.

    Args:
        data: (N,) uint8: width and height as 32-bit numbers, then the packed pixels in 32-bit words, all little-endian.

    Returns:
        (H, W) uint16.

    Raises:
        ValueError: The size cannot be, or the data end early or do not fit the size.
    """
    width, height = rvl_size(data)
    count = width * height
    if not 0 < count <= MOST_PIXELS:
        raise ValueError(f"RVL data: expected a size of at most {MOST_PIXELS} pixels, got {width} x {height}")
    numbers = _numbers(data[8:])
    differences, filled = _differences(numbers, count)
    # Differences are between neighbours among the pixels that measured something.
    pixels = np.zeros(count, np.uint16)
    values = np.cumsum(differences)
    # Encoders count in 16 bits, with or without a sign; what measured nothing is in a run of zeros.
    if values.size and (values.min() < -(1 << 15) or values.max() > 0xFFFF or not (values & 0xFFFF).all()):
        raise ValueError("RVL data: expected differences between values of 16 bits that are not 0, got others; they are damaged")
    pixels[filled] = (values & 0xFFFF).astype(np.uint16)
    return pixels.reshape(height, width)


def rvl_size(data: np.ndarray) -> tuple[int, int]:
    """Read width and height of a packed picture, (N,) uint8, without unpacking it. Raises `ValueError` where they are cut off."""
    if data.size < 8:
        raise ValueError(f"RVL data: expected a size in 8 bytes, got {data.size} bytes")
    width, height = (int(side) for side in np.ascontiguousarray(data[:8]).view("<u4"))
    return width, height


def _numbers(data: np.ndarray) -> np.ndarray:
    """(M,) int64: all numbers of variable length. Each nibble has three bits of a number and says whether more follow."""
    words = np.pad(data, (0, -data.size % 4)).reshape(-1, 4)[:, ::-1]  # the first nibble of a word is its highest
    nibbles = np.stack([words >> 4, words & 15], axis=-1).reshape(-1).astype(np.int64)
    ends = np.flatnonzero(nibbles < 8)
    if not ends.size:
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST:
        raise ValueError(f"RVL data: expected numbers of at most {_LONGEST} nibbles, got one of {lengths.max()}")
    place = np.arange(ends[-1] + 1) - np.repeat(starts, lengths)
    return np.add.reduceat((nibbles[: ends[-1] + 1] & 7) << (3 * place), starts)


def _differences(numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(K,) signed differences, and (count,) which pixels they are of: runs of zeros and of others take turns."""
    filled, parts, pixel, at = np.zeros(count, bool), [], 0, 0
    while pixel < count:
        if at + 2 > numbers.size:
            raise ValueError(f"RVL data: expected {count} pixels, got {pixel}")
        zeros, others = int(numbers[at]), int(numbers[at + 1])
        at, pixel = at + 2, pixel + zeros
        if pixel + others > count or at + others > numbers.size:
            raise ValueError(f"RVL data: expected {count} pixels, got {pixel} and a run of {others} behind them")
        filled[pixel : pixel + others] = True
        parts.append(numbers[at : at + others])
        at, pixel = at + others, pixel + others
    if numbers[at:].any():  # the last word is filled up with zeros
        raise ValueError(f"RVL data: expected {count} pixels, got more behind them")
    folded = np.concatenate(parts)
    return (folded >> 1) ^ -(folded & 1), filled
