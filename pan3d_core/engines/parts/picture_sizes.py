"""Which size pictures have for a network."""

from __future__ import annotations

import torch

from pan3d_core.config import PreprocessConfig
from pan3d_core.structures import CameraView
from pan3d_core.views.preprocessing import preprocess


def network_size(config: PreprocessConfig, picture_hw: tuple[int, int] | None = None) -> tuple[int, int]:
    """Find the size at which an engine sees pictures.

    Args:
        config: How it wants them prepared.
        picture_hw: Rows and columns as the cameras give them; None = the size that `config` names.

    Returns:
        Rows and columns.
    """
    if picture_hw is None:
        return config.height, config.width
    return preprocess([CameraView(image=torch.zeros(3, *picture_hw))], config).hw
