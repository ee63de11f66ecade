"""Damaged files: inputs of readers whose bytes are lost, changed and invented, or whose values are of other kinds."""

from __future__ import annotations

import copy
import io
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import ROOT

CORPUS = ROOT / "test" / "data" / "fuzz"
Reader = Callable[[Path], Any]

ODD_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [None, True, -1, 0, 2**31, 2**63, 2**70, 1e300, -1e-300, float("nan"), float("inf"), "", "x" * 300, [], {}, [[]]]
    ),
    st.sampled_from(["../../etc/passwd", "/etc/passwd", "a\0b", "\ud800", [None], {"": None}, {"a": {"b": []}}, [1, "2"], "1e5"]),
    st.text(max_size=8),
    st.integers(),
    st.floats(),
).map(copy.deepcopy)  # a list that is put in at two places must not hold itself in the end


@st.composite
def damaged_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """Some of the bytes of a file lost, changed, doubled or added."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        # Headers decide most: half of the damage is in the first bytes.
        start = min(start, draw(st.sampled_from([40, 400, len(content)])))
        end = min(len(content), start + draw(st.integers(0, 12)))
        kind = draw(st.sampled_from(["cut", "lose", "change", "double", "add"]))
        if kind == "cut":
            del content[start:]
        elif kind == "lose":
            del content[start:end]
        elif kind == "double":
            content[start:start] = content[start:end]
        else:
            new = draw(st.binary(min_size=1, max_size=8))
            content[start : start + (len(new) if kind == "change" else 0)] = new
    return bytes(content)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in pairs for place in _places(inner, (*path, key)))]


@st.composite
def changed_values(draw: st.DrawFn, whole: Any) -> Any:
    """Some values replaced by odd ones, removed or renamed."""
    content = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_places(content)))
        if not path:
            if draw(st.integers(0, 9)) == 0:
                content = draw(ODD_VALUES)
            continue
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        kind = draw(st.sampled_from(["replace", "replace", "remove", "rename"]))
        if kind == "replace":
            holder[path[-1]] = draw(ODD_VALUES)
        else:
            value = holder.pop(path[-1])
            if kind == "rename" and isinstance(holder, dict):
                holder[f"{path[-1]}x"] = value
    return content


def _stored(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def _with_facts(whole: bytes) -> st.SearchStrategy[bytes]:
    """A safetensors file with other values in the JSON that its metadata hold; its tensors stay, and so does their checksum."""
    end = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:end])
    facts = {name: json.loads(text) for name, text in header["__metadata__"].items() if text[:1] in ("{", "[")}

    def stored(changed: Any) -> bytes:
        texts = {name: json.dumps(value) for name, value in changed.items()} if isinstance(changed, dict) else {}
        others = {name: text for name, text in header["__metadata__"].items() if name not in facts}
        told = json.dumps(header | {"__metadata__": others | texts}).encode()
        return len(told).to_bytes(8, "little") + told + whole[end:]

    return changed_values(facts).map(stored)


def _inputs(seed: Path) -> st.SearchStrategy[bytes]:
    whole = seed.read_bytes()
    raw = damaged_bytes(whole)
    if seed.suffix == ".pt":
        content = torch.load(io.BytesIO(whole), weights_only=True)
        return st.one_of(raw, *[changed_values(content).map(_stored)] * 3)
    if seed.suffix == ".safetensors":
        return st.one_of(raw, _with_facts(whole), _with_facts(whole))
    if seed.suffix == ".json":
        values = changed_values(json.loads(whole)).map(lambda content: json.dumps(content).encode())
        return st.one_of(raw, values, values)
    if seed.suffix == ".yaml":
        values = changed_values(yaml.safe_load(whole)).map(
            lambda content: yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "replace")
        )
        return st.one_of(raw, values, values)
    return raw


AMOUNTS = pytest.mark.parametrize("amount", [25, pytest.param(500, marks=pytest.mark.slow)])  # of damaged files per reader


def laid_out(seed: str, folder: Path, whole: Path | None = None) -> Path:
    """Copy a file of the corpus, with those beside it if it has a folder of its own, to `folder`; the path of the copy."""
    where = folder / seed
    if whole is not None or where.parent == folder:
        where.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(whole or CORPUS / seed, where)
    else:
        shutil.copytree((CORPUS / seed).parent, where.parent)
    return where


def damaged_files_test(readers: Mapping[str, Reader]) -> Callable[[str, int, Path], None]:
    """A test of each reader, by the name of a whole file of the corpus: with some damaged files, or with many if slow."""

    @AMOUNTS
    @pytest.mark.parametrize("seed", sorted(readers))
    def check(seed: str, amount: int, tmp_path: Path) -> None:
        check_reader(readers[seed], seed, tmp_path, amount)

    return check


def broken_files_test(readers: Mapping[str, Reader]) -> Callable[[str, Path], None]:
    """A test of each reader with the kept files that broke it before it was mended."""

    @pytest.mark.parametrize("seed", sorted(readers))
    def check(seed: str, tmp_path: Path) -> None:
        check_broken(readers[seed], seed, tmp_path)

    return check


def check_broken(read: Reader, seed: str, folder: Path) -> None:
    """Try a reader with the kept versions of a file that broke it before it was mended.

    Args:
        read: As for `check_reader`.
        seed: As for `check_reader`; there may be no such versions of it.
        folder: An empty one.
    """
    where = laid_out(seed, folder)
    for broken in sorted((CORPUS / "broken" / seed).glob("*")):
        where.write_bytes(broken.read_bytes())
        refuses_cleanly(read, where)


def refuses_cleanly(read: Reader, path: Path) -> None:
    """A reader reads a file or raises one error that names it."""
    try:
        read(path)
    except (ValueError, FileNotFoundError) as error:
        assert path.name in str(error) or path.parent.name in str(error), f"{error!r} does not name {path}"


def check_reader(read: Reader, seed: str, folder: Path, inputs: int, whole: Path | None = None) -> None:
    """Try a reader with damaged versions of a file.

    Args:
        read: Takes the path of the file, which stands beside copies of the corpus's other files.
        seed: Name of a file in the corpus, which is whole.
        folder: An empty one.
        inputs: How many versions.
        whole: The file itself, where it is none of the corpus.
    """
    where = laid_out(seed, folder, whole)
    read(where)

    @settings(max_examples=inputs, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(_inputs(whole or CORPUS / seed))
    def check(content: bytes) -> None:
        where.write_bytes(content)
        refuses_cleanly(read, where)

    check()
