"""3D Gaussians of one place with the objects in it: the object that is stored, rendered, edited and shown, and its file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from pan3d_core.gaussians.ownership import gaussian_instance_ids
from pan3d_core.language.prompts import name_segments
from pan3d_core.language.text_space import TextSpace
from pan3d_core.rendering.rasterizer import rasterize
from pan3d_core.runtime.checksums import read_stored
from pan3d_core.runtime.files import named_file, written_whole
from pan3d_core.structures import Gaussians, PerceptionResult, require_shape, to_device

MIN_OPACITY = 0.5  # where less was rendered there is no surface
FORMAT = "pan3d-gaussians/1"
GAUSSIAN_FIELDS = ("means", "scales", "quats_wxyz", "opacities", "colors")
FEATURE_FIELDS = ("semantic_features", "instance_features")
SCENE_FIELDS = ("instance_id", "cam_from_world", "intrinsics")
TEXT_FIELDS = ("weight", "bias")
TEXT_PREFIX = "text_space."
Kind = type | tuple[type, ...]  # of a value, as `isinstance` takes it
FACTS: dict[str, Kind] = {
    "names": dict,
    "image_hw": list,
    "is_metric": bool,
    "world_frame_id": str,
    "text_space": (dict, type(None)),
}
TEXT_FACTS: dict[str, Kind] = {"encoder": str, "temperature": float, "none_similarity": float}


@dataclass(frozen=True)
class GaussianScene:
    """3D Gaussians of one place with the objects in it, as they are stored, rendered, edited and shown.

    Raises `ValueError` for wrong shapes, values that are not finite, opacities outside 0..1, negative scales, quaternions of
    length 0, ids below 0 or without a name, and names of ids below 1. Names of objects without Gaussians are allowed.
    """

    gaussians: Gaussians  # world frame
    instance_id: Tensor  # (N,) int64, 0 = none
    names: dict[int, str]  # display name of every instance id
    cam_from_world: Tensor  # (S, 4, 4) the views it was made from; none for a scene from another program
    intrinsics: Tensor  # (S, 3, 3) pixels at `image_hw`, integer = pixel centre
    image_hw: tuple[int, int]  # height and width of the views
    is_metric: bool
    world_frame_id: str = "world"
    text_space: TextSpace | None = None  # of `gaussians.semantic_features`

    def __post_init__(self) -> None:
        views = len(self.cam_from_world)
        require_shape("GaussianScene.instance_id", self.instance_id, (len(self.gaussians),))
        require_shape("GaussianScene.cam_from_world", self.cam_from_world, (None, 4, 4))
        require_shape("GaussianScene.intrinsics", self.intrinsics, (views, 3, 3))
        _check_gaussians(self.gaussians)
        _check_ids(self.instance_id, self.names)
        for name in ("cam_from_world", "intrinsics"):
            _require_finite(f"GaussianScene.{name}", getattr(self, name))
        if not bool((self.intrinsics.diagonal(dim1=-2, dim2=-1)[:, :2] > 0).all()):
            raise ValueError(f"GaussianScene.intrinsics: expected positive focal lengths, got {self.intrinsics.tolist()}")
        if len(self.image_hw) != 2 or any(type(side) is not int or side < 1 for side in self.image_hw):
            raise ValueError(f"GaussianScene.image_hw: expected height and width of at least 1, got {self.image_hw!r}")
        features = self.gaussians.semantic_features
        if self.text_space is not None and features is not None and features.shape[1] != self.text_space.weight.shape[1]:
            width = self.text_space.weight.shape[1]
            raise ValueError(f"GaussianScene.text_space: expected {features.shape[1]} channels as the features, got {width}")

    def ids(self) -> tuple[int, ...]:
        """The instances that have Gaussians, rising."""
        return tuple(value for value in self.instance_id.unique().tolist() if value > 0)


def _require_finite(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise ValueError(f"{name}: expected floating point, got {tensor.dtype}")
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{name}: expected finite values, got NaN or infinity")


def _check_gaussians(gaussians: Gaussians) -> None:
    for name in (*GAUSSIAN_FIELDS, *FEATURE_FIELDS):
        if getattr(gaussians, name) is not None:
            _require_finite(f"Gaussians.{name}", getattr(gaussians, name))
    if bool(((gaussians.opacities < 0) | (gaussians.opacities > 1)).any()):
        extremes = [float(value) for value in gaussians.opacities.aminmax()]
        raise ValueError(f"Gaussians.opacities: expected 0..1, got {extremes[0]:g} to {extremes[1]:g}")
    if bool((gaussians.scales < 0).any()):
        raise ValueError(f"Gaussians.scales: expected no negative lengths, got {float(gaussians.scales.min()):g}")
    if bool((gaussians.quats_wxyz == 0).all(-1).any()):
        raise ValueError("Gaussians.quats_wxyz: expected norms above 0, got one of 0")


def _check_ids(instance_id: Tensor, names: dict[int, str]) -> None:
    if instance_id.dtype != torch.int64:
        raise ValueError(f"GaussianScene.instance_id: expected int64, got {instance_id.dtype}")
    wrong = {key: name for key, name in names.items() if type(key) is not int or key < 1 or not isinstance(name, str)}
    if wrong:
        raise ValueError(f"GaussianScene.names: expected texts of ids from 1 on, got {wrong!r}")
    found = instance_id.unique().tolist()
    if found and found[0] < 0:
        raise ValueError(f"GaussianScene.instance_id: expected 0 or more, got {found[0]}")
    nameless = [value for value in found if value > 0 and value not in names]
    if nameless:
        raise ValueError(f"GaussianScene.names: expected one of every id, got none of {', '.join(map(str, nameless))}")


def scene_of_result(result: PerceptionResult, text_space: TextSpace | None) -> GaussianScene:
    """Keep the Gaussians of a result with the objects found in it, on the CPU; `text_space` is that of the engine.

    Which Gaussians a view sees is judged by their own depth, as rendered: that of the reconstruction may have been measured, or
    moved to where masks of several views meet. Objects that no Gaussian belongs to are left out. Raises `ValueError` if the
    reconstruction has no Gaussians.

    Args:
        result: Of an engine that makes Gaussians.
        text_space: `engine.facts.text_space`; None = without semantics to ask.

    Returns:
        The scene, to store, edit and render.
    """
    reconstruction = result.reconstruction
    if reconstruction.gaussians is None:
        raise ValueError("Reconstruction.gaussians: expected 3D Gaussians, got none: this engine makes no Gaussians")
    image_hw = (reconstruction.depth.shape[-2], reconstruction.depth.shape[-1])
    with torch.no_grad():
        made = rasterize(reconstruction.gaussians, reconstruction.cam_from_world, reconstruction.intrinsics, image_hw)
    surface = torch.where(made.opacity >= MIN_OPACITY, made.depth, 0.0)
    seen = replace(reconstruction, depth=surface)
    instance_id = gaussian_instance_ids(reconstruction.gaussians, seen, result.panoptic).cpu()
    present = set(instance_id.unique().tolist())
    return GaussianScene(
        gaussians=to_device(reconstruction.gaussians, "cpu"),
        instance_id=instance_id,
        names={key: name for key, name in name_segments(result.panoptic).items() if key in present},
        cam_from_world=reconstruction.cam_from_world.cpu(),
        intrinsics=reconstruction.intrinsics.cpu(),
        image_hw=image_hw,
        is_metric=reconstruction.is_metric,
        world_frame_id=result.panoptic.world_frame_id,
        text_space=None if text_space is None else to_device(text_space, "cpu"),
    )


def write_gaussian_scene(path: Path | str, scene: GaussianScene) -> None:
    """Write a scene: float32 and int64 tensors, everything else as JSON in the file's metadata.

    The file appears whole or not at all, so a scene may be written over the file that it was read from.

    Args:
        path: Of a `.safetensors` file.
        scene: On any device.
    """
    path = Path(path)
    tensors = {name: getattr(scene.gaussians, name) for name in (*GAUSSIAN_FIELDS, *FEATURE_FIELDS)}
    tensors |= {name: getattr(scene, name) for name in SCENE_FIELDS}
    facts: dict[str, Any] = {
        "names": {str(key): name for key, name in scene.names.items()},
        "image_hw": list(scene.image_hw),
        "is_metric": scene.is_metric,
        "world_frame_id": scene.world_frame_id,
        "text_space": None,
    }
    if scene.text_space is not None:
        tensors |= {TEXT_PREFIX + name: getattr(scene.text_space, name) for name in TEXT_FIELDS}
        facts["text_space"] = {name: getattr(scene.text_space, name) for name in TEXT_FACTS}
    stored = {name: _as_stored(value) for name, value in tensors.items() if value is not None}
    # Not `save_file`, whose files nobody else may read, whatever the user's mask says.
    content = save(stored, {"format": FORMAT, "scene": json.dumps(facts, ensure_ascii=False)})
    with written_whole(path) as part:
        part.write_bytes(content)


def _as_stored(value: Tensor) -> Tensor:
    # A copy of its own, since tensors that share memory cannot be stored.
    return value.detach().to("cpu", torch.float32 if value.is_floating_point() else torch.int64).contiguous().clone()


def read_gaussian_scene(path: Path | str) -> GaussianScene:
    """Read what `write_gaussian_scene` wrote, on the CPU, strictly.

    Args:
        path: A `.safetensors` file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged, of another kind, or holds values that `GaussianScene` refuses; names file and field.
    """
    tensors, metadata = read_stored(path, "scene", "a file of 3D Gaussians")
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: format: expected {FORMAT!r}, got {metadata.get('format')!r}")
    with named_file(path, "a scene of 3D Gaussians"):
        return _scene_from(_read_facts(metadata.get("scene", "")), tensors)


def _read_facts(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"scene: expected JSON, got something else: {error}") from error
    facts = _checked_facts("scene", content, FACTS)
    if facts["text_space"] is not None:
        _checked_facts("text_space", facts["text_space"], TEXT_FACTS)
    if not all(key.isdecimal() for key in facts["names"]):
        raise ValueError(f"names: expected whole numbers with texts, got {facts['names']!r}")
    return facts


def _checked_facts(where: str, facts: object, expected: Mapping[str, Kind]) -> dict[str, Any]:
    if not isinstance(facts, dict) or set(facts) != set(expected):
        got = ", ".join(facts) if isinstance(facts, dict) else type(facts).__name__
        raise ValueError(f"{where}: expected {', '.join(expected)}, got {got}")
    for name, kind in expected.items():
        if not isinstance(facts[name], kind):
            raise ValueError(f"{where}.{name}: expected {kind}, got {facts[name]!r}")
    return facts


def _scene_from(facts: dict[str, Any], tensors: dict[str, Tensor]) -> GaussianScene:
    text_names = tuple(TEXT_PREFIX + name for name in TEXT_FIELDS) if facts["text_space"] is not None else ()
    required = {*GAUSSIAN_FIELDS, *SCENE_FIELDS, *text_names}
    missing, unknown = required - set(tensors), set(tensors) - required - set(FEATURE_FIELDS)
    if missing or unknown:
        wanted = ", ".join(sorted(required))
        raise ValueError(f"tensors: expected {wanted}, got {', '.join(sorted(tensors)) or 'none'}")
    for name, value in tensors.items():
        kind = torch.int64 if name == "instance_id" else torch.float32
        if value.dtype != kind:
            raise ValueError(f"{name}: expected {kind}, got {value.dtype}")
    text_space = None
    if facts["text_space"] is not None:
        text_space = TextSpace(tensors[TEXT_PREFIX + "weight"], tensors[TEXT_PREFIX + "bias"], **facts["text_space"])
    return GaussianScene(
        gaussians=Gaussians(
            means=tensors["means"],
            scales=tensors["scales"],
            quats_wxyz=tensors["quats_wxyz"],
            opacities=tensors["opacities"],
            colors=tensors["colors"],
            semantic_features=tensors.get("semantic_features"),
            instance_features=tensors.get("instance_features"),
        ),
        names={int(key): name for key, name in facts["names"].items()},
        image_hw=tuple(facts["image_hw"]),
        is_metric=facts["is_metric"],
        world_frame_id=facts["world_frame_id"],
        text_space=text_space,
        instance_id=tensors["instance_id"],
        cam_from_world=tensors["cam_from_world"],
        intrinsics=tensors["intrinsics"],
    )
