"""What is remembered, written to a file and read again when somebody asks or the node is configured."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from pan3d_core.memory import World, WorldMemory, read_world, write_world
from pan3d_ros.outputs.diagnostics import OK, status
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.parameters.values import expanded_path
from pan3d_ros.services.private.own import OwnServices

log = logging.getLogger("pan3d.ros.world")


class WorldServices(OwnServices):
    """`~/save_world` and `~/load_world`, below the node's own name only.

    Args:
        node: That offers them.
        settings: Gives the node's settings.
        memory: Gives the memory of the model in use; None = the node is not configured.
    """

    def __init__(self, node: Node, settings: Callable[[], NodeConfig], memory: Callable[[], WorldMemory | None]) -> None:
        answers = {"save_world": (Trigger, self._save), "load_world": (Trigger, self._load)}
        super().__init__(node, MutuallyExclusiveCallbackGroup(), answers)
        self._settings, self._memory = settings, memory

    def _save(self, _: Any, response: Any) -> Any:
        def save(memory: WorldMemory, path: Path, __: NodeConfig) -> str:
            write_world(path, memory.world)
            return f"{len(memory.world.objects)} objects are in {path}"

        return self._answer(response, save)

    def _load(self, _: Any, response: Any) -> Any:
        def load(memory: WorldMemory, path: Path, config: NodeConfig) -> str:
            world = read_world(path, config.reference_frame)
            before = len(memory.world.objects)
            memory.use_world(world)
            return f"{len(world.objects)} objects of {path} take the place of the {before} remembered, with the next view set"

        return self._answer(response, load)

    def _answer(self, response: Any, work: Callable[[WorldMemory, Path, NodeConfig], str]) -> Any:
        memory, config = self._memory(), self._settings()
        try:
            if memory is None:
                raise ValueError("the node is not configured: nothing is remembered")
            response.message = work(memory, world_path(config), config)
            response.success = True
        except (ValueError, OSError) as error:
            response.success, response.message = False, str(error)
        log.log(logging.INFO if response.success else logging.WARNING, response.message)
        return response


def world_path(config: NodeConfig) -> Path:
    """Give the file of the parameter `world.file`.

    Raises:
        ValueError: There is none, or a user without a home folder has `~` in it.
    """
    if not config.world.file:
        raise ValueError("world.file: expected the path of a .safetensors file, got none")
    path = expanded_path("world.file", config.world.file)
    if path.suffix != ".safetensors":
        raise ValueError(f"world.file: expected a path that ends in .safetensors, got {config.world.file!r}")
    return path


def begin_with_stored(memory: WorldMemory, config: NodeConfig) -> None:
    """Let a new memory begin with the world of `world.file` where `world.load` says so; without a file yet it begins empty.

    Raises:
        ValueError: The file is damaged, or of another frame or version.
        OSError: It cannot be read.
    """
    if not config.world.load:
        return
    path = world_path(config)
    if path.exists():
        memory.use_world(read_world(path, config.reference_frame))
    else:
        log.warning("world.load: %s is not there yet; nothing is remembered from before", path)


def world_status(world: World) -> DiagnosticStatus:
    """Tell what became of the objects that are remembered.

    Args:
        world: What is remembered.

    Returns:
        OK, with the number of objects in each state, and why each of those is believed that are not seen.
    """
    counts = Counter(item.state.value for item in world.objects)
    words = ", ".join(f"{count} {state}" for state, count in counts.most_common()) or "no object is remembered"
    values = {f"{item.name or 'object'} {item.instance_id}": item.reason for item in world.objects if not item.seen}
    return status("world", OK, words, values)
