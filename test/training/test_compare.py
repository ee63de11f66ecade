"""Short runs side by side: each once, in one table, and nothing runs when one of them could not."""

import json
import math
from dataclasses import replace

import pytest
import yaml
from places import ROOT

from training.compare import final_figures, read_comparison, run_variant, table
from training.settings import read_yaml


@pytest.fixture
def comparison_list(run_values, tmp_path):
    def write(groups: dict) -> object:
        values = run_values("pan3d-mini-fast3dis", record={"evaluate_scenes": 1})
        base = {name: value for name, value in values.items() if name not in ("out", "data")} | {"steps": 1}
        path = tmp_path / "list.yaml"
        path.write_text(yaml.safe_dump({"base": base, "seeds": [0, 1], "columns": ["ap50", "repeats"], "groups": groups}))
        return path

    return write


@pytest.mark.slow
def test_variants_run_once_and_stand_in_one_table(comparison_list, data_folder, tmp_path):
    path = comparison_list({"losses": {"no contrast": ["model.loss.anchors.contrast=0"]}})
    comparison = read_comparison(path, data_folder, tmp_path / "runs")
    assert [v.folder(tmp_path).name for v in comparison.variants] == [
        "unchanged-seed0", "unchanged-seed1", "losses-no-contrast-seed0",
    ]  # fmt: skip
    changed = comparison.variants[-1]
    assert changed.values["model"]["loss"] == {"anchors": {"contrast": 0}} and changed.values["steps"] == 1
    figures = run_variant(changed, tmp_path / "runs", 1)
    assert [case["posed"] for case in figures] == [True, False]
    log = changed.folder(tmp_path / "runs") / "log.jsonl"
    written = log.read_text()
    assert run_variant(changed, tmp_path / "runs", 1) == figures and log.read_text() == written  # not again
    (log.parent / "done").unlink()
    assert final_figures(log.parent) is None


def test_the_table_shows_the_spread_of_the_unchanged_run(comparison_list, data_folder, tmp_path):
    path = comparison_list({"losses": {"none": ["model.loss.anchors.contrast=0"]}})
    comparison = read_comparison(path, data_folder, tmp_path)
    figures = [[{"posed": True, "ap50": value, "repeats": 2.0}] for value in (0.6, 0.8, 0.5)]
    rows = table(comparison, figures).splitlines()
    assert rows[0] == "| | ap50 posed | repeats posed |"
    assert rows[2] == "| **unchanged**, 2 seeds | 0.700 ± 0.141 | 2.000 ± 0.000 |"
    assert rows[4] == "| none | 0.500 | 2.000 |"


def test_variants_of_several_seeds_show_their_spread(comparison_list, data_folder, tmp_path):
    path = comparison_list({"losses": {"none": ["model.loss.anchors.contrast=0"]}})
    path.write_text(path.read_text() + "variant_seeds: [3, 5]\n")
    comparison = read_comparison(path, data_folder, tmp_path)
    assert [variant.values["seed"] for variant in comparison.variants] == [0, 1, 3, 5]
    assert [variant.folder(tmp_path).name for variant in comparison.variants[2:]] == ["losses-none-seed3", "losses-none-seed5"]
    figures = [[{"posed": True, "ap50": value, "repeats": math.nan}] for value in (0.6, 0.8, 0.5, 0.7)]
    rows = table(comparison, figures).splitlines()
    assert rows[4] == "| none | 0.600 ± 0.141 | - |" and len(rows) == 5  # what a case does not have is no figure


def test_means_can_have_the_interval_of_their_seeds(comparison_list, data_folder, tmp_path):
    path = comparison_list({"losses": {"none": ["model.loss.anchors.contrast=0"]}})
    path.write_text(path.read_text() + "interval: 0.95\n")
    comparison = read_comparison(path, data_folder, tmp_path, ["steps=7", "start_from=weights.pt"])
    assert {variant.values["steps"] for variant in comparison.variants} == {7}
    assert {variant.values["start_from"] for variant in comparison.variants} == {"weights.pt"}
    figures = [[{"posed": True, "ap50": value, "repeats": 2.0}] for value in (0.6, 0.8, 0.5)]
    rows = table(comparison, figures).splitlines()
    # Two values 0.2 apart: 12.706 standard errors of 0.1 on each side.
    assert rows[2] == "| **unchanged**, 2 seeds | 0.700 (-0.571 to 1.971) | 2.000 (2.000 to 2.000) |" and rows[4].endswith(
        "| 0.500 | 2.000 |"
    )
    path.write_text(path.read_text().replace("0.95", "95"))
    with pytest.raises(ValueError, match="list: interval: expected 0 to below 1"):
        read_comparison(path, data_folder, tmp_path)


def test_the_lists_that_are_there_can_be_run(data_folder, tmp_path):
    lists = [path for path in sorted((ROOT / "training" / "comparisons").glob("*.yaml")) if not path.stem.endswith("_start")]
    found = {path.stem: read_comparison(path, data_folder, tmp_path) for path in lists}
    assert len(found) == 4 and len(found["segvggt_claims"].variants) == 3 * 8 and found["segvggt_claims"].interval == 0.95


@pytest.mark.slow
def test_the_claims_of_segvggt_run_from_one_start(data_folder, tmp_path):
    lists, runs = ROOT / "training" / "comparisons", tmp_path / "runs"
    quick = ["steps=1", "record.evaluate_scenes=1"]
    comparison = read_comparison(lists / "segvggt_claims.yaml", data_folder, runs, quick)
    start = comparison.start
    assert start.values["steps"] == 500 and start.values["model"] == read_yaml(lists / "segvggt_start.yaml")["model"]
    assert {variant.values["start_from"] for variant in comparison.variants} == {str(start.folder(runs) / "last.pt")}
    run_variant(replace(start, values={**start.values, "steps": 1}), runs, 1)
    members = {variant.name: variant for variant in comparison.variants}
    for name in ("", "neither loss nor matching cost", "read the last layer alone", "learns as a whole", "stays frozen"):
        (figures,) = run_variant(members[name], runs, 1)
        assert set(comparison.columns) <= set(figures)


def test_a_start_of_a_list_gives_way_to_a_named_one(data_folder, tmp_path):
    path = ROOT / "training" / "comparisons" / "segvggt_claims.yaml"
    comparison = read_comparison(path, data_folder, tmp_path, ["start_from=vggt.pt"])
    assert comparison.start is None and {variant.values["start_from"] for variant in comparison.variants} == {"vggt.pt"}


def test_a_list_with_an_impossible_run_is_refused_whole(comparison_list, data_folder, tmp_path):
    bad = comparison_list({"rates": {"wrong": ["optimizer.learning_rat=1"]}})
    with pytest.raises(ValueError, match="optimizer.learning_rat: expected one of"):
        read_comparison(bad, data_folder, tmp_path)
    lacking = tmp_path / "lacking.yaml"
    lacking.write_text(json.dumps({"base": {}}))
    with pytest.raises(ValueError, match="list: expected base, seeds, groups and columns in .*, got no seeds"):
        read_comparison(lacking, data_folder, tmp_path)


@pytest.mark.slow
def test_a_run_that_fails_says_its_last_words(comparison_list, data_folder, tmp_path):
    path = comparison_list({"data": {"elsewhere": ["data=/nowhere"]}})
    comparison = read_comparison(path, data_folder, tmp_path / "runs")
    with pytest.raises(RuntimeError, match="data-elsewhere-seed0: the run failed with status 1:[\\s\\S]*nowhere"):
        run_variant(comparison.variants[-1], tmp_path / "runs", 1)
