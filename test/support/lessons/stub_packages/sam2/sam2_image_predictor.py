import numpy as np

from sam2.build_sam import Network


class SAM2ImagePredictor:
    def __init__(self, sam_model, mask_threshold=0.0, max_hole_area=0.0, max_sprinkle_area=0.0, **kwargs):
        assert isinstance(sam_model, Network)
        self.image = None

    def set_image(self, image):
        assert image.dtype == np.uint8 and image.shape[2] == 3
        self.image = image

    def predict(
        self, point_coords=None, point_labels=None, box=None, mask_input=None, multimask_output=True, return_logits=False,
        normalize_coords=True,
    ):  # fmt: skip
        assert self.image is not None and box.shape == (4,) and not multimask_output
        left, top, right, bottom = (round(float(side)) for side in box)
        mask = np.zeros(self.image.shape[:2], np.float32)
        mask[top:bottom, left:right] = self.image[top:bottom, left:right].max(-1) > 100
        return mask[None], np.array([0.9], np.float32), np.zeros((1, 256, 256), np.float32)
