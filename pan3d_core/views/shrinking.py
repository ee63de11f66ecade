"""Views of fewer pixels, with all that is known of them."""

from __future__ import annotations

from dataclasses import replace

from torch.nn.functional import interpolate

from pan3d_core.geometry.cameras import resized_intrinsics
from pan3d_core.structures import CameraView, unit_range


def shrunk(view: CameraView, longest: int) -> CameraView:
    """Bring a view to a smaller size.

    Args:
        view: With intrinsics.
        longest: Pixels of its longer side, at most.

    Returns:
        The view with image, depth and intrinsics of the smaller size; the same one where it is small enough.
    """
    height, width = view.hw
    if max(height, width) <= longest:
        return view
    hw = (round(height * longest / max(height, width)), round(width * longest / max(height, width)))
    image = interpolate(unit_range(view.image)[None], size=hw, mode="area")[0]
    # Depth is picked, never mixed: between two surfaces there is none.
    depth = None if view.depth is None else interpolate(view.depth[None, None], size=hw, mode="nearest-exact")[0, 0]
    intrinsics = resized_intrinsics(view.calibration()[0].float(), view.hw, hw)
    return replace(view, image=image, depth=depth, intrinsics=intrinsics)
