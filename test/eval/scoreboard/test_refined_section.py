"""The section on refined scenes: scenes as files, one scene refined and judged, kept rows and what the page says."""

import argparse
import json
from dataclasses import fields, replace

import pytest
import torch

from pan3d_core.refine.labels.noise import LabelNoise
from pan3d_core.refine.labels.sources import maps_of_labels
from pan3d_eval.rendered.refined import RefinedViewFigures
from pan3d_eval.scoreboard import board as scoreboard
from pan3d_eval.scoreboard import refined_scenes
from pan3d_eval.scoreboard.board import MeasuredRow, measured_row
from pan3d_eval.scoreboard.page import Board, page_text
from pan3d_eval.scoreboard.refined_scenes import PARTS, LabelSource, RefinedProtocol, refined_worker, write_refined_scene
from pan3d_eval.scoreboard.refined_section import COST, QUALITY, REFINED_ROWS, named_figures, section_text
from pan3d_eval.scoreboard.rows import ROWS, SceneSet
from pan3d_tools.cli.evaluation import scoreboard as command

refine_scene = pytest.importorskip("pan3d_sim.data.refine_scene")
TINY = RefinedProtocol(steps=12, max_gaussians=1500, hold_out_every=3)
PERFECT, NOISY = REFINED_ROWS[:2]
MACHINE = {"date": "2026-11-26 06:33 UTC"}


@pytest.fixture(scope="module")
def rendered():
    return refine_scene.render_refine_scene(3, refine_scene.RefineSceneSettings(num_views=6, width=64, height=48))


@pytest.fixture(scope="module")
def reference(rendered, tmp_path_factory):
    folder = tmp_path_factory.mktemp("refined") / "scene"
    return write_refined_scene(folder, rendered.scene, rendered.semantic_id, rendered.labels)


def test_rows_are_true_and_noisy_labels_and_those_of_the_embedded_engines():
    assert [row.source for row in REFINED_ROWS] == [
        LabelSource(),
        LabelSource(noise=LabelNoise()),
        *(LabelSource(name) for name in ("pan3d-mini", "pan3d-mini-fast3dis", "pan3d-mini-eps3d")),
    ]
    assert len({row.key for row in REFINED_ROWS}) == len({row.title for row in REFINED_ROWS}) == len(REFINED_ROWS)


def test_a_scene_comes_back_from_its_files_with_its_truth(rendered, reference):
    scene, labels = reference.read()
    assert labels.labels == rendered.labels and reference.name == "scene"
    assert torch.equal(torch.stack([maps_of_labels(view)[0] for view in labels.views]), rendered.semantic_id)
    assert torch.equal(torch.stack(scene.truth.instance_ids), rendered.instance_id)
    assert all(
        torch.allclose(own.depth, view.depth, atol=1e-4) for own, view in zip(scene.views, rendered.scene.views, strict=True)
    )


def test_views_held_out_are_the_last_of_every_few_and_never_given():
    assert RefinedProtocol().rows_of("held_out", 24) == [3, 7, 11, 15, 19, 23]
    assert TINY.rows_of("held_out", 6) == [2, 5] and TINY.rows_of("given", 6) == [0, 1, 3, 4]
    with pytest.raises(ValueError, match="RefinedProtocol.hold_out_every: expected at least 2, got 1"):
        RefinedProtocol(hold_out_every=1)


def test_true_labels_are_right_in_every_view_and_no_object_has_an_id_over_views(reference):
    scores = refined_worker(PERFECT.source, TINY)(reference)
    for part, views in (("given", 4), ("held_out", 2)):
        labels, own = scores.labels[part], scores.map[part]
        assert (labels.views, own.views) == (views, views)
        assert labels.per_view_pq == labels.miou == labels.labelled == 1.0
        assert labels.pq < 0.7 and labels.identity_switches > 0
        assert 0 < own.per_view_pq < 1 and own.labelled > 0
    assert 0 < scores.num_gaussians <= 1500 and scores.processor_minutes > 0 and scores.peak_memory_mb > 50


def test_noise_spoils_the_labels_alike_in_every_run(reference):
    scenes = [refined_worker(NOISY.source, replace(TINY, steps=1))(reference) for _ in range(2)]
    assert scenes[0].labels == scenes[1].labels and scenes[0].map == scenes[1].map
    assert scenes[0].labels["given"].per_view_pq < 0.9


