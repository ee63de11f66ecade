"""Cosines of stored features with texts against the wide vectors themselves, and the odds against none of them."""

import pytest
import torch
from torch.nn import functional as F

from pan3d_core.language.text_space import TextSpace


def made_up_space(**settings) -> TextSpace:
    torch.manual_seed(0)
    return TextSpace(torch.randn(24, 6), torch.randn(24), "minilm", **settings)


def test_cosines_are_those_of_the_wide_vectors():
    space, features, texts = made_up_space(), torch.randn(3, 5, 6), 4 * torch.randn(7, 24)
    wide = features @ space.weight.T + space.bias
    expected = F.cosine_similarity(wide[..., None, :], texts, dim=-1)
    assert space.cosines(features, texts).shape == (3, 5, 7)
    torch.testing.assert_close(space.cosines(features, texts), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(space.cosines(features, texts / 9), expected, atol=1e-5, rtol=0)


def test_the_wide_vectors_are_never_made():
    """A million features times 4096 channels would be 16 GB."""
    space = TextSpace(torch.ones(4096, 2), torch.zeros(4096), "minilm")
    assert space.cosines(torch.ones(1_000_000, 2), torch.ones(1, 4096)).shape == (1_000_000, 1)


def test_features_of_zero_speak_by_the_bias_and_stay_finite():
    space, texts = made_up_space(), torch.randn(2, 24)
    expected = F.cosine_similarity(space.bias[None], texts)
    torch.testing.assert_close(space.cosines(torch.zeros(1, 6), texts)[0], expected)
    blank = TextSpace(space.weight, torch.zeros(24), "minilm")
    assert blank.cosines(torch.zeros(1, 6), texts).tolist() == [[0.0, 0.0]]


def test_none_stands_in_the_softmax_as_a_text_of_known_cosine():
    space = TextSpace(torch.eye(2), torch.zeros(2), "minilm", temperature=0.5, none_similarity=0.25)
    shares = space.probabilities(torch.tensor([[1.0, 0.0]]), torch.eye(2))
    weights = torch.tensor([1.0, 0.0, 0.25]).div(0.5).exp()
    torch.testing.assert_close(shares, (weights / weights.sum())[None])
    assert space.probabilities(torch.ones(4, 2), torch.zeros(0, 2)).tolist() == [[1.0]] * 4  # no text, nothing is meant


def test_gradients_reach_features_and_space():
    weight, features = torch.randn(8, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    TextSpace(weight, torch.zeros(8), "minilm").probabilities(features, torch.randn(2, 8))[:, 0].sum().backward()
    assert float(weight.grad.abs().sum()) > 0 and float(features.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("features", "texts", "message"),
    [
        (torch.zeros(3, 5), torch.ones(1, 24), r"features: expected 6 channels .* got shape \(3, 5\)"),
        (torch.zeros(3, 6), torch.ones(1, 23), r"texts: expected shape \(any, 24\), got \(1, 23\)"),
        (torch.zeros(3, 6), torch.zeros(1, 24), "texts: expected rows of length above 0"),
    ],
)
def test_wrong_widths_are_named(features, texts, message):
    with pytest.raises(ValueError, match=message):
        made_up_space().cosines(features, texts)


def test_wrong_spaces_are_named():
    with pytest.raises(ValueError, match="TextSpace.bias"):
        TextSpace(torch.zeros(4, 2), torch.zeros(3), "minilm")
    with pytest.raises(ValueError, match="TextSpace.encoder"):
        TextSpace(torch.zeros(4, 2), torch.zeros(4), "")
    with pytest.raises(ValueError, match="TextSpace.temperature"):
        made_up_space(temperature=0.0)
    with pytest.raises(ValueError, match="TextSpace.none_similarity"):
        made_up_space(none_similarity=float("nan"))
