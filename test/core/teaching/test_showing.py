"""From views with one object, or a chosen one, to an object that is taught and found again among others."""

from dataclasses import replace

import pytest
import torch
from boxes_to_teach import BLUE, CANDIDATES, CONFIG, ELSEWHERE, LONG_BLUE, RED, engine, nearest_to, seen_of, taught

from pan3d_core.language import name_segments, resolve_prompt, select_by_prompt
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.teaching import Seen, TaughtLibrary, chosen_object, same_as_taught, show_object
from pan3d_core.teaching.objects import checked_name


@pytest.fixture(scope="module")
def library():
    return TaughtLibrary((taught("Blue valve"),))


@pytest.fixture(scope="module")
def present(library):
    return seen_of(CANDIDATES, library)


@pytest.fixture(scope="module")
def absent(library):
    return seen_of([RED, LONG_BLUE], library)


def test_the_object_is_found_by_its_name_among_similar_things(present):
    found = select_by_prompt(present.result, "the blue valve")
    assert found.best == nearest_to(present, ELSEWHERE) and len(found.instance_ids) == 1
    assert found.words == (("the", "ignored"), ("blue valve", "noun"))
    assert "taught 'Blue valve'" in found.explanation
    names = name_segments(present.result.panoptic)
    assert names[found.best] == "Blue valve" and sorted(names.values()).count("Blue valve") == 1


def test_a_name_goes_with_the_grammar_of_prompts(present):
    panoptic = present.result.panoptic
    beside = resolve_prompt("the object nearest to the blue valve", panoptic)
    assert beside.best is not None and beside.best.instance_id != nearest_to(present, ELSEWHERE)
    without = resolve_prompt("everything except the blue valve", panoptic)
    assert {match.instance_id for match in without.fitting} == {nearest_to(present, RED), nearest_to(present, LONG_BLUE)}


def test_what_is_not_here_is_said_to_be_not_here(absent):
    found = select_by_prompt(absent.result, "blue valve")
    assert not found.instance_ids and found.none_probability > 0.9
    assert "so it is not here" in found.message and found.understood


def test_without_a_choice_several_candidates_are_listed(present):
    with pytest.raises(ValueError, match=r"got 3: .*Blue valve.*say it by id, prompt, pixel or box"):
        chosen_object(present.result)
    by_color = select_by_prompt(present.result, "the red object")
    assert chosen_object(present.result, by_color) == nearest_to(present, RED)
    with pytest.raises(ValueError, match="expected one in the views, got none: nothing here fits 'the green"):
        chosen_object(present.result, select_by_prompt(present.result, "the green object"))


def test_an_empty_table_shows_nothing(library):
    with pytest.raises(ValueError, match="got none: none was found"):
        chosen_object(seen_of([], library).result)


def test_one_view_is_not_enough():
    seen = seen_of([BLUE], num_views=1)
    with pytest.raises(ValueError, match="expected at least 2 that show enough of object 1, got 1"):
        show_object(seen, 1, "blue valve")


def test_nothing_is_taught_from_the_dark(present):
    dark = tuple(replace(view, image=torch.zeros_like(view.image)) for view in present.views[1:])
    with pytest.raises(ValueError, match="views: expected at least 2 that are clear, got 1: cam1: too dark"):
        show_object(Seen(present.result, (present.views[0], *dark), present.looks), 1, "valve")


def test_views_without_poses_say_nothing_in_metres(present):
    reconstruction = replace(present.result.reconstruction, is_metric=False, alignment="no poses are given")
    unposed = Seen(replace(present.result, reconstruction=reconstruction), present.views, present.looks)
    with pytest.raises(ValueError, match="expected known poses, so that sizes are metres.*no poses are given"):
        show_object(unposed, 1, "blue valve")


def test_an_object_that_is_not_there_cannot_be_shown(present):
    with pytest.raises(ValueError, match=r"object: expected one of \[1, 2, 3\], got 9"):
        show_object(present, 9, "valve")


def test_two_names_for_one_thing_are_noticed(present):
    valve, red = nearest_to(present, ELSEWHERE), nearest_to(present, RED)
    assert same_as_taught(present, valve, "hydrant") == "Blue valve"
    assert same_as_taught(present, valve, "blue valve") == ""  # shown again by its own name
    assert same_as_taught(present, red, "hydrant") == ""


def test_one_name_for_two_things_finds_both_of_them(library):
    twin = replace(ELSEWHERE, center=(-0.12, -0.10, 0.03))
    seen = seen_of([ELSEWHERE, twin, LONG_BLUE], library)
    found = select_by_prompt(seen.result, "blue valve")
    assert set(found.instance_ids) == {nearest_to(seen, ELSEWHERE), nearest_to(seen, twin)}


@pytest.mark.parametrize("name", ["blue valve", "Müslischale", "valve no. 3", "grandma's cup", "M8 bolt", "small valve"])
def test_names_are_words_for_a_thing(name):
    assert checked_name(f"  {name} ") == name


@pytest.mark.parametrize(
    "name",
    ["", "!?", "blue", "left-handed gizmo", "the left one", "the mug on the left", "mug and bowl", "not the mug", "x" * 81],
)
def test_what_names_no_thing_is_refused(name):
    with pytest.raises(ValueError, match="name: expected"):
        checked_name(name)


def test_vectors_of_another_network_are_told_and_the_rest_still_finds_it(library):
    foreign = replace(library.objects[0].looks, vectors=library.objects[0].looks.colors[:, :8], checkpoint="of another network")
    seen = seen_of(CANDIDATES, TaughtLibrary((replace(library.objects[0], looks=foreign),)))
    assert any("'Blue valve' was taught with another network" in warning for warning in seen.result.warnings)
    assert select_by_prompt(seen.result, "blue valve").best == nearest_to(seen, ELSEWHERE)


def test_damaged_entries_are_told_with_every_result(library):
    seen = seen_of([BLUE], TaughtLibrary(library.objects, ("hose is left out: hose/object.json: name",)))
    assert "taught objects: hose is left out: hose/object.json: name" in seen.result.warnings


def test_a_fresh_pipeline_knows_what_was_taught_and_one_without_a_library_looks_for_nothing(library, present):
    pipeline = PerceptionPipeline(engine(), CONFIG)
    assert all(not segment.taught for segment in pipeline.process(present.views).panoptic.segments)
    with pytest.raises(ValueError, match="views: expected at least one view set"):
        pipeline.shown()
    pipeline.use_library(library)
    found = pipeline.fresh().process(present.views)
    assert "recognise" in found.timings_ms
    assert [fit.name for fit in found.panoptic.segments[0].taught] == ["Blue valve"]