def test_an_engine_sees_neither_measured_depth_nor_held_out_views_beside_given_ones(reference):
    worker, seen = refined_worker(LabelSource("pan3d-mini"), replace(TINY, steps=1)), []

    class Watched:
        facts = worker.engine.facts

        def __call__(self, batch):
            seen.append(batch)
            return engine(batch)

    engine, worker.engine = worker.engine, Watched()
    scores = worker(reference)
    assert [batch.num_views for batch in seen] == [4, 2, 4]  # labels of given and of held-out views, first Gaussians
    assert all(batch.depth is None for batch in seen)
    assert torch.equal(seen[0].images, seen[2].images)
    assert scores.num_gaussians > 0 and scores.labels["given"].per_view_pq > 0.2


@pytest.mark.slow
def test_a_kept_row_is_not_measured_again_until_what_it_depends_on_changes(reference, tmp_path, monkeypatch):
    first = measured_row(PERFECT.measurement([reference], replace(TINY, steps=2)), tmp_path, machine={"load": "0.5"})
    assert first.failures == () and first.figures["scenes"] == 1 and first.machine == {"load": "0.5"}
    assert first.value("labels given per_view_pq") == 1.0
    (kept,) = tmp_path.iterdir()
    stored = json.loads(kept.read_text())
    assert MeasuredRow(**stored | {"failures": tuple(stored["failures"])}) == first

    def never(*_, **__):
        raise AssertionError("measured again")

    monkeypatch.setattr(scoreboard, "run_items", never)
    assert measured_row(PERFECT.measurement([reference], replace(TINY, steps=2)), tmp_path, machine={}) == first
    for protocol in (replace(TINY, steps=3), replace(TINY, steps=2, seed=1)):
        with pytest.raises(AssertionError, match="measured again"):
            measured_row(PERFECT.measurement([reference], protocol), tmp_path, machine={})


def test_the_hash_of_a_row_knows_its_source_and_the_files_of_its_scenes(rendered, tmp_path):
    own = write_refined_scene(tmp_path / "scene", rendered.scene, rendered.semantic_id, rendered.labels)
    before = {row.key: row.measurement([own], TINY).hash() for row in REFINED_ROWS}
    assert len(set(before.values())) == len(REFINED_ROWS)
    assert before == {row.key: row.measurement([own], TINY).hash() for row in REFINED_ROWS}
    image = next((own.path / "images").iterdir())
    image.write_bytes(image.read_bytes() + b"x")
    assert all(row.measurement([own], TINY).hash() != before[row.key] for row in REFINED_ROWS)


@pytest.mark.slow
def test_a_scene_that_cannot_be_read_is_a_failure_and_the_row_has_no_figures(tmp_path):
    broken = refined_scenes.RefinedSceneReference(tmp_path / "nothing")
    found = measured_row(PERFECT.measurement([broken], TINY), tmp_path / "rows", machine=MACHINE)
    assert found.figures == {"scenes": 0} and len(found.failures) == 1 and "nothing" in found.failures[0]
    text = section_text([PERFECT], {PERFECT.key: found}, TINY)
    assert "1 scenes failed" in text and "|  |  |" in text


def figures(pq: float) -> RefinedViewFigures:
    return RefinedViewFigures(**{item.name: 6 if item.type == "int" else pq for item in fields(RefinedViewFigures)})


def scores(name: str, pq: float, minutes: float, memory: float) -> refined_scenes.RefinedScores:
    views = dict.fromkeys(PARTS, figures(pq))
    return refined_scenes.RefinedScores(name, views, dict.fromkeys(PARTS, figures(pq / 2)), 30_000, minutes, memory)


def test_figures_are_means_over_scenes_but_counts_are_sums_and_memory_is_the_largest():
    named = named_figures([scores("a", 0.4, 1.0, 500.0), scores("b", 0.8, 2.0, 400.0)])
    assert named["labels given pq"] == pytest.approx(0.6) and named["map held_out loose_pq"] == pytest.approx(0.3)
    assert (named["processor_minutes"], named["peak_memory_mb"], named["scenes"]) == (1.5, 500.0, 2)
    assert named["map given identity_switches"] == 12
    lines = {f"{source} {part} {item.figure}" for source in ("labels", "map") for part in PARTS for item in QUALITY}
    assert lines | {item.figure for item in COST} <= set(named)


