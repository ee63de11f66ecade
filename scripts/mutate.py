#!/usr/bin/env python3
"""Change lines of the library one at a time, and see whether the tests of their room notice.

    scripts/mutate.py --lines 60 --seed 18 --json out/mutants.json
    scripts/mutate.py --lines 60 --seed 18 --only 7 31      # these of the same draw again

The draw takes lines with equal chance from all lines of the rooms in which an expression can be changed, then one of the changes
possible there with equal chance. A mutant is killed when the tests of its room fail or take longer than they ever should. Text of
messages, logging, annotations, decorators and what is raised are left alone. It works in a copy of what git tracks.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import scipy.optimize  # noqa: F401 (for the forks)
import torch

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {
    **{f"pan3d_core/{room}": f"test/core/{room}" for room in ("language", "geometry", "views", "grasping", "assembly")},
    "pan3d_core/structures.py": "test/core/test_structures.py",
    "pan3d_ros/processing": "test/ros/processing",
}
LEFT_ALONE = (ast.Raise, ast.JoinedStr, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.Assert)
LEFT_OUT = (ast.Expr, ast.Break, ast.Continue)  # statements that may be dropped; the first where it is a call
COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
COMPUTED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
RENAMED = {"min": "max", "max": "min", "any": "all", "all": "any", "amin": "amax", "amax": "amin", "argmin": "argmax",
           "argmax": "argmin", "floor": "ceil", "ceil": "floor", "sin": "cos", "cos": "sin"}  # fmt: skip
SYMMETRIC = ("min", "max", "minimum", "maximum", "hypot", "isclose", "allclose", "logical_and", "logical_or", "dist")
SMALL = 8  # whole numbers from here on are doubled and halved instead of being off by one
LIMIT_S = 300  # of computing that the tests may take of one mutant; a room takes a tenth to a third of it


@dataclass(frozen=True)
class Mutation:
    """One changed expression."""

    path: str
    line: int
    begin: int  # bytes of the file
    end: int
    after: str


@dataclass(frozen=True)
class Verdict:
    """What the tests made of a mutation."""

    number: int
    place: str
    before: str  # the expression
    after: str
    outcome: str  # "killed", "killed by time" or "survived"
    seconds: float
    told: str  # the tests' last words

    def line(self) -> str:
        """For a person."""
        change = f"{self.place}: {self.before}  ->  {self.after}"
        return f"{self.number:3d} {self.outcome:14s} {self.seconds:5.0f} s {change}  {self.told}"


def mutations(path: str, source: str) -> Iterator[Mutation]:
    """Every change of a file that the draw knows."""
    starts = [0]
    for text in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(text.encode()))
    for node in _expressions(ast.parse(source)):
        begin, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        for changed in _changes(node):
            text = changed if isinstance(changed, str) else ast.unparse(changed)
            yield Mutation(path, node.lineno, begin, end, text if isinstance(node, ast.stmt) else f"({text})")


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes that may be changed; types, texts and what is said of errors are none."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            is_log = isinstance(child, ast.Call) and ast.unparse(child.func).startswith("log.")
            if not isinstance(child, ast.AST) or is_log:
                continue
            if isinstance(child, ast.AnnAssign) and child.value is not None:
                yield from _expressions(ast.Expr(child.value))
            elif not isinstance(child, LEFT_ALONE):
                if isinstance(child, (ast.expr, ast.stmt)):
                    yield child
                yield from _expressions(child)


def _changes(node: ast.AST) -> Iterator[ast.AST | str]:
    """Ways to change one node."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield _with(node, ops=[COMPARED[type(node.ops[0])]()])
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in COMPUTED:
        yield _with(node, op=COMPUTED[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.And() if isinstance(node.op, ast.Or) else ast.Or())
        for index in range(len(node.values)):
            rest = node.values[:index] + node.values[index + 1 :]
            yield rest[0] if len(rest) == 1 else _with(node, values=rest)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub, ast.Invert)):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        small = isinstance(node.value, int) and node.value < SMALL
        yield ast.Constant(node.value + 1 if small or not node.value else node.value * 2)
        if node.value:
            yield ast.Constant(node.value - 1 if small else type(node.value)(node.value * 0.5))
    elif isinstance(node, ast.Call):
        yield from _changed_calls(node)
    elif isinstance(getattr(node, "value", node), (ast.Call, ast.Break, ast.Continue)) and isinstance(node, LEFT_OUT):
        yield "pass"


def _changed_calls(node: ast.Call) -> Iterator[ast.AST]:
    name = ast.unparse(node.func).rsplit(".", 1)[-1]
    if len(node.args) >= 2 and name not in SYMMETRIC and not any(isinstance(item, ast.Starred) for item in node.args[:2]):
        yield _with(node, args=[node.args[1], node.args[0], *node.args[2:]])
    if isinstance(node.func, ast.Name) and node.func.id in RENAMED:
        yield _with(node, func=ast.Name(RENAMED[node.func.id]))
    elif isinstance(node.func, ast.Attribute) and node.func.attr in RENAMED:
        yield _with(node, func=_with(node.func, attr=RENAMED[node.func.attr]))


