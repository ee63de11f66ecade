"""All published members of Depth Anything 3; they know layers, weight files and the camera code of VGGT."""

from pan3d_core.models.da3.backbone import PATCH_SIZE, BackboneSettings, BackboneTokens, Da3Backbone
from pan3d_core.models.da3.cameras import decoded_cameras, pixel_centred, relative_to_first
from pan3d_core.models.da3.head import HeadSettings
from pan3d_core.models.da3.network import (
    DA3_NAMES,
    DA3_VARIANTS,
    AnyViewDa3,
    Da3Output,
    Da3Settings,
    MonocularDa3,
    MonocularOutput,
    NestedDa3,
    assign_official,
    build_da3,
    fill_sky,
    load_da3,
    metric_output,
    variant_of,
)
from pan3d_core.models.da3.rays import cameras_from_rays

__all__ = [
    "AnyViewDa3",
    "BackboneSettings",
    "BackboneTokens",
    "DA3_NAMES",
    "DA3_VARIANTS",
    "Da3Backbone",
    "Da3Output",
    "Da3Settings",
    "HeadSettings",
    "MonocularDa3",
    "MonocularOutput",
    "NestedDa3",
    "PATCH_SIZE",
    "assign_official",
    "build_da3",
    "cameras_from_rays",
    "decoded_cameras",
    "fill_sky",
    "load_da3",
    "metric_output",
    "pixel_centred",
    "relative_to_first",
    "variant_of",
]
