"""Where a topic could be that nobody publishes under its expected name: in another namespace, or under a driver's own name.

No ROS in here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

MOST_NAMED = 3


def topics_elsewhere(name: str, topics: Iterable[str]) -> tuple[tuple[str, ...], bool]:
    """Choose the topics that were probably meant.

    Args:
        name: As the node has it, relative to its namespace or not.
        topics: Others of the same type that have a publisher, fully qualified.

    Returns:
        Those of that name in other namespaces, shortest first; where there is none, some others, the likeliest first. And whether
        they have that name.
    """
    words = name.strip("/").split("/")
    tails = {topic: _common_tail(topic.strip("/").split("/"), words) for topic in topics}
    same = sorted((topic for topic, count in tails.items() if count == len(words)), key=lambda topic: (len(topic), topic))
    return tuple((same or sorted(tails, key=lambda topic: (-tails[topic], topic)))[:MOST_NAMED]), bool(same)


def hint(name: str, topics: Collection[str], kind: str, parameter: str, heard: Collection[str] = ()) -> str:
    """Say where a topic that has no publisher may be found, and how to listen there.

    Args:
        name: As the node has it, relative to its namespace or not.
        topics: Others of the same type that have a publisher, fully qualified.
        kind: Name of the type.
        parameter: That renames the topic.
        heard: Those that the node listens to already, which are told only if they have the name.

    Returns:
        Words that go on after the topic's name; empty where there is no such topic.
    """
    found, same = topics_elsewhere(name, topics)
    if same:
        return f"; {found[0]} has a publisher: remap, start the node in that namespace, or set {parameter}"
    free, _ = topics_elsewhere(name, (topic for topic in topics if topic not in heard))
    return f"; {kind} is published on {', '.join(free)}: remap, or set {parameter}" if free else ""


def _common_tail(first: Sequence[str], second: Sequence[str]) -> int:
    """How many words two names have in common, counted from their ends."""
    count = 0
    for one, other in zip(reversed(first), reversed(second)):
        if one != other:
            break
        count += 1
    return count
