"""`pan3d`: the command line. Everything heavy is imported inside the command that needs it, so help is instant.

Exit codes: 0 done, 1 the work found something wrong (doctor), 2 the request cannot be met (bad arguments, files, packages).
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

BENCHES = {
    "frame": ("pan3d_core.bench.frame", "whole frame journey in one process"),
    "vggt": ("pan3d_core.bench.vggt", "VGGT forward pass, beside the official code when it is there"),
    "decode": ("pan3d_core.bench.decode", "decoding and assembly of 400 queries beside the network"),
    "sim": ("pan3d_sim.bench", "rendering and physics of the robot cell"),
    "grasp": ("pan3d_sim.bench_grasp", "grasps executed in the robot cell"),
    "demo": ("pan3d_ros.demo.bench", "the demo's ten scenes over ROS 2: objects found and lifted"),
    "ros": ("pan3d_ros.bench", "publishing a cloud, and the journey of a frame between processes"),
}
EXTRA_OF_PACKAGE = {
    "mujoco": "sim",
    "pan3d_sim": "sim",
    "OpenGL": "sim",
    "rclpy": "ros",
    "pan3d_ros": "ros",
    "pan3d_interfaces": "ros",
    "open3d": "view",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Threads that wait should sleep, not spin: beside other busy processes spinning makes the network ten times slower.
    # It counts only when set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    parser = build_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return options.command(options)
    except (ValueError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        return _refuse(options, str(error), error)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        extra = EXTRA_OF_PACKAGE.get(package)
        hint = (
            f"install it with the extra [{extra}]; `pan3d doctor` says what is missing" if extra else "`pan3d doctor` says more"
        )
        return _refuse(options, f"this command needs the package {package!r}, which is not installed: {hint}", error)


def _refuse(options: argparse.Namespace, message: str, error: Exception) -> int:
    if options.verbose:
        logging.getLogger("pan3d.cli").error("traceback", exc_info=error)
    print(f"pan3d {options.name}: error: {message}", file=sys.stderr)
    return 2


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="pan3d", description="Multi-view panoptic 3D perception for robots.")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens, and tracebacks of errors")
    commands = parser.add_subparsers(dest="name", metavar="COMMAND", required=True)
    _add_reconstruct(commands)
    _add_eval(commands)
    _add_sim(commands)
    _add_bench(commands)
    _add_view(commands)
    _add(commands, "doctor", run_doctor, "check the installation and say how to mend what is missing")
    return parser


def _add(
    commands: argparse._SubParsersAction, name: str, command: Callable, summary: str, **options: object
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".", **options)
    parser.set_defaults(command=command)
    return parser


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, help="YAML file with pipeline settings")
    parser.add_argument("--model", help="engine: pan3d-mini (default), segvggt or depth_clusters")
    parser.add_argument("--weights", help="checkpoint file (default: the one that comes with the engine)")
    parser.add_argument("--device", help="auto (default), cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, help="CPU threads of the network (default: the engine's choice)")
    parser.add_argument("--depth", action="store_true", help="use the depth images of the cameras file or scene folder")


def _add_reconstruct(commands: argparse._SubParsersAction) -> None:
    parser = _add(commands, "reconstruct", run_reconstruct, "cloud, instances, depth and pictures from plain image files")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="views of one scene, or one scene folder")
    parser.add_argument("-o", "--out", type=Path, default=Path("out/reconstruct"), help="output folder (default: %(default)s)")
    parser.add_argument("--cameras", type=Path, metavar="FILE", help="calibration: a scene.json, of which `views` suffices")
    parser.add_argument("--support-height", type=float, metavar="METRES", help="world z of the surface that objects stand on")
    parser.add_argument("--classes", metavar="NAME,NAME", help="name objects with these words instead of the checkpoint's")
    _add_model_options(parser)


def _add_eval(commands: argparse._SubParsersAction) -> None:
    parser = _add(commands, "eval", run_eval, "measure an engine on scene folders or on held-out shards")
    parser.add_argument("scenes", nargs="+", type=Path, help="scene folders, folders of them, or shard folders")
    parser.add_argument("--limit", type=int, default=0, help="most scenes (default: all)")
    parser.add_argument("--no-poses", action="store_true", help="withhold the cameras' poses")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    _add_model_options(parser)


def _add_sim(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("sim", help="the simulated robot cell", description="The simulated robot cell.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    render = _add(actions, "render", run_sim_render, "write scene folders: images, depth, instances, cameras, truth")
    render.add_argument("-o", "--out", type=Path, default=Path("out/scenes"), help="folder for the scenes (default: %(default)s)")
    render.add_argument("--seed", type=int, default=0, help="first scene (default: %(default)s)")
    render.add_argument("--count", type=int, default=1, help="number of scenes (default: %(default)s)")
    render.add_argument("--cameras", type=int, default=4, help="cameras around the table (default: %(default)s)")
    render.add_argument("--objects", type=int, default=6, help="objects per scene (default: %(default)s)")
    render.add_argument("--arrangement", default="separated", help="separated, pile or packed (default: %(default)s)")
    render.add_argument("--size", default="640x480", metavar="WxH", help="picture size (default: %(default)s)")


def _add_bench(commands: argparse._SubParsersAction) -> None:
    listed = "\n".join(f"  {name:<8}{summary}" for name, (_, summary) in BENCHES.items())
    parser = _add(
        commands,
        "bench",
        run_bench,
        "measure speed and quality",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"benchmarks:\n{listed}\n\n`pan3d bench NAME --help` lists the arguments of one.",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="result file (default: out/bench/NAME.json)")
    parser.add_argument("bench", choices=tuple(BENCHES), metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="arguments of the benchmark")


def _add_view(commands: argparse._SubParsersAction) -> None:
    parser = _add(commands, "view", run_view, "turn a stored cloud in a window (needs open3d)")
    parser.add_argument("cloud", type=Path, metavar="CLOUD", help="PLY file, such as cloud.ply of `pan3d reconstruct`")
    parser.add_argument("--instances", action="store_true", help="one colour per instance instead of the cameras' colours")


def run_view(options: argparse.Namespace) -> int:
    """A window with a stored cloud."""
    from pan3d_core.cloud_io import read_ply
    from pan3d_core.viewer import show

    show(read_ply(options.cloud), by_instance=options.instances)
    return 0


def run_reconstruct(options: argparse.Namespace) -> int:
    """Images to cloud, instances, depth, pictures and report."""
    from pan3d_core.scene_io import SCENE_FILE, read_photographs, read_scene

    folder = options.images[0] if len(options.images) == 1 and options.images[0].is_dir() else None
    if folder is not None and not (folder / SCENE_FILE).exists():
        raise ValueError(f"images: expected image files or a folder with a {SCENE_FILE}, got the folder {folder}")
    scene = read_photographs(options.images, options.cameras) if folder is None else read_scene(folder)
    from pan3d_core.reconstruction_files import write_files

    scene = scene if options.depth else scene.without_depth()
    support = options.support_height if options.support_height is not None else scene.support_height_m
    pipeline = _pipeline(options, support, options.classes)
    result = pipeline.process(scene.views)
    paths = write_files(options.out, scene, result, pipeline.config.model.name)
    for warning in result.warnings:
        print(f"warning: {warning}")
    print(f"{len(result.panoptic.segments)} objects, {len(result.panoptic.points)} points, {result.timings_ms['total']:.0f} ms")
    for path in [path for path in paths if path.parent == options.out]:
        print(f"  {path}")
    return 0


def run_eval(options: argparse.Namespace) -> int:
    """Figures of an engine over scenes, as a table."""
    from pan3d_core.evaluation.runner import evaluate
    from pan3d_core.evaluation.scenes import find_scenes

    scenes = list(find_scenes(options.scenes, options.limit))
    pipeline = _pipeline(options, None, None)
    evaluation = evaluate(pipeline, scenes, use_depth=options.depth, use_poses=not options.no_poses, progress=_progress)
    print(file=sys.stderr)
    _print_table(evaluation.rows())
    if options.json is not None:
        _write_json(
            options.json, {"machine": _machine(), "scenes": [str(path) for path in options.scenes], **evaluation.to_dict()}
        )
    return 0


def run_sim_render(options: argparse.Namespace) -> int:
    """Scene folders from the robot cell."""
    options.name = "sim render"
    try:
        width, height = (int(side) for side in options.size.split("x"))
    except ValueError:
        raise ValueError(f"--size: expected WIDTHxHEIGHT such as 640x480, got {options.size!r}") from None
    if options.count < 1 or options.cameras < 1 or min(width, height) < 16:
        raise ValueError("--count, --cameras, --size: expected at least one scene, one camera and 16x16 pixels")
    render = importlib.import_module("pan3d_sim.scene_folders").render_scene_folder
    changes = {"num_cameras": options.cameras, "num_objects": options.objects, "arrangement": options.arrangement}
    for seed in range(options.seed, options.seed + options.count):
        print(render(options.out, seed, width=width, height=height, **changes))
    return 0


def run_bench(options: argparse.Namespace) -> int:
    """One benchmark: its table on the screen, its figures in a JSON file."""
    module, _ = BENCHES[options.bench]
    result = importlib.import_module(module).run(options.arguments)
    content = {"bench": options.bench, "machine": _machine(), "result": result}
    print(" | ".join(f"{key} {value}" for key, value in content["machine"].items()))
    _print_table(_flat_rows(result))
    path = options.json or Path("out/bench") / f"{options.bench}.json"
    _write_json(path, content)
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """State of the installation; 1 when something needed is missing."""
    from pan3d_core import doctor

    checks = doctor.run_checks()
    print(doctor.format_report(checks))
    return doctor.exit_code(checks)


def _pipeline(options: argparse.Namespace, support_height_m: float | None, classes: str | None):
    """PerceptionPipeline from the configuration file and the options that were given, which win."""
    from pan3d_core.config import PipelineConfig
    from pan3d_core.engines import build_engine
    from pan3d_core.pipeline import PerceptionPipeline

    if options.config is not None and not options.config.exists():
        raise FileNotFoundError(f"--config: expected a file, got {options.config}, which does not exist")
    values = {} if options.config is None else PipelineConfig.from_yaml(options.config).to_dict()
    given = {"name": options.model, "weights": options.weights, "device": options.device, "threads": options.threads}
    values["model"] = {**values.get("model", {}), **{key: value for key, value in given.items() if value is not None}}
    if support_height_m is not None:
        values["workspace"] = {**values.get("workspace", {}), "support_height_m": support_height_m}
    config = PipelineConfig.from_dict(values)
    engine = build_engine(config.model)
    namer = None
    if classes:
        from pan3d_core.naming_meaning import Namer

        namer = Namer(getattr(engine, "known_names", None))
        namer.set_classes([name.strip() for name in classes.split(",") if name.strip()])
    return PerceptionPipeline(engine, config, namer)


def _progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} scenes", end="", file=sys.stderr, flush=True)


def _machine() -> dict[str, str]:
    import platform
    from datetime import datetime, timezone

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor_name()}, {cores} cores",
        "load": load,
        "python": platform.python_version(),
    }


def _processor_name() -> str:
    import platform

    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _flat_rows(result: dict, prefix: str = "") -> list[tuple[str, object]]:
    """Nested figures as (dotted name, value); long lists are for the JSON file only."""
    rows: list[tuple[str, object]] = []
    for key, value in result.items():
        if isinstance(value, dict):
            rows += _flat_rows(value, f"{prefix}{key}.")
        elif not isinstance(value, list) or len(value) <= 8:
            rows.append((f"{prefix}{key}", value))
    return rows


def _print_table(rows: Sequence[tuple[str, object]]) -> None:
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        print(f"  {name:<{width}}  {f'{value:.4g}' if isinstance(value, float) else value}")


def _write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
    print(f"written to {path}")


if __name__ == "__main__":
    sys.exit(main())
