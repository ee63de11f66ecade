"""Stand-ins for parts of MoveIt: each has the names that the real one has (moveit2, branch main; moveit_task_constructor, branch
ros2), tells what it is asked for, and refuses everything else."""

import sys


def say(line):
    """Tell the test."""
    sys.stdout.write(line + "\n")


class Told:
    """Tells of its methods and properties; `known` are the names that there are."""

    known = ()

    def __init__(self, *given, **named):
        object.__setattr__(self, "given", (*given, *named.values()))

    def __setattr__(self, name, value):
        if name not in self.known:
            raise AttributeError(f"{type(self).__name__} has no property {name}")
        object.__setattr__(self, name, value)

    def __getattr__(self, name):
        if name.startswith("_") or name not in self.known:
            raise AttributeError(f"{type(self).__name__} has no {name}")

        def call(*given, **named):
            title = f" {self.given[0]}" if self.given and isinstance(self.given[0], str) else ""
            words = [item if isinstance(item, (str, bool, float, dict)) else type(item).__name__ for item in given]
            words += [f"{key}={item if isinstance(item, (str, list)) else type(item).__name__}" for key, item in named.items()]
            say(f"{type(self).__name__}{title}.{name}({', '.join(map(str, words))})")

        return call


def kind(name, *known):
    """A class of these names."""
    return type(name, (Told,), {"known": known})
