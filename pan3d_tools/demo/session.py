"""What happens while cell and perception run: scene after scene is built, asked for, measured and reported."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing

from lifecycle_msgs.msg import Transition

from pan3d_tools.demo.client import DemoClient
from pan3d_tools.demo.journey import Journey, Question, run_journey
from pan3d_tools.demo.processes import ChildNode
from pan3d_tools.demo.report import write_report, write_summary
from pan3d_tools.demo.results import scene_folder, scene_results, summary_results

START_TIMEOUT_S, CONFIGURE_TIMEOUT_S, RESET_TIMEOUT_S = 90.0, 120.0, 90.0
# Engines without a network: they separate objects but cannot tell kinds.
NAMELESS = ("depth_clusters", "fast3dis")


def run_scenes(children: tuple[ChildNode, ChildNode], options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Configure perception and try every scene.

    Args:
        children: The cell and perception, just started.
        options: As `pan3d_tools.demo.__main__.parse` gives them.
        say: Takes what a person should see.

    Returns:
        The demo's exit code: 0, or 3 where a single scene's object was not found or not lifted.

    Raises:
        DemoError: A node fails.
    """
    several = len(options.seed_list) > 1
    journeys: list[Journey] = []
    with closing(DemoClient(children)) as client:
        _configure(client, options, say)
        for seed in options.seed_list:
            if journeys:
                _build_next_scene(client, options, seed, say)
            client.change_state(Transition.TRANSITION_ACTIVATE, CONFIGURE_TIMEOUT_S)
            journey = run_journey(client, Question(seed, options.prompt, options.model not in NAMELESS), say)
            journeys.append(journey)
            with scene_results(options, seed) as part:
                page = write_report(journey, part, options.model, depth_cameras=options.depth)
            say(f"report: {scene_folder(options, seed) / page.name}")
    if several:
        with summary_results(options) as part:
            page = write_summary(journeys, part, options.model, depth_cameras=options.depth)
        say(f"summary: {options.out / page.name}")
        found, lifted = sum(j.found for j in journeys), sum(j.lifted for j in journeys)
        say(f"{len(journeys)} scenes: found {found}, lifted {lifted}")
        return 0
    return 0 if journeys[0].lifted and (journeys[0].target is None or journeys[0].found) else 3


def _configure(client: DemoClient, options: argparse.Namespace, say: Callable[[str], None]) -> None:
    client.wait_for_cell(START_TIMEOUT_S)
    say("the cell is up")
    client.wait_for_perception(START_TIMEOUT_S)
    say(f"perception is up, loading {options.model}")
    client.change_state(Transition.TRANSITION_CONFIGURE, CONFIGURE_TIMEOUT_S)
    client.listen([f"camera_{index}" for index in range(options.cameras)])


def _build_next_scene(client: DemoClient, options: argparse.Namespace, seed: int, say: Callable[[str], None]) -> None:
    client.change_state(Transition.TRANSITION_DEACTIVATE, CONFIGURE_TIMEOUT_S)
    client.forget()
    say(f"building scene {seed}")
    client.reset_cell(seed, options.arrangement, RESET_TIMEOUT_S)
