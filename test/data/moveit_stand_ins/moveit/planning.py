"""Of moveit_py. The second of the poses that it is asked for has a plan."""

from contextlib import contextmanager

from told import kind

Scene = kind("PlanningScene", "process_planning_scene_world", "process_attached_collision_object")
Plan = kind("PlanSolution", "trajectory")


class Monitor:
    """As PlanningSceneMonitor."""

    @contextmanager
    def read_write(self):
        """As the real one."""
        yield Scene()


class Component(kind("PlanningComponent", "set_start_state_to_current_state", "set_goal_state", "tries")):
    """As the real one."""

    def plan(self):
        """Nothing at first."""
        self.tries = self.__dict__.get("tries", 0) + 1
        plan = Plan()
        plan.trajectory = "a trajectory"
        return plan if self.tries > 1 else None


class MoveItPy(kind("MoveItPy", "execute")):
    """As the real one."""

    def get_planning_component(self, name):
        """As the real one."""
        return Component(name)

    def get_planning_scene_monitor(self):
        """As the real one."""
        return Monitor()
