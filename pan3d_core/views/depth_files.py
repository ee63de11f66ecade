"""Measured depth as 16-bit pictures of scene folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pan3d_core.views.image_files import read_16_bit, write_16_bit

DEPTH_UNIT_M = 1e-4


def read_depth(path: Path | str) -> Tensor:
    """(H, W) metres of a 16-bit depth PNG in 0.1 mm; errors as `read_image`."""
    return torch.from_numpy(read_16_bit(path).astype(np.float64) * DEPTH_UNIT_M).float()


def write_depth(path: Path, depth: Tensor) -> None:
    """Write depth as 16-bit PNG in 0.1 mm; what does not fit (NaN, negative, beyond 6.5535 m) becomes 0.

    Args:
        path: Of the file.
        depth: (H, W) metres.
    """
    units = (depth.double() / DEPTH_UNIT_M).round()
    usable = torch.isfinite(units) & (units > 0) & (units <= 65535)
    write_16_bit(path, torch.where(usable, units, 0.0))
