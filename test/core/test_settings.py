"""The one reader of settings: strict by name and type, whatever the settings are for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from pan3d_core.settings import (
    Checked,
    did_you_mean,
    group,
    nested_names,
    read_settings,
    read_yaml,
    refuse_unknown,
    setting,
    to_plain,
)


@dataclass(frozen=True)
class Layers:
    sizes: tuple[int, int, int] = (1, 2, 3)
    start: Literal["learned", "seeds"] = "learned"
    hidden: int | None = None


@dataclass(frozen=True)
class Network:
    folder: Path
    rate: float = 0.5
    layers: Layers = Layers(sizes=(4, 5, 6))
    base: str | Mapping[str, Any] = "small"
    extra: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Limits(Checked):
    share: float = setting(0.5, "of all", range=(0.0, 1.0))


@dataclass(frozen=True)
class Run(Checked):
    limits: Limits = group(Limits, "limits")


def test_plain_values_become_settings_and_come_back():
    read = read_settings(Network, {"folder": "out", "rate": 2, "layers": {"hidden": 7}, "weights": [1, 0.5]})
    assert read == Network(Path("out"), 2.0, Layers((4, 5, 6), hidden=7), weights=(1.0, 0.5))
    assert type(read.rate) is float and type(read.weights[0]) is float
    assert read_settings(Network, to_plain(read)) == read
    assert read_settings(read, {"layers": {"sizes": [7, 8, 9]}}).layers == Layers((7, 8, 9), hidden=7)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"folder": "o", "rat": 1}, "net.rat: expected one of folder, rate, layers, base, extra, weights, got an unknown name"),
        ({"folder": "o", "layers": {"size": 1}}, "net.layers.size: expected one of sizes, start, hidden, got an unknown name"),
        ({"folder": "o", "layers": 3}, "net.layers: expected names with values, got 3"),
        ({"folder": "o", "layers": {"sizes": [1, 2]}}, r"net.layers.sizes: expected 3 values, got \[1, 2\]"),
        ({"folder": "o", "layers": {"sizes": [1, 2, 3.5]}}, "net.layers.sizes: expected int, got 3.5"),
        ({"folder": "o", "layers": {"start": "random"}}, "net.layers.start: expected one of learned, seeds, got 'random'"),
        ({"folder": "o", "rate": True}, "net.rate: expected float, got True"),
        ({"folder": "o", "rate": float("nan")}, "net.rate: expected a finite number, got nan"),
        ({"folder": "o", "base": 3}, "net.base: expected str or .*Mapping.*, got 3"),
        ({"folder": 3}, "net.folder: expected Path, got 3"),
        ({"rate": 1.0}, "net: expected folder, .*, got no folder"),
        ([1], r"net: expected names with values, got \[1\]"),
    ],
)
def test_what_is_wrong_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        read_settings(Network, values, "net")


def test_checked_settings_name_their_limits():
    assert read_settings(Run, {"limits": {"share": 1}}).limits.share == 1.0
    with pytest.raises(ValueError, match=r"Limits.share: expected 0.0 to 1.0, got 2.0"):
        read_settings(Run, {"limits": {"share": 2}})
    with pytest.raises(ValueError, match=r"limits.shares: expected one of share, got an unknown name"):
        read_settings(Run(), nested_names({"limits.shares": 2}))


def test_dotted_names_are_groups_within_groups():
    assert nested_names({"a.b.c": 1, "a.b.d": 2, "e": 3}) == {"a": {"b": {"c": 1, "d": 2}}, "e": 3}


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("sice", ["size", "start"], "size"),
        ("SIZE", ["size"], "size"),
        ("zzz", ["size"], ""),
        ("min_point", ["merge.min_points"], "merge.min_points"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(name, known, meant):
    assert did_you_mean(name, known) == (f"; did you mean {meant}?" if meant else "")


def test_names_that_nobody_reads_are_refused_with_what_they_are_called_here():
    refuse_unknown({"size": 1}, ["size"])
    with pytest.raises(
        ValueError, match=r"^view 3: K: expected one of intrinsics, got an unknown name; did you mean intrinsics\?$"
    ):
        refuse_unknown(["K"], ["intrinsics"], "view 3: ", {"K": "intrinsics"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "expected settings as YAML"),
        ("a: 2001-99-99", "expected settings as YAML"),
        ("1: a", "1: a name must be a text"),
        ("- a", "expected settings as names with values, got a list"),
        ("a: &a [*a]", "expected settings as YAML"),
        ("a: {b: 1, c: 2, b: 3}", "b: expected once, got it twice"),
        ("\n".join([f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 1}]" for n in range(12)]), "more than 200000 values"),
    ],
)
def test_a_file_that_is_no_yaml_of_settings_is_one_error_with_its_name(text, said, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"s\.yaml: .*{said}"):
        read_yaml(path, "settings")


def test_a_group_that_is_a_value_too_is_refused():
    for values in ({"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}):
        with pytest.raises(ValueError, match="to be a group or a value, got both"):
            nested_names(values)


def test_numbers_with_an_exponent_alone_are_numbers(tmp_path):
    (tmp_path / "s.yaml").write_text("a: [1e-3, +2E4, -5e+1, 1.5e2, e5, 1e]")
    assert read_yaml(tmp_path / "s.yaml", "settings")["a"] == [0.001, 20000.0, -50.0, 150.0, "e5", "1e"]
