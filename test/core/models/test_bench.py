"""The benchmarks measure what they say: small sizes, no reference checkout, no time limits."""

import pytest
import torch

from pan3d_core.bench import decode, vggt, vggt_worker
from pan3d_core.bench.live_memory import LiveMemory


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


def test_ratios_take_the_best_time_and_the_highest_memory(monkeypatch, tmp_path):
    (tmp_path / "vggt" / "models").mkdir(parents=True)
    (tmp_path / "vggt" / "models" / "vggt.py").touch()
    rounds = iter(
        [
            side("ours", 3.0, 250.0, [1.0, 2.0]),
            side("official", 4.0, 350.0, [1.0, 2.5]),
            side("ours", 2.0, 300.0, [1.0, 2.0]),
            side("official", 5.0, 400.0, [1.0, 2.5]),
        ]
    )
    monkeypatch.setattr(vggt, "run_side", lambda *_: next(rounds))
    result = vggt.run(["--reference", str(tmp_path), "--rounds", "2", "--views", "3"])
    assert result["shape"] == [3, 3, 392, 518]
    times, memory = {"wall_s": 0.5, "cpu_s": 0.5}, {"peak_mib": 0.75, "forward_mib": 0.6}
    assert result["ratio"] == pytest.approx({**times, **memory, "live_mib": 50 / 150, "total_live_mib": 150 / 250})
    assert result["largest_difference"] == pytest.approx(0.2)


@pytest.mark.parametrize("argv", [["--height", "100"], ["--width", "0"], ["--reference", "/nowhere"]])
def test_unsuitable_arguments_are_refused(argv, capsys):
    with pytest.raises(SystemExit):
        vggt.parse(argv)
    assert "expected" in capsys.readouterr().err


def test_one_side_is_measured(monkeypatch, procedural):
    monkeypatch.setattr(vggt_worker, "build_ours", procedural.tiny_vggt)
    first = vggt_worker.measure("ours", None, (1, 2, 3, 56, 70), 2, (1, 2, 3, 280, 350))
    second = vggt_worker.measure("ours", None, (1, 2, 3, 56, 70), 1, (1, 4, 3, 280, 350))
    assert 2.5 < first["live_mib"] < second["live_mib"] < 2 * first["live_mib"]
    assert first["outputs"] == second["outputs"]
    assert first["wall_s"] > 0 and first["cpu_s"] > 0
    assert first["peak_mib"] >= first["before_mib"] > first["weights_mib"]


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
    del z
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
