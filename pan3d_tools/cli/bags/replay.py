"""`pan3d replay`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_ros.bags.player import PlayOptions, play
from pan3d_tools.cli.output import print_table


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_replay)
    parser.add_argument("bag", type=Path, help="rosbag2 folder, .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, help="seconds of the bag per second (default: %(default)s)")
    parser.add_argument("--loop", action="store_true", help="start again at the end, until interrupted")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="only these (default: all but /clock)")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="begin so long after the bag's start")
    parser.add_argument("--duration", type=float, metavar="S", help="so much of the bag's time (default: to its end)")
    parser.add_argument("--wait", type=float, default=5.0, metavar="S", help="wait for listeners at most (default: %(default)s)")
    parser.add_argument(
        "--poses",
        action=argparse.BooleanOptionalAction,
        help="publish <camera>/pose at every image, from the bag's transforms (default: where tf2_msgs is not installed)",
    )
    parser.add_argument("--reference-frame", default="base_link", help="frame of these poses (default: %(default)s)")


def run_replay(options: argparse.Namespace) -> int:
    """The recorded messages in time."""
    chosen = PlayOptions(
        rate=options.rate,
        loop=options.loop,
        topics=tuple(options.topics),
        start_s=options.start,
        duration_s=options.duration,
        wait_s=options.wait,
        poses=options.poses,
        reference_frame=options.reference_frame,
    )
    played = play(options.bag, chosen)
    print_table([(topic, f"{count} messages") for topic, count in sorted(played.counts.items())])
    for topic, reason in played.left_out.items():
        print(f"  {topic} was left out: {reason}")
    print(f"at most {1000 * played.latest_s:.0f} ms behind the recorded times")
    return 0 if played.counts else 1
