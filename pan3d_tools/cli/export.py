"""`pan3d export`."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from pan3d_core.config import ModelConfig
from pan3d_core.engines import GRAPHS, build_graph
from pan3d_core.runtime.files import written_whole
from pan3d_core.runtime.networks.built import Wanted, network_file
from pan3d_core.runtime.networks.cache import cache_folder, entries, prune
from pan3d_core.runtime.networks.interface import Graph, RuntimeUnavailable
from pan3d_core.runtime.networks.table import RUNTIMES, is_installed, misfit, prepared
from pan3d_core.runtime.networks.verify import OutputError
from pan3d_tools.cli.options import picture_size
from pan3d_tools.cli.output import print_table

RUNTIME_OF = {"onnx": "onnxruntime", "openvino": "openvino", "tensorrt": "tensorrt"}


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_export)
    parser.add_argument("engine", nargs="?", default="pan3d-mini", metavar="ENGINE", help=f"one of {', '.join(GRAPHS)}")
    parser.add_argument("--to", choices=tuple(RUNTIME_OF), help="for which runtime (default: the fastest that is installed)")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="copy the file there; it is kept for model.runtime anyway")
    parser.add_argument("--weights", default="", help="checkpoint file (default: the one that comes with the engine)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:N")
    parser.add_argument(
        "--picture",
        metavar="WIDTHxHEIGHT",
        help="size of the cameras' pictures (default: of the shape the network was trained on)",
    )
    parser.add_argument(
        "--verify", action=argparse.BooleanOptionalAction, default=True,
        help="compare with torch first, without which model.runtime auto does not use it (default: yes)",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list what has been built")
    parser.add_argument("--prune", action="store_true", help="remove all that has been built")


def run_export(options: argparse.Namespace) -> int:
    """A network built for a runtime and compared with torch; 1 when it answers otherwise and was refused."""
    if options.prune:
        print(f"{prune()} removed from {cache_folder()}")
        return 0
    if options.list:
        _print_entries()
        return 0
    hw = None if options.picture is None else picture_size(options.picture)[::-1]
    graph = build_graph(ModelConfig(name=options.engine, weights=options.weights, device=options.device), hw)
    runtime = RUNTIME_OF[options.to] if options.to else _fastest(graph)
    try:
        path, errors = _export(graph, runtime, options.verify)
    except RuntimeUnavailable as problem:
        print(f"{graph.engine}: refused: {problem}")
        return 1
    print_table([(error.name, f"{error.largest:.2e} (at most {error.tolerance:.0e})") for error in errors])
    if options.out is not None:
        copied(path, options.out)
    print(f"{graph.engine} for {runtime}: {options.out or path}")
    return 0


def _export(graph: Graph, runtime: str, verify: bool) -> tuple[Path, list[OutputError]]:
    wanted = Wanted(threads=1)
    if not verify:
        return network_file(graph, wanted), []
    return network_file(graph, wanted), prepared(graph, runtime, wanted)


def _fastest(graph: Graph) -> str:
    device = next(graph.module.parameters()).device.type
    fitting = [name for name in RUNTIMES if not misfit(name, device, "float32")]
    if not fitting:
        names = [name for name, runtime in RUNTIMES.items() if device in runtime.devices and not is_installed(name)]
        raise ValueError(f"export: no runtime for {device} is installed; {' or '.join(RUNTIMES[name].install for name in names)}")
    return fitting[0]


def copied(source: Path, target: Path) -> None:
    """Copy a file, and the weights beside it where there are some."""
    for path in sorted(source.parent.glob(f"{source.name}*")):
        goal = target if path == source else target.with_name(path.name)
        with written_whole(goal) as part:
            shutil.copyfile(path, part)


def _print_entries() -> None:
    rows = []
    for folder in entries():
        size = sum(path.stat().st_size for path in folder.iterdir())
        names = sorted(path.name for path in folder.iterdir() if path.name != "manifest.json")
        rows.append((f"{folder.parent.name}/{folder.name}", f"{', '.join(names)}, {size / 1e6:.1f} MB"))
    print(f"{cache_folder()}: {len(rows)} built")
    print_table(rows)
