"""Published tables as runs: lists of scenes, what is left out and why, going on, several processes, the page and the command."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from published_scenes import write_replica, write_scannet, write_scannetpp
from recalling_engine import Recalling
from scannet_copies import copy_scene

from pan3d_core.config import ModelConfig
from pan3d_core.engines import ENGINES
from pan3d_eval.datasets import list_scenes
from pan3d_eval.execution import Failure, Processes
from pan3d_eval.metrics.average_precision import SceneOverlaps
from pan3d_eval.published import PROTOCOLS, PublishedChoices, evaluate_published, table_page, table_values
from pan3d_eval.published.kept import kept_outcome, read_outcome, write_outcome
from pan3d_eval.published.masks import MaskScores, of_one_protocol
from pan3d_eval.published.scenes import full_name, read_split, scenes_of_split
from pan3d_tools import cli

SEGVGGT, MODEL = PROTOCOLS["segvggt"], ModelConfig(name="recalling")
V2 = {"table": "scannetv2", "stride": 1}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = write_scannet(tmp_path_factory.mktemp("scannet"))
    for name in ("scene0001_00", "scene0002_00"):
        copy_scene(folder, name)
    return folder.parent


def listed(path: Path, *names: str) -> Path:
    path.write_text("\n".join(["# the scenes", *names, ""]))
    return path


def test_bad_scenes_are_left_out_counted_and_named(scans, engine, tmp_path):
    """No depth, no poses, an unknown label, a recording that is cut off, and a scene of the list that is nowhere."""
    shutil.copytree(scans.parent, tmp_path / "data")
    broken = tmp_path / "data" / "scans"
    (broken / "scene0001_00" / "depth" / "1.png").unlink()
    for pose in (broken / "scene0002_00" / "pose").glob("*.txt"):
        pose.write_text("\n".join(["-inf -inf -inf -inf"] * 4))
    unknown = copy_scene(broken / "scene0000_00", "scene0003_00") / "scene0003_00.aggregation.json"
    unknown.write_text(unknown.read_text().replace("couch", "settee"))
    cut = write_scannet(tmp_path / "other", sens=True)
    recording = copy_scene(cut, "scene0004_00", broken) / "scene0004_00.sens"
    recording.write_bytes(recording.read_bytes()[:-3000])
    split = listed(tmp_path / "val.txt", *(f"scene000{k}_00" for k in (4, 3, 2, 1, 0)), "scene0099_00")
    found = evaluate_published([broken], SEGVGGT, MODEL, PublishedChoices(**V2, split=split), tmp_path / "out")
    assert found.measured == ("scene0000_00",) and math.isfinite(found.figures["ap"])
    messages = {item.name: item.message for item in found.failures}
    assert all(message.startswith(f"scene {name}: ") for name, message in messages.items())
    assert "expected in the folders, as the list names it, got none" in messages["scene0099_00"]
    assert "the depth of frame 1" in messages["scene0001_00"]
    assert "views: expected at least 1 images with poses, got 0" in messages["scene0002_00"]
    assert "label: expected a raw_category" in messages["scene0003_00"] and "'settee'" in messages["scene0003_00"]
    assert ".sens: " in messages["scene0004_00"] and "frame 4" in messages["scene0004_00"]
    page = table_page(found)
    assert "recalling, 1 scenes, 5 of 6 scenes left out" in page and messages["scene0003_00"] in page


def test_a_run_that_was_stopped_goes_on(scans, engine, tmp_path):
    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    choices = PublishedChoices(**V2)
    with pytest.raises(KeyboardInterrupt):
        evaluate_published([scans], SEGVGGT, MODEL, choices, tmp_path, progress=stop)
    assert len(engine.said) == 2
    gone_on = evaluate_published([scans], SEGVGGT, MODEL, choices, tmp_path)
    assert len(engine.said) == 3 and len(gone_on.measured) == 3
    engine.said.clear()
    whole = evaluate_published([scans], SEGVGGT, MODEL, choices, tmp_path / "whole")
    assert whole.figures == gone_on.figures and len(engine.said) == 3
    # Another setting is another measurement; the same one is not repeated, and needs no engine.
    evaluate_published([scans], SEGVGGT, MODEL, PublishedChoices(**V2, classes=("chair",), limit=1), tmp_path)
    assert len(engine.said) == 4
    ENGINES.pop("recalling")
    assert evaluate_published([scans], SEGVGGT, MODEL, choices, tmp_path).figures == whole.figures


def test_outcomes_are_kept_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    overlaps = SceneOverlaps(*(rng.random((2, 3)) for _ in range(10)), protocol="posed")
    for named in (overlaps, None):
        write_outcome(tmp_path / "one.npz", MaskScores("one", overlaps, named))
        read = read_outcome(tmp_path / "one.npz", MaskScores)
        assert read.name == "one" and read.plain.protocol == "posed" and (read.named is None) == (named is None)
        assert all(np.array_equal(value, getattr(read.plain, key)) for key, value in vars(overlaps).items())
    (tmp_path / "one.npz").write_bytes(b"PK not really")
    with pytest.raises(ValueError, match=r"one.npz: "):
        read_outcome(tmp_path / "one.npz", MaskScores)
    assert kept_outcome(tmp_path / "one.npz", MaskScores) is None and kept_outcome(tmp_path / "two.npz", MaskScores) is None
    other = SceneOverlaps(*(rng.random((2, 3)) for _ in range(10)), protocol="posed, superpoints")
    scores = [("a", MaskScores("a", overlaps, None)), ("b", MaskScores("b", other, None)), ("c", MaskScores("c", overlaps, None))]
    same, unlike = of_one_protocol(scores)
    assert [name for name, _ in same] == ["a", "c"] and unlike[0].name == "b" and "got posed, superpoints" in unlike[0].message


def test_lists_of_scenes(scans, tmp_path):
    references = list_scenes([scans])
    split = read_split(listed(tmp_path / "a.txt", "scene0002_00  # large", "", "scene0000_00"))
    chosen, missing = scenes_of_split(references, (*split, "scene0055_01"))
    assert [full_name(item.path) for item in chosen] == ["scene0002_00", "scene0000_00"]
    assert [type(item) for item in missing] == [Failure] and missing[0].name == "scene0055_01"
    device = list_scenes([write_scannetpp(tmp_path) / "iphone"])
    assert full_name(device[0].path) == "a1b2c3/iphone" and scenes_of_split(device, ("a1b2c3",)) == (device, [])
    for content, message in ((["a", "a"], "expected every scene once, got a more often"), ([], "expected one scene a line")):
        with pytest.raises(ValueError, match=message):
            read_split(listed(tmp_path / "b.txt", *content))
    with pytest.raises(FileNotFoundError, match="--split: expected a file"):
        read_split(tmp_path / "none.txt")


def test_scenes_and_tables_must_fit_the_paper(scans, engine, tmp_path):
    def refused(paths, protocol=SEGVGGT, **choices):
        evaluate_published(paths, protocol, MODEL, PublishedChoices(**choices), tmp_path / "out")

    with pytest.raises(ValueError, match="--table: expected one of scannetv2, scannet200 for scenes of scannet, got none"):
        refused([scans])
    room, plus = write_replica(tmp_path), write_scannetpp(tmp_path)
    with pytest.raises(ValueError, match="--protocol segvggt: expected scenes in the layout of scannet, scannetpp, got replica"):
        refused([room])
    with pytest.raises(ValueError, match="expected those of one public data set, got scannet, scannetpp"):
        refused([scans, plus])
    for choices, name in (({"labels": "truth"}, "--labels"), ({"steps": 3}, "--steps"), ({"size": (64, 48)}, "--size")):
        with pytest.raises(ValueError, match=f"{name}: expected a table of refined maps, got scannetv2"):
            refused([scans], **V2, **choices)
    with pytest.raises(ValueError, match="--classes: expected a table of instances on scans, got scannet-8"):
        refused([scans], PROTOCOLS["eps3d"], table="scannet-8", classes=("chair",))
    found = evaluate_published([plus], SEGVGGT, MODEL, PublishedChoices(stride=1), tmp_path / "out")
    assert "labels: expected the 84 classes of the table, got 4; --classes names" in found.failures[0].message


def test_a_table_has_one_way_onto_the_truth_and_the_papers_figures():
    for protocol in PROTOCOLS.values():
        assert len({table.key for table in protocol.tables}) == len(protocol.tables)
        for table in protocol.tables:
            assert all(0 < value < 1 for block in table.blocks for line in block.lines for value in line.values)
    transfers = {key: {getattr(table.setting, "transfer", "") for table in PROTOCOLS[key].tables} for key in PROTOCOLS}
    assert transfers == {"segvggt": {"posed"}, "fast3dis": {"unposed"}, "eps3d": {""}, "panopticsplatting": {""}}
    rows = {(p.key, t.key, b.source): b.lines[0].values for p in PROTOCOLS.values() for t in p.tables for b in t.blocks}
    assert rows["segvggt", "scannet200", "Table 1"] == (0.319, 0.457, 0.537)
    assert rows["fast3dis", "replica", "Table 1"] == (0.303, 0.138, 0.051)
    assert rows["eps3d", "replica-8", "Table 3"] == (0.3539, 0.4925, 0.4166)
    assert rows["panopticsplatting", "scannetpp", "abstract"] == (0.7773,)


def test_command_line(scans, engine, tmp_path, capsys):
    split = listed(tmp_path / "val.txt", "scene0001_00", "scene0042_00")
    out = tmp_path / "out"
    words = ["eval", str(scans), "--protocol", "segvggt", "--table", "scannetv2", "--stride", "1", "--engine", "recalling"]
    assert cli.main([*words, "--split", str(split), "-o", str(out)]) == 1
    shown, content = capsys.readouterr(), json.loads((out / "figures.json").read_text())
    assert "| SegVGGT, Table 1 | 0.504 | 0.717 | 0.870 |" in shown.out and shown.out.startswith(
        (out / "table.md").read_text()[:40]
    )
    assert f"| recalling, 1 scenes, 1 of 2 scenes left out | {content['figures']['named ap']:.3f} |" in shown.out
    assert "failed: scene0042_00: scene scene0042_00: expected in the folders" in shown.err
    assert content["scenes"] == ["scene0001_00"] and content["settings"]["transfer"] == "posed"
    assert cli.main([*words, "--limit", "1", "-o", str(out)]) == 0
    for more, message in (
        (["--no-poses"], "--no-poses: expected without --protocol"),
        (["--protocol", "segvgt"], "--protocol: expected one of segvggt, fast3dis, eps3d, panopticsplatting, got 'segvgt'"),
        (["--classes", str(tmp_path / "none.txt")], "--classes: expected a file with one class a line"),
    ):
        assert cli.main([*words, *more, "-o", str(out)]) != 0
        assert message in capsys.readouterr().err


def test_figures_that_were_not_measured_are_left_open(scans, tmp_path, monkeypatch):
    monkeypatch.setitem(ENGINES, "recalling", lambda config: Recalling(()))
    found = evaluate_published([scans], SEGVGGT, MODEL, PublishedChoices(**V2, limit=1), tmp_path)
    assert "| recalling, 1 scenes | - | - | - |" in table_page(found) and "named ap" not in table_values(found)["figures"]


@pytest.mark.slow
def test_several_processes_measure_what_one_does(scans, tmp_path):
    choices, model = PublishedChoices(limit=2), ModelConfig(name="pan3d-mini", device="cpu")
    one = evaluate_published([scans], PROTOCOLS["fast3dis"], model, choices, tmp_path / "one", processes=Processes())
    two = evaluate_published([scans], PROTOCOLS["fast3dis"], model, choices, tmp_path / "two", processes=Processes(2))
    assert one.figures == pytest.approx(two.figures, abs=1e-6, nan_ok=True) and one.measured == two.measured
