"""`python -m pan3d_tools.demo`: the robot cell and perception as separate processes over ROS 2, and a grasp.

Exit code: 0 = the object was found and lifted, or with --arm placed (with --seeds: every scene was tried), 1 = something is
broken, 2 = wrong arguments, 3 = everything works but the object was not found or not lifted; the report says why.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pan3d_core.runtime.ending.asked import end_at_once, handlers_kept, told, unwound
from pan3d_core.runtime.lazy import load
from pan3d_ros.platform.domains import domain_of_environment
from pan3d_ros.platform.enclaves import CELL, PERCEPTION, enclave_arguments
from pan3d_tools.demo.processes import ChildNode, DemoError, parameter_arguments

ARRANGEMENTS = ("separated", "pile", "packed")
FRAME = "base_link"
PROFILE = "fastdds_large.xml"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pan3d_tools.demo", description="Camera images in, executed grasp out, over ROS 2; writes an HTML report."
    )
    parser.add_argument("--seed", type=int, default=0, help="scene (default 0)")
    parser.add_argument("--seeds", default="", help="several scenes in one go, as 0-9 or 1,4,7; writes a summary table")
    parser.add_argument("--prompt", default="", help='object by name, as "the red mug"; default: a graspable object of the scene')
    parser.add_argument("--arrangement", choices=ARRANGEMENTS, default="separated", help="of the objects (default separated)")
    parser.add_argument("--cameras", type=int, default=4, help="number of calibrated cameras (default 4)")
    parser.add_argument("--objects", type=int, default=6, help="number of objects (default 6)")
    parser.add_argument("--depth", action="store_true", help="depth cameras instead of colour only")
    parser.add_argument(
        "--arm",
        action="store_true",
        help='an arm picks and places, in one process without ROS; --prompt "put the mug on the plate"',
    )
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="with --arm: grasps are tried in a physics twin of what is seen, 3 s at most; the film is rehearsal.gif",
    )
    parser.add_argument(
        "--gripper-from-urdf",
        action="store_true",
        help="with --arm: the jaws are measured on the arm's URDF, not those that are set",
    )
    parser.add_argument(
        "--learn", type=Path, metavar="FOLDER", help="with --arm: write what each pick shows as a training scene to FOLDER"
    )
    parser.add_argument(
        "--model",
        default="pan3d-mini",
        help="engine: pan3d-mini, pan3d-mini-fast3dis, depth_clusters (needs --depth), or with --weights fast3dis, segvggt, da3 "
        "(finds no objects)",
    )
    parser.add_argument("--weights", default="", help="checkpoint; default: the one that comes with the engine")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:0")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder of the report (default out/demo)")
    options = parser.parse_args(arguments)
    if options.model == "depth_clusters" and not options.depth:
        parser.error("depth_clusters needs depth cameras: add --depth")
    if options.arm and options.depth:
        parser.error("--arm: the arm sees by colour cameras; leave --depth out")
    if options.rehearse and not options.arm:
        parser.error("--rehearse: expected with --arm, which plans in this process, got none")
    if options.gripper_from_urdf and not options.arm:
        parser.error("--gripper-from-urdf: expected with --arm, which has a URDF, got none")
    if options.learn is not None and not options.arm:
        parser.error("--learn: expected --arm, whose picks are learnt from")
    if not 1 <= options.cameras <= 16:
        parser.error(f"--cameras: expected 1 to 16, got {options.cameras}")
    if not 1 <= options.objects <= 15:
        parser.error(f"--objects: expected 1 to 15, got {options.objects}")
    try:
        options.seed_list = seed_list(options.seeds) if options.seeds else [options.seed]
    except ValueError as error:
        parser.error(str(error))
    if min(options.seed_list) < 0:
        parser.error("--seed: expected 0 or more")
    return options


def seed_list(text: str) -> list[int]:
    """ "0-9" or "1,4,7" or a mixture, in this order."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"--seeds: expected numbers and ranges as 0-9 or 1,4,7, got '{text}'")
        seeds += range(int(first), int(last if dash else first) + 1)
    if not seeds:
        raise ValueError(f"--seeds: expected at least one scene, got '{text}'")
    return seeds


