"""LSeg's image side: pixels to features in the space of CLIP's texts; it knows tensors and weight files alone."""

from pan3d_core.models.lseg.network import LsegImageEncoder, LsegSizes, prepared_picture, read_lseg_image_encoder

__all__ = ["LsegImageEncoder", "LsegSizes", "prepared_picture", "read_lseg_image_encoder"]