def _with(node: ast.AST, **values: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in values.items():
        setattr(changed, name, value)
    return changed


def draw(root: Path, count: int, seed: int) -> tuple[list[Mutation], int]:
    """Mutations of so many lines, and among how many lines they were drawn."""
    lines: dict[tuple[str, int], list[Mutation]] = defaultdict(list)
    for place in ROOMS:
        for file in sorted((root / place).rglob("*.py")) if (root / place).is_dir() else [root / place]:
            for mutation in mutations(str(file.relative_to(root)), file.read_text(encoding="utf-8")):
                lines[mutation.path, mutation.line].append(mutation)
    chance = random.Random(seed)
    return [chance.choice(lines[key]) for key in chance.sample(sorted(lines), count)], len(lines)


def tests_of(root: Path, path: str) -> list[str]:
    """What mirrors a module's room; first what is nearest to it, since that is the likeliest to fail."""
    place, room = next((place, mirror) for place, mirror in ROOMS.items() if path == place or path.startswith(f"{place}/"))
    found = sorted(str(file.relative_to(root)) for file in (root / room).rglob("test_*.py")) or [room]
    own, folder = f"test_{Path(path).stem}.py", str(Path(room) / Path(path).relative_to(place).parent)
    return sorted(found, key=lambda name: (Path(name).name != own, str(Path(name).parent) != folder))


def run_tests(root: Path, tests: list[str]) -> tuple[str, str]:
    """Outcome ("passed", "failed" or "time") and last words of tests in a copy.

    They run in a fork, which has the large libraries already. The limit is one of computing: a busy machine kills no mutants.
    """
    told = root / "mutant.log"
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
        os.chdir(root)
        os.environ.update({name: value.replace(str(ROOT), str(root)) for name, value in os.environ.items() if "PATH" in name})
        sys.path[:] = [entry.replace(str(ROOT), str(root)) for entry in sys.path]
        with told.open("w", encoding="utf-8") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
            code = pytest.main(["-n0", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--timeout=0", *tests])
            sys.stdout.flush()
        os._exit(int(code))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "time", ""
    lines = told.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line for line in lines if line.startswith(("FAILED", "ERROR"))] or lines[-1:]
    return "passed" if os.WEXITSTATUS(status) == 0 else "failed", " ".join(said)[:300]


def copy_tracked(target: Path) -> None:
    """The work tree as git tracks it, with the environment and the messages beside it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for name in (".venv", "install"):
        (target / name).symlink_to((ROOT / name).resolve())


def main() -> int:
    """Try the mutations; 1 when less than the wanted share was killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=60, help="how many are drawn (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=18, help="of the draw (default: %(default)s)")
    parser.add_argument("--only", type=int, nargs="+", metavar="N", help="numbers of the draw that are tried, from 1")
    parser.add_argument("--share", type=float, default=0.9, help="that must be killed (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="name the mutations and end")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what became of each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.update(OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1")
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="mutants_") as folder:
        root = Path(folder)
        copy_tracked(root)
        drawn, lines = draw(root, options.lines, options.seed)
        chosen = [(number, item) for number, item in enumerate(drawn, 1) if not options.only or number in options.only]
        print(f"{len(drawn)} of {lines} lines by seed {options.seed}", flush=True)
        for number, mutation in chosen:
            if options.list:
                print(f"{number:3d} {mutation.path}:{mutation.line}  ->  {mutation.after}")
                continue
            verdicts.append(judge(root, number, mutation))
            print(verdicts[-1].line(), flush=True)
            if options.json:
                options.json.parent.mkdir(parents=True, exist_ok=True)
                options.json.write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=1), encoding="utf-8")
        require_passing(root, verdicts)
    killed = sum(verdict.outcome.startswith("killed") for verdict in verdicts)
    print(f"{killed} of {len(verdicts)} killed")
    return 0 if options.list or killed >= options.share * len(verdicts) else 1


def judge(root: Path, number: int, mutation: Mutation) -> Verdict:
    """Run the room's tests on one mutation."""
    file = root / mutation.path
    original = file.read_bytes()
    before = original[mutation.begin : mutation.end].decode()
    began = time.monotonic()
    file.write_bytes(original[: mutation.begin] + mutation.after.encode() + original[mutation.end :])
    try:
        outcome, told = run_tests(root, tests_of(root, mutation.path))
    finally:
        file.write_bytes(original)
    named = {"passed": "survived", "failed": "killed", "time": "killed by time"}[outcome]
    seconds = round(time.monotonic() - began, 1)
    place = f"{mutation.path}:{mutation.line}"
    return Verdict(number, place, before, mutation.after, named, seconds, told if outcome == "failed" else "")


def require_passing(root: Path, verdicts: list[Verdict]) -> None:
    """Run the tests of each room without a mutation; those of a survivor have passed already.

    Raises:
        RuntimeError: They fail, so that they say nothing of mutations.
    """
    rooms: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for verdict in verdicts:
        rooms[tuple(sorted(tests_of(root, verdict.place.rsplit(":", 1)[0])))].add(verdict.outcome)
    for room in sorted(room for room, outcomes in rooms.items() if "survived" not in outcomes):
        outcome, told = run_tests(root, list(room))
        if outcome != "passed":
            raise RuntimeError(f"the tests fail without a mutation: {told}")


if __name__ == "__main__":
    sys.exit(main())