def test_the_section_has_four_lines_for_every_measured_row_and_none_for_the_others():
    kept = MeasuredRow(named_figures([scores("a", 0.5, 1.25, 512.4)]), {}, [], MACHINE)
    later = replace(kept, machine={"date": "2026-11-27 08:00 UTC"})
    assert "rows measured 2026-11-26 06:33 UTC)" in section_text(REFINED_ROWS, {PERFECT.key: kept}, RefinedProtocol())
    both = section_text(REFINED_ROWS, {PERFECT.key: later, NOISY.key: kept}, RefinedProtocol())
    assert "rows measured 2026-11-26 06:33 UTC to 2026-11-27 08:00 UTC)" in both
    text = section_text(REFINED_ROWS, {PERFECT.key: kept, NOISY.key: kept}, RefinedProtocol())
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 4 * 2 and len({line.count("|") for line in table}) == 1
    assert table[2].startswith(f"| {PERFECT.title} | labels, given views | 0.500 |") and "| 6 | 6 |  |  |  |" in table[2]
    assert table[3].startswith("|  | map, given views | 0.250 |") and table[3].endswith("| 1.25 | 512 | 30000 |")
    assert "pan3d-mini" not in text and "6 views are given and 6 are held out" in text and "300 steps" in text
    assert "Every scene was measured." in text
    assert section_text(REFINED_ROWS, {}, RefinedProtocol()) == ""
    failed = MeasuredRow({"scenes": 0}, {}, ["a: no depth"], MACHINE)
    text = section_text(REFINED_ROWS, {PERFECT.key: failed, NOISY.key: kept}, RefinedProtocol())
    assert "1 held-out scenes" in text and "6 views are given" in text and "1 scenes failed" in text


def test_the_page_has_the_section_after_the_rendered_one():
    scenes = SceneSet("held_out", "Held-out scenes", (), {})
    machine = {"date": "2026-01-02 03:04 UTC", "processor": "a processor", "load": "0.5"}
    measured = {(row.key, key): MeasuredRow({}, {}, [], machine) for row in ROWS for key in ("held_out", "unseen")}
    board = Board(ROWS, scenes, replace(scenes, key="unseen"), measured, "`w`", "make scoreboard", "## Rendered", "## Refined")
    parts = page_text(board, "images").split("\n\n")
    assert parts[parts.index("## Rendered") + 1 :][:2] == ["## Refined", "## The rows"]
    assert "## Refined" not in page_text(replace(board, refined=""), "images")


def test_the_command_measures_every_row_on_the_same_scenes_and_renders_them_once(rendered, tmp_path, monkeypatch, capsys):
    drawn, asked = [], []

    def drawn_scene(seed, settings):
        drawn.append(seed)
        return rendered

    def measured(row, folder, *, machine):
        asked.append((row.name, tuple(item.path for item in row.items), folder))
        failures = ["scene_1: no depth"] if row.name == NOISY.key else []
        return MeasuredRow(named_figures([scores("a", 0.5, 1.0, 500.0)]), {}, failures, machine)

    monkeypatch.setattr(refine_scene, "render_refine_scene", drawn_scene)
    monkeypatch.setattr(command, "measured_row", measured)
    options = argparse.Namespace(work=tmp_path, count=200, refined_scenes=2)
    for _ in range(2):
        text, failures = command._refined_section(options)
    assert drawn == [1_000_000, 1_000_001]
    assert len(set(asked)) == len(REFINED_ROWS) and len({(paths, folder) for _, paths, folder in asked}) == 1
    assert asked[0][2] == tmp_path / "rows" and [path.name for path in asked[0][1]] == ["scene_1000000", "scene_1000001"]
    assert text.startswith("## Refined scenes") and failures == ["(refined_noisy): scene_1: no depth"]
    assert "refined_perfect: held-out views PQ" in capsys.readouterr().out
    assert not any(item.name.startswith(".") for item in asked[0][1][0].parent.iterdir())


def test_a_truth_that_does_not_fit_the_views_is_refused(rendered, tmp_path):
    with pytest.raises(ValueError, match="one map of classes per view, got 5 maps for 6 views"):
        write_refined_scene(tmp_path / "scene", rendered.scene, rendered.semantic_id[:5], rendered.labels)
    few = replace(
        rendered.scene,
        views=rendered.scene.views[:3],
        truth=replace(
            rendered.scene.truth,
            instance_ids=rendered.scene.truth.instance_ids[:3],
            depth=rendered.scene.truth.depth[:3],
        ),
    )
    made = write_refined_scene(tmp_path / "few", few, rendered.semantic_id[:3], rendered.labels)
    with pytest.raises(ValueError, match="scene few: expected at least 4 views, got 3"):
        made.read()
