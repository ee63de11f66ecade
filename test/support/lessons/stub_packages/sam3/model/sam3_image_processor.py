import numpy as np
import torch
from PIL import Image


class Sam3Processor:
    def __init__(self, model, resolution=1008, device="cuda", confidence_threshold=0.5):
        assert model["device"] == device
        self.confidence_threshold = confidence_threshold

    def set_image(self, image, state=None):
        assert isinstance(image, Image.Image)
        return {"pixels": torch.from_numpy(np.array(image))}

    def reset_all_prompts(self, state):
        state.pop("masks", None)

    def set_text_prompt(self, prompt, state):
        assert "masks" not in state
        red, green, _ = (state["pixels"].movedim(-1, 0) > 100).unbind(0)
        shown = {"red box": (red & ~green, 0.9), "green box": (green & ~red, 0.7), "table": (~red & ~green, 0.8)}
        mask, score = shown.get(prompt, (red & ~red, 0.0))
        keep = bool(mask.any()) and score > self.confidence_threshold
        state["masks"] = mask[None, None] if keep else torch.zeros(0, 1, *mask.shape, dtype=torch.bool)
        state["scores"] = torch.tensor([score] if keep else [])
        state["boxes"] = torch.zeros(len(state["scores"]), 4)
        return state
