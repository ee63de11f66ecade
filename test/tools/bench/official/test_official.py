"""The benchmarks measure what they say: small sizes, no reference checkout, no time limits."""

import sys

import pytest
import torch

from pan3d_tools.bench.official import da3, da3_worker, sides, vggt
from pan3d_tools.bench.official.live_memory import LiveMemory
from pan3d_tools.bench.official.side_worker import Side, measure
from pan3d_tools.bench.official.vggt_worker import run_ours as run_our_vggt
from pan3d_tools.bench.parts import decode


def side(name, wall_s, peak_mib, depth):
    return {
        "side": name,
        "wall_s": wall_s,
        "cpu_s": 2 * wall_s,
        "weights_mib": 100.0,
        "before_mib": 150.0,
        "peak_mib": peak_mib,
        "live_mib": peak_mib - 200.0,
        "outputs": {"depth": depth},
    }


COMPARISONS = {vggt: "vggt/models/vggt.py", da3: "src/depth_anything_3/model/da3.py"}


@pytest.mark.parametrize("bench", COMPARISONS, ids=lambda module: module.__name__)
def test_ratios_take_the_best_time_and_the_highest_memory(monkeypatch, tmp_path, bench):
    (tmp_path / COMPARISONS[bench]).parent.mkdir(parents=True)
    (tmp_path / COMPARISONS[bench]).touch()
    rounds = iter(
        [
            side("ours", 3.0, 250.0, [1.0, 2.0]),
            side("official", 4.0, 350.0, [1.0, 2.5]),
            side("ours", 2.0, 300.0, [1.0, 2.0]),
            side("official", 5.0, 400.0, [1.0, 2.5]),
        ]
    )
    monkeypatch.setattr(sides, "run_side", lambda *_: next(rounds))
    result = bench.run(["--reference", str(tmp_path), "--rounds", "2", "--views", "3", "--height", "392"])
    assert result["shape"][:3] == [3, 3, 392]
    times, memory = {"wall_s": 0.5, "cpu_s": 0.5}, {"peak_mib": 0.75, "forward_mib": 0.6}
    assert result["ratio"] == pytest.approx({**times, **memory, "live_mib": 50 / 150, "total_live_mib": 150 / 250})
    assert result["largest_difference"] == pytest.approx(0.2)


@pytest.mark.parametrize("argv", [["--height", "100"], ["--width", "0"], ["--reference", "/nowhere"]])
@pytest.mark.parametrize("bench", COMPARISONS, ids=lambda module: module.__name__)
def test_unsuitable_arguments_are_refused(argv, bench, capsys):
    with pytest.raises(SystemExit):
        bench.parse(argv)
    assert "expected" in capsys.readouterr().err


def test_one_side_is_measured(procedural):
    tiny = Side(procedural.tiny_vggt, run_our_vggt)
    first = measure("ours", tiny, (1, 2, 3, 56, 70), 2, (1, 2, 3, 280, 350))
    second = measure("ours", tiny, (1, 2, 3, 56, 70), 1, (1, 4, 3, 280, 350))
    assert 2.5 < first["live_mib"] < second["live_mib"] < 2 * first["live_mib"]
    assert first["outputs"] == second["outputs"]
    assert first["wall_s"] > 0 and first["cpu_s"] > 0
    assert first["peak_mib"] >= first["before_mib"] > first["weights_mib"]


@pytest.mark.slow
def test_our_worker_of_depth_anything_answers_in_a_process_of_its_own():
    arguments = da3.parse(["--variant", "small", "--views", "2", "--memory-views", "2", "--height", "42", "--width", "56"])
    found = sides.run_side(da3.WORKER, "ours", arguments, ("--variant", "small"))
    assert found["side"] == "ours" and found["cpu_s"] > 0 and found["live_mib"] > 0
    assert found["weights_mib"] == pytest.approx(34.30e6 * 4 / 2**20, rel=1e-3)
    assert set(found["outputs"]) == {"depth", "depth_conf", "extrinsics", "intrinsics"}
    assert max(found["outputs"]["intrinsics"]) < 1e4  # a field of view that is open


def test_a_side_that_fails_says_why(tmp_path):
    arguments = da3.parse(["--views", "2", "--memory-views", "2", "--height", "42", "--width", "56"])
    arguments.reference = tmp_path
    with pytest.raises(RuntimeError, match="(?s)official side failed.*depth_anything_3"):
        sides.run_side(da3.WORKER, "official", arguments, ("--variant", "small"))


def test_the_official_side_is_built_from_its_own_configuration(tmp_path, monkeypatch):
    """A stand-in for the checkout: which configuration is read, and that images come normalised."""
    package = tmp_path / "src" / "depth_anything_3"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cfg.py").write_text("load_config = str\ncreate_object = lambda path: ('built from', path)\n")
    monkeypatch.setattr("sys.path", list(sys.path))
    built = da3_worker.build_official(tmp_path, "base")
    assert built == ("built from", str(package / "configs" / "da3-base.yaml"))
    for name in [name for name in sys.modules if name.startswith("depth_anything_3")]:
        monkeypatch.delitem(sys.modules, name)


def test_living_tensors_are_counted_and_not_computed():
    weight = torch.nn.Parameter(torch.ones(1000, 1000))
    with torch.no_grad(), LiveMemory() as memory:
        x = torch.zeros(1000, 1000)
        y = torch.nn.functional.linear(x, weight)
        assert memory.live_bytes == 8_000_000  # the weight was there before
        del x
        assert memory.live_bytes == 4_000_000
        z = y.view(100, -1).add_(1.0)
        assert memory.live_bytes == 4_000_000
        del y
        z = torch.nn.functional.gelu(z)
        assert memory.peak_bytes == 8_000_000
        assert torch.arange(5).sum() == 10
        picture = torch.zeros(1, 4, 500, 500).contiguous(memory_format=torch.channels_last)
        kernel = torch.zeros(2, 4, 1, 1)
        assert torch.conv2d(picture, kernel).stride() == (500_000, 1, 1000, 2)  # as it is when computed
    del z, picture, kernel
    assert memory.live_bytes == 0


def test_decoding_finds_what_was_planted():
    result = decode.run(
        [
            "--device",
            "cpu",
            "--views",
            "2",
            "--height",
            "168",
            "--width",
            "168",
            "--objects",
            "3",
            "--repeats",
            "1",
            "--threads",
            "1",
        ]
    )
    assert result["objects_found"] == 3
    assert set(result["network_parts_s"]) >= {"patch encoder", "global attention", "query attention", "instance head"}
    assert result["share"] > 0
    assert result["network_s"] == pytest.approx(sum(result["network_parts_s"].values()))
