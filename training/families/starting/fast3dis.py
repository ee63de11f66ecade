"""What a run of `fast3dis` starts from: official weights of its base (corrections then start at zero and the new parts fresh), a
training checkpoint of the family, whose averaged weights are taken, or an exported file."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from pan3d_core.models.da3.network import DA3_VARIANTS, assign_official, members_like
from pan3d_core.models.fast3dis.files import FORMAT, Network, NetworkSettings, load_fast3dis
from pan3d_core.models.fast3dis.map_anchors import MapAnchors
from pan3d_core.models.fast3dis.network import Fast3dis
from pan3d_core.models.mapanything import MapAnythingSizes
from pan3d_core.models.mapanything.files import canonical_weights
from pan3d_core.runtime.weights import assign_weights, family_of, read_metadata, read_weights
from pan3d_core.settings import to_plain
from training.families.fast3dis_settings import Fast3disFamilySettings
from training.families.starting.corrections import fit_corrections
from training.run.checkpoints import read_state


def load_start(model: Network, path: str) -> None:
    """Give a network what a run starts from.

    Args:
        model: The network.
        path: The file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is of another kind or size.
    """
    found = read_weights(path)
    family = family_of({name.removeprefix("model.") for name in found})
    if isinstance(model, Fast3dis) and family == "Depth Anything 3":
        load_base(model, found, path)
    elif isinstance(model, MapAnchors) and family == "MapAnything":
        load_map_anything(model, found, path)
    elif read_metadata(path).get("format") == FORMAT:
        exported, _ = load_fast3dis(path)
        require_network(model.settings, exported.settings, path)
        model.load_state_dict(exported.state_dict())
    elif Path(path).suffix == ".pt" and "decoder.content" in found and "pixels.inject.weight" in found:
        state = read_state(Path(path))
        require_network(model.settings, Fast3disFamilySettings.from_dict(state["architecture"]).network, path)
        assign_weights(model, state["ema"], origin=path)
    else:
        base = "MapAnything" if isinstance(model, MapAnchors) else "Depth Anything 3"
        raise ValueError(
            f"start_from: expected official weights of {base}, a training checkpoint of fast3dis or an exported file, "
            f"got {path}, which looks like {family or 'another model'}"
        )


def load_base(model: Fast3dis, found: dict[str, Tensor], origin: str) -> None:
    """Give the Depth Anything 3 inside `model` its official tensors, strictly; low-rank corrections keep their start (zero)."""
    wanted, other = model.settings.base, next(iter(members_like(found)), None)
    if other is not None and DA3_VARIANTS[other].backbone != wanted.backbone:
        own = next((name for name, settings in DA3_VARIANTS.items() if settings == wanted), "a network of its own size")
        raise ValueError(f"start_from: expected weights of model.base={own}, got {origin}, which looks like {other}")
    named = {name.removeprefix("model."): value for name, value in found.items()}
    assign_official(model.da3, fit_corrections(named, model.da3.state_dict()), origin)


def load_map_anything(model: MapAnchors, found: dict[str, Tensor], origin: str) -> None:
    """Give the MapAnything inside `model` its official tensors, strictly; low-rank corrections keep their start (zero)."""
    named = canonical_weights(found, origin)
    sizes = MapAnythingSizes.of_weights(named, origin)
    # Heads are told by no tensor, but by the width that published members have.
    told = {name: value for name, value in to_plain(sizes).items() if name not in ("encoder_heads", "heads", "taps")}
    own = to_plain(model.settings.base)
    if differing := {name: value for name, value in told.items() if value != own[name]}:
        name, got = next(iter(differing.items()))
        raise ValueError(
            f"start_from: expected weights of model.base.map_anything.{name}={own[name]}, got {origin} with {got}; its sizes are "
            f"model.base={{map_anything: {json.dumps(to_plain(sizes))}}}"
        )
    assign_weights(model.map_anything, fit_corrections(named, model.map_anything.state_dict()), origin=origin)


def require_network(wanted: NetworkSettings, found: NetworkSettings, origin: str) -> None:
    """Raise `ValueError` that names the parts in which the network of a file differs."""
    if type(wanted) is not type(found):
        kinds = ["MapAnything" if hasattr(settings.base, "shared_dim") else "Depth Anything 3" for settings in (wanted, found)]
        raise ValueError(f"start_from: expected a network on {kinds[0]}, got {origin} on {kinds[1]}")
    differing = [name for name in vars(wanted) if getattr(wanted, name) != getattr(found, name)]
    if differing:
        name = differing[0]
        raise ValueError(
            f"start_from: expected a network with model.{name} {getattr(wanted, name)}, got {origin} with {getattr(found, name)}"
        )
