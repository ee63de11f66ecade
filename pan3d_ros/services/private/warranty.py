"""`~/confirm_answer`: whether the newest answer was right; from that, which answers may be given."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pan3d_interfaces.msg import ErrorCode
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_srvs.srv import SetBool

from pan3d_core.language.selection import Selection
from pan3d_core.structures import PerceptionResult
from pan3d_core.warranty import OBJECT, WORDS, Promises
from pan3d_ros.parameters.node_config import WarrantyConfig
from pan3d_ros.parameters.values import expanded_path
from pan3d_ros.services.private.own import OwnServices
from pan3d_ros.services.requests import RequestError

log = logging.getLogger("pan3d.ros.warranty")


class Warranty:
    """Promises by the parameters of the group `warranty`; the file is read when the first answer is asked for."""

    def __init__(self) -> None:
        self._promises: Promises | None = None
        self._of = ""
        self._lock = threading.Lock()  # two first requests at a time must not make two, of which one is forgotten

    def promises(self, config: WarrantyConfig) -> Promises:
        """Those of the file that the parameters name.

        Raises:
            ValueError: The file is damaged; names parameter, file and field.
        """
        with self._lock:
            if self._promises is None or self._of != config.file:
                path = expanded_path("warranty.file", config.file) if config.file else None
                try:
                    self._promises, self._of = Promises(path), config.file
                except ValueError as error:
                    raise ValueError(f"warranty.file: {error}") from error
            return self._promises

    def kept(self, chosen: Selection, result: PerceptionResult, in_words: bool, config: WarrantyConfig) -> Selection:
        """Leave out of an answer what is not warranted.

        Args:
            chosen: Objects that are meant, best first.
            result: In which they are.
            in_words: Whether it was asked for in words; else scores are those of the objects.
            config: How many answers may be wrong.

        Returns:
            What may be answered; where it is nothing, `message` says why.

        Raises:
            RequestError: The file of confirmations cannot be used.
        """
        scores = list(chosen.probabilities)
        if not in_words:
            known = {item.instance_id: item.score for item in result.panoptic.segments}
            scores = [known[instance_id] for instance_id in chosen.instance_ids]
        try:
            count, refusal = self.promises(config).given(WORDS if in_words else OBJECT, scores, config.wrong_share)
        except ValueError as error:
            raise RequestError(ErrorCode.INVALID_REQUEST, str(error)) from error
        if count == len(scores):
            return chosen
        ids, probabilities = chosen.instance_ids[:count], chosen.probabilities[:count]
        return replace(chosen, instance_ids=ids, probabilities=probabilities, message=refusal or chosen.message)


class WarrantyServices(OwnServices):
    """The service, below the node's own name only.

    Args:
        node: That offers it.
        warranty: Whose newest answer is confirmed.
        settings: Gives the parameters.
    """

    def __init__(self, node: Node, warranty: Warranty, settings: Callable[[], WarrantyConfig]) -> None:
        super().__init__(node, MutuallyExclusiveCallbackGroup(), {"confirm_answer": (SetBool, self._confirm)})
        self._warranty, self._settings = warranty, settings

    def _confirm(self, request: Any, response: Any) -> Any:
        config = self._settings()
        try:
            if not config.file:
                raise ValueError("warranty.file: expected the path of a .json file for confirmations, got none")
            response.message = self._warranty.promises(config).confirm(bool(request.data))
            response.success = True
        except (ValueError, OSError) as error:
            response.success, response.message = False, str(error)
        log.log(logging.INFO if response.success else logging.WARNING, response.message)
        return response
