"""Small members of Depth Anything 3 with stored random weights, and FAST3DIS on one of them."""

import json
import lzma
from pathlib import Path

import places
import torch
from safetensors.torch import load, save_file

from pan3d_core.models.da3.backbone import BackboneSettings
from pan3d_core.models.da3.head import HeadSettings
from pan3d_core.models.da3.network import DA3_VARIANTS, Da3Settings
from pan3d_core.models.fast3dis.anchor_decoder import AnchorSettings
from pan3d_core.models.fast3dis.files import save_fast3dis
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disSettings

DATA = places.DATA / "da3"
HEAD = (16, 24, 32, 48)
TINY = {
    "anyview": Da3Settings(BackboneSettings(64, 10, 4, (3, 5, 7, 9), 2), HeadSettings(32, (24, 32, 48, 64)), "none"),
    "odd_swiglu": Da3Settings(BackboneSettings(48, 12, 3, (5, 7, 9, 11), 3, 128), HeadSettings(32, HEAD), "none"),
    "mono": Da3Settings(BackboneSettings(48, 6, 3, (1, 2, 4, 5), None), HeadSettings(32, HEAD), "none"),
}
# The published names that stand for small members in a test.
STAND_INS = {"da3-small": "anyview", "da3-giant": "odd_swiglu", "da3-metric-large": "mono", "da3-mono-large": "mono"}


def weights(name: str) -> dict[str, torch.Tensor]:
    return load(lzma.decompress((DATA / f"{name}.safetensors.xz").read_bytes()))


def make_small(monkeypatch) -> None:
    """Published names mean small members."""
    for published, name in STAND_INS.items():
        settings = TINY[name]
        licence = DA3_VARIANTS[published].licence
        monkeypatch.setitem(DA3_VARIANTS, published, Da3Settings(settings.backbone, settings.head, licence))


def write_member(folder: Path, name: str, model_name: str = "", file: str = "model.safetensors") -> Path:
    """A file like those of the hub, with the config.json beside it when `model_name` is given; name "nested" has two parts."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "nested":
        parts = {"da3": weights("odd_swiglu"), "da3_metric": weights("mono")}
        found = {f"model.{part}.{key.removeprefix('model.')}": v for part, values in parts.items() for key, v in values.items()}
    else:
        found = weights(name)
    save_file({key: value.clone() for key, value in found.items()}, folder / file)
    if model_name:
        (folder / "config.json").write_text(json.dumps({"model_name": model_name}))
    return folder / file


def write_fast3dis(path: Path, **decoder: int) -> Path:
    """A checkpoint of a FAST3DIS on the any-view member whose queries all claim to be objects."""
    torch.manual_seed(0)
    sizes = {"queries": 6, "dim": 32, "heads": 4, "feed_forward": 48, "layers": 3, "bands": 8, **decoder}
    model = Fast3dis(Fast3disSettings(TINY["anyview"], AnchorSettings(**sizes), 4, 4.0))
    random = {name.removeprefix("model."): value.float() for name, value in weights("anyview").items()}
    state = {
        name: random.get(name.removeprefix("da3.").replace(".linear.", "."), value) for name, value in model.state_dict().items()
    }
    model.load_state_dict(state)
    with torch.no_grad():
        for layer in model.lora_layers():
            layer.lora.lora_B.weight.normal_(std=0.2)
        model.decoder.class_head.bias.copy_(torch.tensor([3.0, 0.0]))
    save_fast3dis(model, {"licence": "none"}, path)
    return path
