"""Objects that are taught by showing them to the cameras: `~/teach_object`, and `~/load_objects` after the folder was changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import SegmentObject
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from pan3d_core.config import PipelineConfig
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.teaching import (
    Recogniser,
    chosen_object,
    same_as_taught,
    show_object,
    write_object,
)
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.parameters.taught_objects import library_folder, stored_library
from pan3d_ros.services.private.own import OwnServices
from pan3d_ros.services.requests import RequestError, check_limits, check_prompt, check_request, select_shown

log = logging.getLogger("pan3d.ros.teaching")
Settings = Callable[[], tuple[NodeConfig, PipelineConfig]]
_KINDS = SegmentObject.Request


class TeachingServices(OwnServices):
    """Both services, below the node's own name only. A request names the object in `prompt`, and its other fields say which
    object of the newest result is shown.

    Args:
        node: That offers them.
        settings: Gives the settings of the node and of the pipeline.
        pipeline: Gives the one in use; None = the node is not configured.
    """

    def __init__(self, node: Node, settings: Settings, pipeline: Callable[[], PerceptionPipeline | None]) -> None:
        answers = {"teach_object": (SegmentObject, self._teach), "load_objects": (Trigger, self._load)}
        super().__init__(node, MutuallyExclusiveCallbackGroup(), answers)  # one teaching after the other
        self._settings, self._pipeline = settings, pipeline

    def _teach(self, request: Any, response: Any) -> Any:
        response.success = False
        try:
            response.message = self._taught(request)
            response.success, response.error_code = True, ErrorCode.OK
        except RequestError as error:
            response.error_code, response.message = error.code, str(error)
        except (ValueError, OSError) as error:
            response.error_code, response.message = ErrorCode.INVALID_REQUEST, str(error)
        log.log(logging.INFO if response.success else logging.WARNING, response.message)
        return response

    def _taught(self, request: Any) -> str:
        config, pipeline_config = self._settings()
        pipeline, recogniser = self._in_use()
        folder = library_folder(pipeline_config)
        check_limits(request, config.service)
        if problem := check_prompt(request.prompt):
            raise RequestError(ErrorCode.INVALID_REQUEST, f"{problem}; it names the object")
        if request.prompt_type == _KINDS.PROMPT_TEXT:
            words = "how the object is shown: PROMPT_ALL where it is the only one, or its points, box, position or instance"
            raise RequestError(ErrorCode.INVALID_REQUEST, f"prompt_type: expected {words}; got PROMPT_TEXT")
        check_request(request, config.cameras, config.reference_frame)
        seen = recogniser.seen
        if seen is None:
            raise RequestError(ErrorCode.NO_IMAGES, "there is no result yet that could show an object")
        self._require_fresh(request, max(seen.result.views.stamps_ns), config)
        instance_id = chosen_object(seen.result, select_shown(request, seen.result))
        item = show_object(seen, instance_id, request.prompt, pipeline_config.model.name)
        other = same_as_taught(seen, instance_id, item.name)
        if other:
            raise ValueError(f"prompt: instance {instance_id} looks like {other!r}, which is taught already")
        path = write_object(folder, item)
        pipeline.use_library(recogniser.library.with_object(item))
        return f"instance {instance_id} ({item.description}) is {item.name!r} from now on: {path}"

    def _require_fresh(self, request: Any, stamp_ns: int, config: NodeConfig) -> None:
        age_s = (self._node.get_clock().now().nanoseconds - stamp_ns) * 1e-9
        limit_s = request.max_age or config.service.max_age_s
        if age_s > limit_s:
            raise RequestError(ErrorCode.STALE_IMAGES, f"the newest result is {age_s:.1f} s old, allowed are {limit_s:g} s")

    def _load(self, _: Any, response: Any) -> Any:
        try:
            pipeline, _recogniser = self._in_use()
            library = stored_library(self._settings()[1])
            pipeline.use_library(library)
            response.success = not library.skipped
            names = ", ".join(library.names) or "none"
            response.message = "; ".join((f"taught objects: {names}", *library.skipped))
        except (ValueError, OSError) as error:
            response.success, response.message = False, str(error)
        return response

    def _in_use(self) -> tuple[PerceptionPipeline, Recogniser]:
        pipeline = self._pipeline()
        if pipeline is None:
            raise RequestError(ErrorCode.NOT_ACTIVE, "the node is not configured")
        if pipeline.recogniser is None:
            raise RequestError(ErrorCode.INVALID_REQUEST, "objects.folder: expected a folder of taught objects, got none")
        return pipeline, pipeline.recogniser
