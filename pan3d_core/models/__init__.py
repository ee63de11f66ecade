"""Networks, a room per family; here their losses and matching: tensors in, tensors out; they know no engine and no camera."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_core.models.losses import SegVggtLossWeights as SegVggtLossWeights
    from pan3d_core.models.losses import classification_loss as classification_loss
    from pan3d_core.models.losses import frame_divergence as frame_divergence
    from pan3d_core.models.losses import js_divergence as js_divergence
    from pan3d_core.models.losses import mask_bce as mask_bce
    from pan3d_core.models.losses import mask_dice as mask_dice
    from pan3d_core.models.losses import objectness_loss as objectness_loss
    from pan3d_core.models.losses import segvggt_losses as segvggt_losses
    from pan3d_core.models.matching import InstanceTargets as InstanceTargets
    from pan3d_core.models.matching import NonFiniteCost as NonFiniteCost
    from pan3d_core.models.matching import match_queries as match_queries
    from pan3d_core.models.matching import segvggt_cost as segvggt_cost
    from pan3d_core.models.matching import targets_from_ids as targets_from_ids

# Loaded on first use, so that a family does not wait for the assignment's library; networks are in the families' rooms.
_NAMES = {
    "losses": (
        "SegVggtLossWeights",
        "classification_loss",
        "frame_divergence",
        "js_divergence",
        "mask_bce",
        "mask_dice",
        "objectness_loss",
        "segvggt_losses",
    ),
    "matching": (
        "InstanceTargets",
        "NonFiniteCost",
        "match_queries",
        "segvggt_cost",
        "targets_from_ids",
    ),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
