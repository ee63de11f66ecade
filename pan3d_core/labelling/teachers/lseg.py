"""LSeg (Li et al. 2022) as a teacher: features in the space of CLIP's texts, and of given words the nearest for each pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.labelling.teachers.request import TeacherRequest, needed_package
from pan3d_core.labelling.teachers.table import OpenedModel
from pan3d_core.language.encoders import build_text_encoder
from pan3d_core.models.lseg import prepared_picture, read_lseg_image_encoder
from pan3d_core.refine.labels.sources import VOID, FoundSegments
from pan3d_core.runtime.device import select_device

OTHER = "other"  # the word for what none of those that were asked for is


def open_lseg(request: TeacherRequest) -> OpenedModel:
    """Open both sides of a checkpoint, the texts' only where words are asked for; errors as `build_teacher`."""
    path, labels = request.file("weights", "a checkpoint of LSeg"), request.labels
    device = select_device(request.device)
    model = read_lseg_image_encoder(path).to(device)
    texts = torch.zeros(0, model.sizes.out)
    if len(labels):
        with needed_package(request.name, "install it with the extra [clip]"):
            texts = build_text_encoder("lseg", str(path)).encode([*labels.names, OTHER])

    @torch.no_grad()
    def features(image: Tensor) -> Tensor:
        found: Tensor = model(prepared_picture(image.to(device)))[0].cpu()
        return found

    def look(image: Tensor) -> FoundSegments:
        if not len(labels):
            raise ValueError(f"teacher {request.name}: classes: expected words for what it shall tell apart, got none")
        hw = (image.shape[-2], image.shape[-1])
        alike = torch.einsum("tc,chw->thw", texts, features(image))
        classes = F.interpolate(alike[None], size=hw, mode="bilinear", align_corners=True)[0].argmax(0)
        nothing = torch.zeros(0, dtype=torch.int64)
        semantics = torch.where(classes == len(labels), VOID, classes)
        return FoundSegments(torch.zeros(0, *hw, dtype=torch.bool), nothing, semantics=semantics)

    return OpenedModel(labels, look, features)
