import pytest
import torch

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.noise import (
    NO_NOISE,
    LabelNoise,
    noisy_labels,
    noisy_view,
    with_dropped_masks,
    with_merged_masks,
    with_ragged_borders,
    with_split_masks,
    with_unknown_objects,
    with_unlabelled_views,
    with_wrong_classes,
)
from pan3d_core.refine.labels.sources import SceneLabels, labels_of_maps, maps_of_labels

LABELS = LabelSpace(("mug", "box", "ball", "table", "floor"), (True, True, True, False, False))
TABLE, FLOOR = 3, 4


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def view_of(height: int = 40, width: int = 60):
    """A mug and a box that touch, a ball apart; table on the left, floor on the right."""
    semantics = torch.where(torch.arange(width) < 40, TABLE, FLOOR).repeat(height, 1)
    ids = torch.zeros(height, width, dtype=torch.int64)
    for value, (rows, columns) in enumerate([((5, 20), (5, 15)), ((5, 20), (15, 30)), ((25, 35), (45, 55))], start=1):
        ids[rows[0] : rows[1], columns[0] : columns[1]] = value
        semantics[ids == value] = value - 1
    return labels_of_maps(torch.zeros(3, height, width), semantics, ids, LABELS)


def areas(view) -> list[int]:
    return sorted(int(mask.sum()) for mask in view.masks)


def assert_sound(view):
    assert view.masks.dtype == torch.bool and len(view.masks) == len(view.class_id)
    assert int(view.masks.sum(0).max()) <= 1 if len(view.masks) else True
    assert bool(view.masks.flatten(1).any(1).all())
    for mask, class_id in zip(view.masks, view.class_id.tolist(), strict=True):
        assert view.semantics[mask].unique().tolist() == [class_id]
    free = view.semantics[~view.masks.any(0)]
    assert set(free.unique().tolist()) <= {TABLE, FLOOR}  # nothing keeps the class of an object that has no mask


def test_without_noise_only_the_order_of_the_masks_changes():
    view = view_of()
    orders = set()
    for seed in range(60):
        made = noisy_view(view, NO_NOISE, LABELS, seeded(seed))
        orders.add(tuple(made.class_id.tolist()))
        assert torch.equal(made.semantics, view.semantics) and areas(made) == areas(view)
        assert torch.equal(maps_of_labels(made)[1] > 0, maps_of_labels(view)[1] > 0)
    assert len(orders) == 6


def test_views_of_a_scene_are_shuffled_each_in_its_own_way():
    scene = SceneLabels(LABELS, (view_of(),) * 12)
    made = noisy_labels(scene, NO_NOISE, seeded())
    assert len({tuple(view.class_id.tolist()) for view in made.views}) > 1


def test_a_dropped_mask_gives_its_pixels_to_what_surrounds_it():
    view = view_of()
    nothing = with_dropped_masks(view, 1.0, seeded())
    assert nothing.masks.shape == (0, 40, 60) and nothing.class_id.shape == (0,)
    # The ball's pixels lie on the floor, those of mug and box on the table.
    assert int((nothing.semantics == TABLE).sum()) == 40 * 40 and int((nothing.semantics == FLOOR).sum()) == 20 * 40
    counts = [len(with_dropped_masks(view, 0.3, seeded(seed)).masks) for seed in range(200)]
    assert sum(counts) / 600 == pytest.approx(0.7, abs=0.06)


def test_what_surrounds_a_dropped_mask_may_be_void():
    ids = torch.zeros(10, 10, dtype=torch.int64)
    ids[3:6, 3:6] = 1
    view = labels_of_maps(torch.zeros(3, 10, 10), ids - 1, ids, LABELS)
    assert bool((with_dropped_masks(view, 1.0, seeded()).semantics == -1).all())
    everything = labels_of_maps(torch.zeros(3, 4, 4), torch.zeros(4, 4).long(), torch.ones(4, 4).long(), LABELS)
    assert bool((with_dropped_masks(everything, 1.0, seeded()).semantics == -1).all())


def test_a_wrong_class_is_any_other_thing_and_its_pixels_have_it_too():
    view, drawn = view_of(), set()
    for seed in range(30):
        made = with_wrong_classes(view, 1.0, LABELS, seeded(seed))
        assert_sound(made)
        assert bool((made.class_id != view.class_id).all()) and torch.equal(made.masks, view.masks)
        drawn |= set(made.class_id.tolist())
    assert drawn == {0, 1, 2}
    only = LabelSpace(("mug", "a", "b", "table", "floor"), (True, False, False, False, False))
    assert torch.equal(with_wrong_classes(view, 1.0, only, seeded()).class_id, view.class_id)


def test_a_split_mask_is_two_of_about_equal_size_and_of_its_class():
    made = with_split_masks(view_of(), 1.0, seeded())
    assert_sound(made)
    assert made.class_id.tolist() == [0, 0, 1, 1, 2, 2]
    for first, second in made.masks.unflatten(0, (3, 2)):
        assert 0.3 < float(first.sum()) / float(first.sum() + second.sum()) < 0.7
    assert torch.equal(made.masks.any(0), view_of().masks.any(0))