def cell_parameters(options: argparse.Namespace) -> dict[str, object]:
    """Parameters of `sim_node`."""
    return {
        "seed": options.seed_list[0],
        "arrangement": options.arrangement,
        "num_objects": options.objects,
        "num_cameras": options.cameras,
        "publish_depth": options.depth,
        "rate_hz": 1.0,
    }


def perception_parameters(options: argparse.Namespace) -> dict[str, object]:
    """Parameters of `perception_node` that differ from their defaults."""
    parameters: dict[str, object] = {
        "cameras": [f"camera_{index}" for index in range(options.cameras)],
        "reference_frame": FRAME,
        "global_services": True,
        "model.name": options.model,
        "model.device": options.device,
        "input.use_depth": options.depth,
        "sync.min_cameras": options.cameras,
        "transforms.source": "pose_topics",
        "workspace.support_height_m": 0.0,
        "publish.depth": True,
        "input.max_image_age_s": 0.0,
        "service.max_age_s": 60.0,
    }
    if options.weights:
        parameters["model.weights"] = str(Path(options.weights).resolve())
    return parameters


def child_environment() -> dict[str, str]:
    """Environment of all processes: rendering without a screen, and the profile for large messages."""
    environment = dict(os.environ)
    environment.setdefault("MUJOCO_GL", "osmesa")
    environment["PYTHONUNBUFFERED"] = "1"
    if "FASTDDS_DEFAULT_PROFILES_FILE" not in environment and (profile := shipped_profile()) is not None:
        environment["FASTDDS_DEFAULT_PROFILES_FILE"] = environment["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(profile)
    return environment


def shipped_profile() -> Path | None:
    """The Fast DDS profile of this checkout or installation."""
    roots = [Path(__file__).resolve().parents[2]]
    roots += [Path(prefix) / "share" / "pan3d_ros" for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if prefix]
    return next((root / "config" / PROFILE for root in roots if (root / "config" / PROFILE).is_file()), None)


@contextmanager
def running_nodes(
    options: argparse.Namespace, environment: dict[str, str], say: Callable[[str], None]
) -> Iterator[tuple[ChildNode, ChildNode]]:
    """Cell and perception as processes, which begin to start. Ends both on the way out."""
    logs = options.out / "logs"
    say(f"starting the robot cell and perception as processes, domain {environment['ROS_DOMAIN_ID']}")
    cell_arguments = parameter_arguments(cell_parameters(options)) + enclave_arguments(CELL)
    arguments = parameter_arguments(perception_parameters(options)) + enclave_arguments(PERCEPTION)
    with (
        ChildNode("the cell", "pan3d_ros.sim_node", cell_arguments, logs / "cell.log", environment) as cell,
        ChildNode("perception", "pan3d_ros.perception_node", arguments, logs / "perception.log", environment) as perception,
    ):
        yield cell, perception


def run(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """All scenes; returns the exit code."""
    environment = child_environment()
    os.environ.update(environment)  # this process takes part in the same graph
    say("looking for ROS 2")
    try:
        load("pan3d_interfaces.msg:ErrorCode")
    except ImportError as error:
        raise DemoError(f"{error}; 'make setup', then 'source activate.sh'; 'pan3d doctor' tells more") from error
    with running_nodes(options, environment, say) as children:
        run_scenes = load("pan3d_tools.demo.session:run_scenes")  # while the nodes start, because that takes seconds
        return run_scenes(children, options, say)


def main(arguments: list[str] | None = None) -> int:
    with handlers_kept():
        end_at_once("demo")
        return _main(parse(arguments))


def _main(options: argparse.Namespace) -> int:
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begin:6.1f} s] {text}", flush=True)

    try:
        with unwound():
            if options.arm:
                return int(load("pan3d_tools.demo.arm:run_arm")(options, say))
            with domain_of_environment():
                return run(options, say)
    except DemoError as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as asked:
        return told("demo", asked)


if __name__ == "__main__":
    sys.exit(main())
