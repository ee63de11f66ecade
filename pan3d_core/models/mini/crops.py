"""What an `ImageStem` says of pictures of single objects, cut out of views at full size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from pan3d_core.models.mini.image_stem import MEAN, ImageStem

_LEAST = 1e-8


class StemCrops:
    """Averages each map of a stem over an object, and takes its spread.

    Args:
        stem: As it was published; it may be folded and moved to a device afterwards.

    Attributes:
        checkpoint: checksum of the stem's weights.
    """

    def __init__(self, stem: ImageStem) -> None:
        self._stem, self.checkpoint = stem, stem.checksum()

    @torch.inference_mode()
    def __call__(self, pictures: Tensor, masks: Tensor) -> Tensor:
        """Describe pictures of single objects.

        Args:
            pictures: (N, 3, H, W) RGB 0..1, sides multiples of 16.
            masks: (N, H, W) bool, the object's pixels; what surrounds it does not count.

        Returns:
            (N, 352) means and standard deviations at strides 4, 8 and 16.
        """
        device = next(self._stem.parameters()).device
        shown, inside = pictures.to(device), masks[:, None].to(device, pictures.dtype)
        neutral = shown.new_tensor(MEAN)[:, None, None]
        found = []
        for maps in self._stem(shown * inside + neutral * (1 - inside)):
            share = adaptive_avg_pool2d(inside, (maps.shape[-2], maps.shape[-1]))
            share = share / share.sum((2, 3), keepdim=True).clamp_min(_LEAST)
            mean = (maps * share).sum((2, 3))
            spread = ((maps - mean[..., None, None]) ** 2 * share).sum((2, 3))
            found += [mean, spread.clamp_min(_LEAST).sqrt()]
        return torch.cat(found, 1)
