"""Depth as drivers pack it: RVL by an encoder that follows the program in Wilson's paper word by word."""

import struct

import numpy as np


class Compressed:
    """A CompressedImage."""

    def __init__(self, text, data):
        self.format, self.data = text, np.frombuffer(data, np.uint8)


def encode_rvl(depth):
    """Packed pixels of (H, W) uint16, without the size."""
    nibbles = []

    def put(value):
        while True:
            nibble, value = value & 7, value >> 3
            nibbles.append(nibble | 8 if value else nibble)
            if not value:
                return

    pixels, at, previous = depth.ravel().tolist(), 0, 0
    while at < len(pixels):
        for zero in (True, False):
            end = at
            while end < len(pixels) and (pixels[end] == 0) == zero:
                end += 1
            put(end - at)
            for value in [] if zero else pixels[at:end]:
                difference, previous = value - previous, value
                put((difference << 1) ^ (difference >> 31))
            at = end
    nibbles += [0] * (-len(nibbles) % 8)
    words = [int("".join(f"{n:x}" for n in nibbles[i : i + 8]), 16) for i in range(0, len(nibbles), 8)]
    return struct.pack(f"<{len(words)}I", *words)


def sized(depth):
    return struct.pack("<II", depth.shape[1], depth.shape[0]) + encode_rvl(depth)
