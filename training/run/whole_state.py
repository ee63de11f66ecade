"""State of model and optimiser as whole tensors by parameter name, whether every rank has a copy or a shard.

The packages for sharded state take as long to load as torch itself, so they are imported where they are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.checkpoint.state_dict import StateDictOptions


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a sharded tensor; other tensors themselves."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor gathered from all ranks, all of which must call it; other tensors themselves."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def shard(module: nn.Module, blocks: list[nn.Module], device: torch.device, world: int) -> None:
    """Split the parameters of `module` over all ranks, in place (FSDP2); `blocks` are gathered one at a time."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (world,))
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's own types
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)


def _options() -> StateDictOptions:
    from torch.distributed.checkpoint.state_dict import StateDictOptions

    return StateDictOptions(full_state_dict=True, cpu_offload=True)


def model_state(model: nn.Module, *, sharded: bool) -> dict[str, Tensor]:
    """Complete on rank 0 only when sharded; then all ranks must call it."""
    if not sharded:
        return model.state_dict()
    from torch.distributed.checkpoint.state_dict import get_model_state_dict

    return {name: value for name, value in get_model_state_dict(model, options=_options()).items() if isinstance(value, Tensor)}


def load_model_state(model: nn.Module, state: dict[str, Tensor], *, sharded: bool) -> None:
    """Names and shapes must agree."""
    if not sharded:
        model.load_state_dict(state)
        return
    from torch.distributed.checkpoint.state_dict import set_model_state_dict

    set_model_state_dict(model, dict(state), options=_options())


def optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer, *, sharded: bool) -> dict:
    """`{"state": {name: ...}, "param_groups": [{"params": [names], ...}]}`; as `model_state` for ranks."""
    if sharded:
        from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

        return get_optimizer_state_dict(model, optimizer, options=_options())
    names = {id(p): name for name, p in model.named_parameters()}
    groups = [{**group, "params": [names[id(p)] for p in group["params"]]} for group in optimizer.param_groups]
    return {"state": {names[id(p)]: dict(own) for p, own in optimizer.state.items()}, "param_groups": groups}


def load_optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer, state: dict, *, sharded: bool) -> None:
    """The groups must hold the same parameters; `ValueError` otherwise."""
    names = {id(p): name for name, p in model.named_parameters()}
    members = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    saved = [list(group["params"]) for group in state["param_groups"]]
    if [sorted(own) for own in members] != [sorted(own) for own in saved]:
        raise ValueError("optimizer: expected a checkpoint with the same groups of trained parameters, got others")
    if sharded:
        from torch.distributed.checkpoint.state_dict import set_optimizer_state_dict

        set_optimizer_state_dict(model, optimizer, state, options=_options())
        return
    order = [name for own in members for name in own]
    place = {name: number for number, name in enumerate(order)}
    groups = [
        {**group, "params": [place[name] for name in own]} for group, own in zip(state["param_groups"], members, strict=True)
    ]
    moments = {place[name]: own for name, own in state["state"].items()}
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
