"""The perception node: a lifecycle node named `pan3d` that turns camera topics into objects and grasps.

configure loads and warms up, activate subscribes and publishes, deactivate stops but keeps the weights, cleanup
frees them. What can go wrong ends in a FAILURE transition, an error code or a diagnostic, each with a reason.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from pan3d_interfaces.msg import ErrorCode
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from pan3d_ros.inputs.gate import InputGate
from pan3d_ros.outputs import BondHeartbeat, ResultStore, ScenePublishers
from pan3d_ros.outputs.diagnostics import diagnostic_array, parameter_status, service_status
from pan3d_ros.outputs.model_status import model_status
from pan3d_ros.parameters.declaration import NodeParameters
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.platform import LogBridge, attempt, run
from pan3d_ros.platform.distributions import after_parameters_are_set
from pan3d_ros.platform.rclpy_private import destroy_lifecycle_services, executor_threads, guard_transitions, lifecycle_state
from pan3d_ros.platform.start import ros_program
from pan3d_ros.processing.model_loading import ModelHolder
from pan3d_ros.processing.perception import Perception, Surroundings
from pan3d_ros.processing.problem_log import ProblemLog
from pan3d_ros.processing.supervision import Supervisor
from pan3d_ros.refinement.server import RefinementServer, RefinementSources, configured_map
from pan3d_ros.refinement.views import ViewCollector
from pan3d_ros.services import PerceptionServices, PlanningServices, ServiceNames, TeachingServices, WorldServices, all_onlookers
from pan3d_ros.services.answers import SPARE_THREADS, Answers

log = logging.getLogger("pan3d.ros.node")
SUCCESS, FAILURE, ERROR = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE, TransitionCallbackReturn.ERROR


class PerceptionNode(LifecycleNode):
    """See the module. Spin it with `service.max_waiting + 4` threads; with fewer, fewer requests wait at a time."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("pan3d", **node_options)
        self.bridge, self.parameters = LogBridge(self.get_logger()).attach(), NodeParameters(self)
        self.problem = "; ".join(self.parameters.problems.values())  # why the last transition failed
        self.store, self.problems, self.models = ResultStore(), ProblemLog(), ModelHolder()
        self.outputs: ScenePublishers | None = None
        self.perception: Perception | None = None
        self.supervisor, self._bond = Supervisor(self, lambda: self.parameters.read()[0].recovery), BondHeartbeat(self)
        self.answers = Answers(self.store, self.now_ns, self._why_no_result, self._is_working, lambda: executor_threads(self))
        refinement = RefinementServer(self, RefinementSources(self.parameters, self.models, self.answers, self._seen))
        worlds = WorldServices(self, self.parameters.node, self.models.memory)
        self.onlookers = all_onlookers(self, self.parameters.node)
        teaching = TeachingServices(self, self.parameters.read, self.models.pipeline)
        planning = PlanningServices(self, self.answers, lambda: p.known() if (p := self.perception) else None)
        offers = (PerceptionServices(self, self.answers), refinement, worlds, teaching, planning, *self.onlookers)
        self.names = ServiceNames(self, offers)
        self._diagnostics, self.data_group = self.create_publisher(DiagnosticArray, "/diagnostics", 10), InputGate()
        period_s = float(self.get_parameter("watchdog.period_s").value)
        self._watchdog = self.create_timer(period_s, self._watch, self.data_group, Clock(clock_type=ClockType.STEADY_TIME))
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jump_handle = self.get_clock().create_jump_callback(threshold, post_callback=lambda _: self.forget("clock_jump"))
        after_parameters_are_set(self, lambda _: self._apply_live_parameters())
        guard_transitions(self)

    def now_ns(self) -> int:
        """ROS time, simulated where use_sim_time says so."""
        return self.get_clock().now().nanoseconds

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.supervisor.taken_over()

        def configure() -> None:
            node_config, pipeline_config = self.parameters.read()
            if not node_config.cameras:
                raise ValueError("cameras: expected at least one name, got none")
            self.models.use_map(configured_map(node_config))
            self.models.load(node_config, pipeline_config)
            self.names.require()  # now, since others have been discovered while the model was loaded
            self._open_outputs(node_config, pipeline_config.cloud.max_points)
            self.parameters.configured = True

        return self._attempt("configure", configure, self._free)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        def activate() -> None:
            node_config, pipeline_config = self.parameters.read()
            model = self.models.load(node_config, pipeline_config)  # again, when unload_on_deactivate has freed it
            super(PerceptionNode, self).on_activate(state)
            outputs = self._open_outputs(node_config, pipeline_config.cloud.max_points)
            lent = Surroundings(self, self.data_group, model, outputs, self.store, self.problems, self.onlookers)
            cameras = {name: self.parameters.camera(name) for name in node_config.cameras}
            self.perception = Perception(lent, node_config, cameras, self._on_worker_failure)
            self.perception.start()
            self._apply_live_parameters()

        def undo() -> None:
            self._stop()
            super(PerceptionNode, self).on_deactivate(state)

        return self._attempt("activate", activate, undo)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        if self.supervisor.failure is not None:
            return ERROR
        super().on_deactivate(state)
        if self.get_parameter("unload_on_deactivate").value:
            self.models.free()
        self.answers.stop("the node has been deactivated")
        return SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.supervisor.taken_over()
        self._stop()
        self._free()
        return SUCCESS

    on_shutdown = on_cleanup

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured: without perception, but alive and able to say why, and to try again."""
        self._stop()
        self._free()
        self.supervisor.failure = None
        self.answers.stop(self.problem or "the node is not configured")
        return SUCCESS

    def destroy_node(self) -> None:
        """Stop the worker before the entities it publishes with are gone."""
        self.names.close()
        self._stop()
        self._free()
        self.bridge.detach()
        super().destroy_node()
        destroy_lifecycle_services(self)

    def forget(self, reason: str) -> None:
        """Time started over: nothing older may mix with what comes."""
        if self.perception is not None:
            log.warning("forgetting views, poses and tracks: %s", reason)
            self.perception.forget(reason)

    def _attempt(self, name: str, work: Callable[[], None], undo: Callable[[], None]) -> TransitionCallbackReturn:
        outcome, error = attempt(work, undo)
        self.problem = f"{name} failed: {error}" if error else ""
        if error and self.context.ok():  # otherwise ROS was shut down meanwhile, which is no fault
            self.answers.stop(self.problem)
            log.error(self.problem)
        return outcome

    def _stop(self) -> None:
        self.answers.stop()
        perception, self.perception = self.perception, None
        if perception is not None:
            perception.stop()
        self.store.put(None)

    def _open_outputs(self, config: NodeConfig, max_points: int) -> ScenePublishers:
        """The publishers, made where there are none yet; they stay until cleanup."""
        self.outputs = self.outputs or ScenePublishers(self, config.cameras, config.publish, max_points)
        return self.outputs

    def _free(self) -> None:
        self.models.free()
        if self.outputs is not None:
            self.outputs.close()
        self.outputs, self.parameters.configured = None, False

    def _on_worker_failure(self, error: Exception) -> None:
        """In the worker's thread: leave the rest to the executor."""
        worked = (perception := self.perception) is not None and perception.worked
        self.problem = self.supervisor.ended(error, worked=worked)
        self.answers.stop(self.problem)
        self.store.put(None)

    def _apply_live_parameters(self) -> None:
        if self.perception is not None and (model := self.models.model) is not None:
            node_config, pipeline_config = self.parameters.read()
            model.reconfigure(pipeline_config)
            self.perception.apply(node_config, pipeline_config)
            self.answers.perceive(model.situation(node_config, pipeline_config, self.perception.reach))

    def _watch(self) -> None:
        """Once per period: QoS that no longer fits, and /diagnostics."""
        name, model, own = str(self.get_parameter("model.name").value), self.models.model, self.get_fully_qualified_name()
        problem = "; ".join(filter(None, (self.problem, self.supervisor.watch())))
        parts = [model_status(lifecycle_state(self), problem, name, model.engine.facts if model else None)]
        parts += [parameter_status(self.parameters.unknown()), service_status(own, *self.names.review())]
        if (perception := self.perception) is not None:
            perception.refresh_qos()
            parts += perception.diagnose()
        self._diagnostics.publish(diagnostic_array(own, self.get_clock().now().to_msg(), parts))

    def _seen(self) -> ViewCollector | None:
        return perception.seen if (perception := self.perception) is not None else None

    def _is_working(self) -> bool:
        return (perception := self.perception) is not None and perception.worker.busy_s > 0

    def _why_no_result(self) -> tuple[int, str]:
        perception = self.perception
        return perception.why_no_result() if perception else (ErrorCode.NOT_ACTIVE, self.answers.situation.inactive_reason)


@ros_program("perception_node")
def main(arguments: list[str] | None = None) -> int:
    """Executable `perception_node`."""
    node = PerceptionNode()
    node.parameters.note_files(sys.argv if arguments is None else arguments)
    threads = int(node.get_parameter("service.max_waiting").value) + SPARE_THREADS
    return run(node, threads, autostart=bool(node.get_parameter("autostart").value))


if __name__ == "__main__":
    sys.exit(main())
