"""Of MoveIt Task Constructor."""

from moveit.task_constructor.core import Stage


def stage(name, *known):
    """A stage of these names."""
    return type(name, (Stage,), {"known": ("owned", *known)})


_MOVE = ("group", "ik_frame")
CurrentState, Connect = stage("CurrentState"), stage("Connect", "max_distance")
ModifyPlanningScene = stage("ModifyPlanningScene", "allowCollisions", "attachObject", "detachObject")
GeneratePose = stage("GeneratePose", "pose", "setMonitoredStage")
MoveRelative = stage("MoveRelative", *_MOVE, "min_distance", "max_distance", "setDirection")
MoveTo = stage("MoveTo", *_MOVE, "setGoal")


class ComputeIK(stage("ComputeIK", "eef", "group", "ik_frame", "max_ik_solutions")):
    """As the real one."""

    @property
    def properties(self):
        """As the real one."""
        return stage("PropertyMap", "configureInitFrom")()
