"""`pan3d export`."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pan3d_core.config import ModelConfig
from pan3d_core.engines import GRAPHS, build_graph
from pan3d_core.runtime.files import written_whole
from pan3d_core.runtime.networks.built import Wanted, network_file
from pan3d_core.runtime.networks.cache import cache_folder, entries, prune
from pan3d_core.runtime.networks.interface import Graph, RuntimeUnavailable
from pan3d_core.runtime.networks.judged import Judgement, keep_judgements
from pan3d_core.runtime.networks.precision import runnable_file
from pan3d_core.runtime.networks.table import RUNTIMES, bare_network, is_installed, misfit, prepared
from pan3d_core.runtime.networks.verify import OutputError
from pan3d_eval.narrow_numbers import STORED_SCENES, judged
from pan3d_tools.cli.options import add_weights_options, picture_size
from pan3d_tools.cli.output import print_table

RUNTIME_OF = {"onnx": "onnxruntime", "openvino": "openvino", "tensorrt": "tensorrt"}


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_export, weights="", device="auto")
    parser.add_argument("engine", nargs="?", default="pan3d-mini", metavar="ENGINE", help=f"one of {', '.join(GRAPHS)}")
    parser.add_argument("--to", choices=tuple(RUNTIME_OF), help="for which runtime (default: the fastest that is installed)")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="copy the file there; it is kept for model.runtime anyway")
    add_weights_options(parser)
    parser.add_argument(
        "--picture",
        metavar="WIDTHxHEIGHT",
        help="size of the cameras' pictures (default: of the shape the network was trained on)",
    )
    parser.add_argument(
        "--verify", action=argparse.BooleanOptionalAction, default=True,
        help="compare with torch first, without which model.runtime auto does not use it (default: yes)",
    )  # fmt: skip
    parser.add_argument(
        "--precision", choices=("float32", "float16", "bfloat16"), default="float32",
        help="number format of products with weights (default: float32); narrow ones are judged by the whole pipeline on scenes, "
        "and refused where they cost more than a hundredth of AP or PQ, 0.5 mm or 0.0015 of AbsRel",
    )  # fmt: skip
    parser.add_argument(
        "--scenes", type=Path, nargs="+", default=[STORED_SCENES], metavar="DIR",
        help="scenes with truth that narrow numbers are judged on (default: three stored ones)",
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
    model = ModelConfig(name=options.engine, weights=options.weights, device=options.device, precision=options.precision)
    graph = build_graph(model, hw)
    model = replace(model, runtime=RUNTIME_OF[options.to] if options.to else _fastest(graph, options.precision))
    try:
        path, errors = _export(graph, model, options)
    except RuntimeUnavailable as problem:
        print(f"{graph.engine}: refused: {problem}")
        return 1
    print_table([_row(error) for error in errors])
    bad = [error.name for error in errors if not error.holds]
    if bad:
        print(f"{graph.engine}: refused in {model.precision}: {', '.join(bad)} changed too much; torch runs it in float32")
        return 1
    if options.out is not None:
        copied(path, options.out)
    print(f"{graph.engine} for {model.runtime}: {options.out or path}")
    return 0


def _export(graph: Graph, model: ModelConfig, options: argparse.Namespace) -> tuple[Path, Sequence[OutputError | Judgement]]:
    """The file, and what was compared or judged."""
    wanted = Wanted(threads=1, precision=model.precision)
    if model.precision == "float32":
        return network_file(graph, wanted), prepared(graph, model.runtime, wanted) if options.verify else []
    path, changed = runnable_file(graph, wanted)
    print(f"{graph.engine}: {changed}")
    if not options.verify:
        return path, []
    facts = bare_network(graph, model.runtime, wanted).facts
    found = judged(model, options.scenes)
    keep_judgements(graph, facts, found)
    return path, found


def _row(found: OutputError | Judgement) -> tuple[str, str]:
    if isinstance(found, OutputError):
        return found.name, f"{found.largest:.2e} (at most {found.tolerance:.0e})"
    return found.name, str(found).removeprefix(f"{found.name} ")


def _fastest(graph: Graph, precision: str) -> str:
    device = next(graph.module.parameters()).device.type
    fitting = [name for name in RUNTIMES if not misfit(name, device, precision)]
    if not fitting:
        names = [name for name, runtime in RUNTIMES.items() if device in runtime.devices and not is_installed(name)]
        if not names:
            raise ValueError(f"export: no installed runtime has {precision} on {device}; take another --precision")
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
