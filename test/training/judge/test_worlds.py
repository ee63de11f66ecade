"""Worlds are made harder as their variation says, and the table holds one row per world, variation and network."""

import numpy as np
import pytest
import torch
from trainers import trainer_of

from pan3d_core.engines.mini import DEFAULT_WEIGHTS
from training.data.arrays import ShardSet
from training.data.augment import plain_inputs
from training.data.targets.text import load_text_targets
from training.judge.objects import unvaried
from training.judge.worlds import VARIATIONS, Judged, gray, painted, poorly_calibrated, unposed


@pytest.fixture
def shown(data_folder):
    batch = ShardSet(data_folder / "val").batch(np.array([0, 1]), [np.arange(4)] * 2)
    return batch, plain_inputs(batch, posed=True)


def test_every_variation_changes_what_is_shown_and_none_the_objects(shown):
    batch, inputs = shown
    for name, vary in VARIATIONS.items():
        truth, seen = vary(batch, inputs, 3)
        assert torch.equal(truth.ids, batch.ids) and torch.equal(truth.depth, batch.depth)
        same = [torch.equal(value, getattr(inputs, field)) for field, value in vars(seen).items()]
        assert all(same) == (name == "as it is"), name
        again = vary(batch, inputs, 3)[1]
        assert all(torch.equal(value, getattr(again, field)) for field, value in vars(seen).items())


def test_variations_are_as_large_as_they_say(shown):
    batch, inputs = shown
    shift = torch.cat([(poorly_calibrated(batch, inputs, s)[1].cam_from_world - inputs.cam_from_world) for s in range(20)])
    assert 0.008 < shift[..., :3, 3].norm(dim=-1).mean() < 0.03
    seen = gray(batch, inputs, 0)[1].images
    assert torch.equal(seen[:, :, 0], seen[:, :, 2])
    assert unposed(batch, inputs, 0)[1].posed.max() == 0
    moved = (painted(batch, inputs, 0)[1].images - inputs.images).abs().amax(2)
    assert moved[batch.ids > 0].max() == 0 and moved[batch.ids == 0].mean() > 0.05


def test_a_checkpoint_is_judged_at_the_scenes_size_and_a_weight_file_at_its_own(run_values, data_folder, tmp_path):
    torch.save(trainer_of(run_values("pan3d-mini")).state({}), tmp_path / "last.pt")
    judged = Judged.read(tmp_path / "last.pt")
    assert judged.image_hw is None and judged.name.endswith("last.pt, step 0")
    text = load_text_targets(data_folder / "text_embeddings.npz")
    figures = judged.figures(ShardSet(data_folder / "val"), text, unvaried, 1)
    assert figures.scenes == 1 and 0 <= figures.ap50 <= 1
    assert Judged.read(DEFAULT_WEIGHTS).image_hw == (144, 192)
