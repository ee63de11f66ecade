import numpy as np

from sam2.build_sam import Network


class SAM2AutomaticMaskGenerator:
    def __init__(
        self, model, points_per_side=32, points_per_batch=64, pred_iou_thresh=0.8, stability_score_thresh=0.95,
        stability_score_offset=1.0, mask_threshold=0.0, box_nms_thresh=0.7, crop_n_layers=0, crop_nms_thresh=0.7,
        crop_overlap_ratio=512 / 1500, crop_n_points_downscale_factor=1, point_grids=None, min_mask_region_area=0,
        output_mode="binary_mask", use_m2m=False, multimask_output=True, **kwargs,
    ):  # fmt: skip
        assert isinstance(model, Network)
        self.model, self.pred_iou_thresh = model, pred_iou_thresh

    def generate(self, image):
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        if self.model.content == b"too large":
            raise MemoryError("no room")
        whole = image.max(-1) > 100
        parts = [(whole, 0.85), ((image[..., 0] > 100) & whole, 0.95), (whole, 0.5)]
        found = [
            {"segmentation": mask, "area": int(mask.sum()), "bbox": [0, 0, 1, 1], "predicted_iou": sure, "stability_score": 0.99}
            for mask, sure in parts
            if sure >= self.pred_iou_thresh and mask.any()
        ]
        if self.model.content == b"wrong shape":
            found = [{**item, "segmentation": item["segmentation"][:-1]} for item in found]
        if self.model.content == b"wrong values":
            found = [{**item, "segmentation": item["segmentation"] * 0.5} for item in found]
        return found
