"""Of MoveIt Task Constructor."""

from types import SimpleNamespace

from told import Told, kind, say

CartesianPath, JointInterpolationPlanner, PipelinePlanner = (
    kind("CartesianPath"),
    kind("JointInterpolationPlanner"),
    kind("Planner"),
)


class Stage(Told):
    """As the real one."""

    PropertyInitializerSource = SimpleNamespace(INTERFACE="INTERFACE")
    known = ("owned",)


class Container(Stage):
    """What is added belongs to it, and cannot be changed or added again."""

    known = ("owned", "stages")

    def add(self, *stages):
        """As the real one."""
        assert "owned" not in self.__dict__, "its owner has it"
        self.stages = [*self.__dict__.get("stages", []), *stages]
        for stage in stages:
            assert "owned" not in stage.__dict__, "another one has it"
            object.__setattr__(stage, "owned", True)
            say(f"{type(self).__name__} {self.given[0] if self.given else 'task'} has {type(stage).__name__} {stage.given[0]}")

    def __getitem__(self, name):
        return next(stage for stage in self.stages if stage.given[0] == name)


SerialContainer, Alternatives = type("SerialContainer", (Container,), {}), type("Alternatives", (Container,), {})


class Task(Container):
    """As the real one."""

    known = ("owned", "stages", "loadRobotModel", "publish")
    solutions = ("the best",)

    def plan(self):
        """As the real one."""
        return True
