"""Results of other programs, kept small: npz files, packed again by xz.

Float32 results that are compared to within 2e-5 are rounded to a multiple of 2^-19 (1e-6 off at most), those compared to within
5e-5 and 1e-4 to 2^-18 and 2^-17; the bits below are noise that no compressor shortens. What is compared more closely is exact.
"""

import io
import lzma

import numpy as np
from places import DATA


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """Arrays of `path` below test/data: an npz file as it is, or packed by xz under the same name and `.xz`."""
    plain = DATA / path
    packed = plain.with_name(plain.name + ".xz")
    source = plain if plain.exists() else io.BytesIO(lzma.decompress(packed.read_bytes()))
    with np.load(source) as archive:
        return {name: archive[name] for name in archive.files}
