"""`pan3d sim`: recordings and scenes of the simulated robot cell; an action's module is imported when it is chosen."""

from __future__ import annotations

import argparse

from pan3d_tools.cli.command_parser import add_commands, commands_of_tools

__all__ = ["ACTIONS", "add"]

ACTIONS = commands_of_tools(
    {
        "objects": ("cli.simulation.objects:add", "fetch modelled household objects that training scenes can show"),
        "record": ("cli.simulation.record:add", "write a rosbag2 of the cell as a robot would record it"),
        "render": ("cli.simulation.render:add", "write scene folders, or shards of training data with --shards"),
        "surfaces": ("cli.simulation.surfaces:add", "fetch photographed surfaces and panoramas that training scenes can show"),
    }
)


def add(parser: argparse.ArgumentParser) -> None:
    """Put the actions on the parser."""
    add_commands(parser, ACTIONS, dest="action", metavar="ACTION")
