"""The benchmark of FAST3DIS runs at small sizes, and its count of operations is that of torch."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pan3d_core.models.da3.backbone import BackboneSettings
from pan3d_core.models.da3.head import HeadSettings
from pan3d_core.models.da3.network import DA3_VARIANTS, AnyViewDa3, Da3Settings
from pan3d_core.models.fast3dis.anchor_decoder import AnchorSettings
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disSettings
from pan3d_tools.bench.cost.da3 import Cost, da3_cost, fast3dis_cost, floor_s
from pan3d_tools.bench.networks import fast3dis
from pan3d_tools.bench.official.turns import Clock, line_through, take_turns
from pan3d_tools.bench.parts import anchor_scaling

ANCHORS = AnchorSettings(queries=12, dim=32, heads=4, feed_forward=48, layers=4, bands=8)
IMAGE_HW = (70, 98)  # odd numbers of patches


def tiny(swiglu_hidden):
    return Da3Settings(BackboneSettings(48, 9, 3, (2, 4, 6, 8), 3, swiglu_hidden), HeadSettings(16, (8, 12, 16, 24)), "none")


def counted(model, **options):
    """Operations that torch counts. With gradients on: torch does not count products that are added in place."""
    model.eval().requires_grad_(False)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(torch.rand(1, 4, 3, *IMAGE_HW), **options)
    return counter.get_total_flops()


@pytest.mark.parametrize("swiglu_hidden", [None, 96])
@pytest.mark.parametrize("rays", [False, True])
def test_operations_of_depth_anything_are_those_that_torch_counts(swiglu_hidden, rays):
    settings = tiny(swiglu_hidden)
    cost = da3_cost(settings, 4, IMAGE_HW, rays=rays)
    assert cost.operations == pytest.approx(counted(AnyViewDa3(settings), rays=rays), rel=1e-4)


@pytest.mark.parametrize("swiglu_hidden", [None, 96])
def test_operations_of_fast3dis_are_those_that_torch_counts(swiglu_hidden):
    settings = Fast3disSettings(tiny(swiglu_hidden), ANCHORS)
    assert fast3dis_cost(settings, 4, IMAGE_HW).operations == pytest.approx(counted(Fast3dis(settings)), rel=3e-3)


def test_floors_follow_what_is_scarcest():
    assert floor_s(Cost(operations=790e12), "NVIDIA H200") == pytest.approx(1.0)
    assert floor_s(Cost(operations=790e12, moved_bytes=8.6e12), "NVIDIA H200") == pytest.approx(2.0)
    assert floor_s(Cost(operations=1.0, exponentials=12.6e12), "NVIDIA H200 NVL") == pytest.approx(3.0)
    assert floor_s(Cost(operations=1.0), "abacus") is None
    large = Fast3disSettings(DA3_VARIANTS["da3-large"])
    few, many = (fast3dis_cost(replace(large, decoder=AnchorSettings(queries=q)), 4, (378, 504)) for q in (80, 300))
    assert few.operations < many.operations < 1.05 * few.operations


def test_lines_and_turns():
    line = line_through([1, 2, 4], [3.0, 5.0, 9.0])
    assert line == pytest.approx({"slope": 2.0, "intercept": 1.0, "r2": 1.0})
    assert line_through([0, 1, 2], [0.0, 1.0, 0.0])["r2"] == pytest.approx(0.0)
    called = []

    def work(name, clock):
        called.append(name)
        for part in ("first", "second", "first"):
            clock.mark(part)

    times = take_turns({name: lambda clock, name=name: work(name, clock) for name in "ab"}, 2)
    assert called == ["a", "b"] * 3  # one round to warm up
    assert set(times["a"]) == {"first", "second", "whole"} and times["b"]["whole"]["wall_s"] >= 0
    assert Clock().parts == {}


def test_ratio_and_growth_come_from_what_was_measured(monkeypatch):
    def seconds(value):
        return {"trunk": {"cpu_s": value / 2}, "heads": {"cpu_s": value / 2}, "whole": {"cpu_s": value}}

    known = {"shared": 3.0, "separate": 4.0, "decoder_80": 1.0, "decoder_300": 2.0, "forward": 20.0}
    monkeypatch.setattr(fast3dis, "take_turns", lambda works, _: {name: seconds(known[name]) for name in works})
    settings = tiny(None)
    model, images = fast3dis.random_network(settings, ANCHORS), torch.rand(1, 2, 3, *IMAGE_HW)
    found = fast3dis.dual(model, images, 1)
    assert found["ratio"] == {"trunk": {"cpu_s": 0.75}, "whole": {"cpu_s": 0.75}}
    assert 0.5 < found["counted_ratio"]["whole"] < found["counted_ratio"]["trunk"] < 1.0
    grown = fast3dis.more_anchors(model, images, 1)
    assert grown["growth"] == pytest.approx(0.05)
    assert grown["share"] == pytest.approx({"80": 1 / 20, "300": 2 / 21})


def test_memory_of_the_decoder_does_not_depend_on_the_size_of_images():
    cases = {"few": (3, 20, (84, 112)), "large": (3, 20, (168, 224)), "views": (6, 20, (84, 112))}
    found = anchor_scaling.figures(ANCHORS, cases, 1)
    assert found["few"]["live_mib"] == found["large"]["live_mib"] < found["views"]["live_mib"]
    assert 0.2 < anchor_scaling.visible_share(ANCHORS) < 1.0


def test_all_parts_run_at_small_sizes(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = fast3dis.run(["--quick", "--rounds", "1", "--threads", "1", "--views", "2"])
    assert result["cuda"] == "not measured: no CUDA device"
    assert result["dual"]["ratio"]["whole"]["cpu_s"] > 0
    assert set(result["decoder"]["by_views"]) == {"2 views", "4 views", "8 views", "line"}
    assert result["decoder"]["by_views"]["line"]["live_mib"]["r2"] > 0.99
    assert result["decoder"]["by_size"]["largest_over_smallest"]["live_mib"] == 1.0


def test_passes_on_a_device_are_compared_with_its_floor():
    with torch.inference_mode():
        rows = fast3dis.on_device(fast3dis.QUICK, torch.device("cpu"), "NVIDIA H200", 1)
        unknown = fast3dis.on_device(fast3dis.QUICK, torch.device("cpu"), "abacus", 1)
    assert set(rows) == {"tiny bf16 2 views", "tiny fp32 2 views"}
    assert all(row["wall_s"] > 0 and row["x_floor"] > 1 for row in rows.values())
    assert unknown["tiny fp32 2 views"]["x_floor"] == "no floor known for abacus"


@pytest.mark.parametrize("argv", [["--height", "100"], ["--width", "0"], ["--views", "0"], ["--rounds", "0"]])
def test_unsuitable_arguments_are_refused(argv, capsys):
    with pytest.raises(SystemExit):
        fast3dis.parse(argv)
    assert "expected" in capsys.readouterr().err
