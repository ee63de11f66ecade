"""The objectives of the families, one module each; all are functions of tensors and know models, never the loop."""

from training.losses.eps3d import eps3d_losses
from training.losses.fast3dis import scene_losses
from training.losses.geometry import camera_loss, depth_loss, distillation_losses
from training.losses.mini import mini_losses

__all__ = ["camera_loss", "depth_loss", "distillation_losses", "eps3d_losses", "mini_losses", "scene_losses"]