def test_only_masks_that_touch_are_merged_and_the_larger_one_names_them():
    made = with_merged_masks(view_of(), 1.0, seeded())
    assert_sound(made)
    assert made.class_id.tolist() == [1, 2] and areas(made) == [100, 15 * 25]


def test_ragged_borders_move_by_about_the_chosen_distance():
    view = view_of()
    assert with_ragged_borders(view, 0.0, 8.0, seeded()) is view
    changed = []
    for sigma in (0.5, 2.0):
        made = [with_ragged_borders(view, sigma, 6.0, seeded(seed)) for seed in range(20)]
        for item in made:
            assert_sound(item)
            assert item.class_id.tolist() == view.class_id.tolist()
        differs = torch.stack([(item.masks ^ view.masks).sum() for item in made]).double().mean()
        outlines = 50 + 60 + 40  # pixels along the three borders
        changed.append(float(differs) / outlines)
    # The mean of |N(0, sigma)| is 0.8 sigma, and a border moves by whole pixels only.
    assert 0.2 < changed[0] < 0.8 and 1.2 < changed[1] < 2.4


def test_a_mask_that_would_vanish_stays():
    ids = torch.zeros(20, 20, dtype=torch.int64)
    ids[10, 10] = 1
    view = labels_of_maps(torch.zeros(3, 20, 20), torch.where(ids > 0, 0, TABLE), ids, LABELS)
    for seed in range(20):
        assert int(with_ragged_borders(view, 3.0, 5.0, seeded(seed)).masks[0].sum()) >= 1


def test_nothing_is_said_about_an_unknown_object():
    view = view_of()
    made = with_unknown_objects(view, 1.0, seeded())
    assert made.masks.shape == (0, 40, 60) and made.class_id.shape == (0,)
    assert torch.equal(made.semantics == -1, view.masks.any(0))
    counts = [len(with_unknown_objects(view, 0.3, seeded(seed)).masks) for seed in range(200)]
    assert sum(counts) / 600 == pytest.approx(0.7, abs=0.06)
    some = with_unknown_objects(view, 0.5, seeded(1))
    assert 0 < len(some.masks) < 3 and bool((some.semantics[some.masks.any(0)] >= 0).all())


def test_unlabelled_views_keep_their_image_alone():
    scene = SceneLabels(LABELS, (view_of(),) * 10)
    made = with_unlabelled_views(scene, 0.7, seeded())
    silent = [len(view.masks) == 0 and bool((view.semantics == -1).all()) for view in made.views]
    assert sum(silent) == 7 and [not quiet for quiet in silent] == [len(view.masks) == 3 for view in made.views]
    assert all(torch.equal(view.image, view_of().image) for view in made.views)
    others = with_unlabelled_views(scene, 0.7, seeded(1))
    assert [len(view.masks) for view in others.views] != [len(view.masks) for view in made.views]
    both = noisy_labels(scene, LabelNoise(unlabelled=0.5, unknown=1.0), seeded())
    assert sum(bool((view.semantics >= 0).any()) for view in both.views) == 5 and not any(len(v.masks) for v in both.views)


@pytest.mark.parametrize("seed", range(8))
def test_all_noise_together_leaves_sound_labels_and_the_same_seed_the_same_ones(seed):
    strong = LabelNoise(0.3, 0.3, 0.5, 0.5, 3.0)
    made, again = (noisy_view(view_of(), strong, LABELS, seeded(seed)) for _ in range(2))
    assert_sound(made)
    assert torch.equal(made.masks, again.masks) and torch.equal(made.semantics, again.semantics)
    assert torch.equal(view_of().masks, view_of().masks)


def test_views_without_masks_stay_as_they_are():
    bare = labels_of_maps(torch.zeros(3, 8, 8), torch.full((8, 8), TABLE), torch.zeros(8, 8).long(), LABELS)
    made = noisy_view(bare, LabelNoise(0.5, 0.5, 0.5, 0.5, 2.0), LABELS, seeded())
    assert made.masks.shape == (0, 8, 8) and torch.equal(made.semantics, bare.semantics)


def test_strengths_scale_and_impossible_ones_are_refused():
    doubled = LabelNoise(dropped=0.6, ragged_px=1.0).times(2)
    assert (doubled.dropped, doubled.wrong_class, doubled.ragged_px, doubled.ragged_length_px) == (1.0, 0.2, 2.0, 8.0)
    assert LabelNoise().times(0) == NO_NOISE
    with pytest.raises(ValueError, match="LabelNoise.split: expected a probability in 0..1, got 1.5"):
        LabelNoise(split=1.5)
    with pytest.raises(ValueError, match="ragged_px, ragged_length_px: expected at least 0 and 1, got -1, 8"):
        LabelNoise(ragged_px=-1)
