"""Two scenes of two views, and descriptions of their kinds."""

import numpy as np
import pytest
import torch

from training.data.arrays import ShardSet
from training.data.targets.text import load_text_targets


@pytest.fixture
def batch(data_folder):
    return ShardSet(data_folder / "train").batch(np.array([0, 1]), [np.arange(2)] * 2)


@pytest.fixture
def descriptions(data_folder):
    return load_text_targets(data_folder / "text_embeddings.npz").draw(torch.Generator().manual_seed(0))
