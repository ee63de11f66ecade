"""`pan3d export`: what it writes, what it refuses, what it lists and removes. Writing ONNX itself is the library's."""

from types import SimpleNamespace

import pytest
from tiny_graphs import tiny_graph

from pan3d_core.runtime.networks import RuntimeFacts
from pan3d_core.runtime.networks.interface import PrecisionRefused
from pan3d_core.runtime.networks.judged import Judgement, require_judged
from pan3d_core.runtime.networks.table import RUNTIMES
from pan3d_tools import cli


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache of its own, a network of a few numbers for an engine's, and a writer that takes no seconds."""
    monkeypatch.setenv("PAN3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pan3d_tools.cli.export.build_graph", lambda config, hw=None: tiny_graph())
    monkeypatch.setattr("pan3d_core.runtime.networks.built.write_onnx", lambda graph, path: path.write_bytes(b"a network"))
    return tmp_path / "cache"


def test_a_file_is_written_and_listed_and_removed(tmp_path, capsys):
    out = tmp_path / "there" / "mini.onnx"
    assert cli.main(["export", "--to", "onnx", "--no-verify", "-o", str(out)]) == 0
    assert out.read_bytes() == b"a network" and f"tiny for onnxruntime: {out}" in capsys.readouterr().out
    assert cli.main(["export", "--list"]) == 0
    assert "1 built" in (listed := capsys.readouterr().out) and "network.onnx, 0.0 MB" in listed
    assert cli.main(["export", "--prune"]) == 0 and "1 removed" in capsys.readouterr().out
    assert cli.main(["export", "--list"]) == 0 and "0 built" in capsys.readouterr().out


def test_what_does_not_open_is_refused_and_nothing_is_copied(tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    out = tmp_path / "mini.onnx"
    assert cli.main(["export", "--to", "onnx", "-o", str(out)]) == 1
    assert "tiny: refused: onnxruntime: cannot open" in capsys.readouterr().out and not out.exists()


def test_a_runtime_that_is_not_there_is_named_with_the_remedy(monkeypatch, capsys):
    monkeypatch.setattr("pan3d_core.runtime.networks.table.is_installed", lambda name: False)
    assert cli.main(["export", "--to", "openvino"]) == 1
    assert 'openvino is not installed; pip install "pan3d[openvino]"' in capsys.readouterr().out
    monkeypatch.setattr("pan3d_tools.cli.export.is_installed", lambda name: False)
    assert cli.main(["export"]) == 2
    message = capsys.readouterr().err
    assert "no runtime for cpu is installed" in message and "tensorrt" not in message


def test_a_full_disk_is_told(monkeypatch, capsys):
    def full(graph, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pan3d_core.runtime.networks.built.write_onnx", full)
    assert cli.main(["export", "--to", "onnx"]) == 1 and "the disk is full" in capsys.readouterr().out


def test_pictures_have_a_width_and_a_height(capsys):
    assert cli.main(["export", "--picture", "640"]) == 2
    assert "expected WIDTHxHEIGHT" in capsys.readouterr().err
    assert set(RUNTIMES) == {"tensorrt", "openvino", "onnxruntime"}


@pytest.mark.parametrize(("after", "code"), [(0.895, 0), (0.5, 1)])
def test_narrow_numbers_are_judged_and_the_verdict_is_kept(monkeypatch, capsys, after, code):
    facts = RuntimeFacts("onnxruntime", "1", "CPU", "float16", "")
    monkeypatch.setattr("pan3d_tools.cli.export.runnable_file", lambda graph, wanted: ("file.onnx", "7 products in float16"))
    monkeypatch.setattr("pan3d_tools.cli.export.bare_network", lambda graph, name, wanted: SimpleNamespace(facts=facts))
    monkeypatch.setattr("pan3d_tools.cli.export.judged", lambda model, scenes: [Judgement("AP", 0.9, after, -0.01)])
    assert cli.main(["export", "--to", "onnx", "--precision", "float16"]) == code
    told = capsys.readouterr().out
    assert "7 products in float16" in told and "0.9 -> " in told
    if code:
        assert "refused in float16: AP changed too much; torch runs it in float32" in told
        with pytest.raises(PrecisionRefused):
            require_judged(tiny_graph(), facts)
    else:
        require_judged(tiny_graph(), facts)


def test_a_precision_that_no_runtime_has_is_told(monkeypatch, capsys):
    monkeypatch.setattr("pan3d_tools.cli.export.misfit", lambda *given: "no")
    monkeypatch.setattr("pan3d_tools.cli.export.is_installed", lambda name: True)
    assert cli.main(["export", "--precision", "bfloat16"]) == 2
    assert "no installed runtime has bfloat16 on cpu; take another --precision" in capsys.readouterr().err
