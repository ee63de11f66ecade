"""The fit of "none of these" on made-up cosines whose numbers are known."""

import pytest
import torch

from pan3d_core.language.text_space import none_softmax
from pan3d_eval.metrics.none_fitting import TEMPERATURES, fit_none, none_calibration


def drawn(temperature: float, none_similarity: float, texts: int, count: int = 20_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines, and what is there as often as the model of these numbers says."""
    generator = torch.Generator().manual_seed(texts)
    cosines = torch.rand(count, texts, generator=generator) * 1.2 - 0.2
    chosen = torch.multinomial(none_softmax(cosines, temperature, none_similarity), 1, generator=generator)
    return cosines, torch.nn.functional.one_hot(chosen[:, 0], texts + 1)[:, :-1].bool()


@pytest.mark.parametrize(("temperature", "none_similarity", "texts"), [(0.08, 0.45, 5), (0.2, 0.7, 1), (0.04, 0.9, 12)])
def test_known_numbers_are_found_and_calibrated(temperature, none_similarity, texts):
    cosines, is_there = drawn(temperature, none_similarity, texts)
    found = fit_none(cosines, is_there)
    assert found == pytest.approx((temperature, none_similarity), rel=0.06)
    before, after = none_calibration(cosines, is_there, 0.07, 0.5), none_calibration(cosines, is_there, *found)
    assert after.ece < min(0.015, 0.7 * before.ece)
    assert after.brier < before.brier


def test_one_text_alone_and_rows_by_one_column_are_the_same():
    cosines, is_there = drawn(0.1, 0.5, 1)
    assert fit_none(cosines[:, 0], is_there[:, 0]) == fit_none(cosines, is_there)


def test_any_of_several_right_texts_is_right():
    """Twins of the true text neither harm nor help the place of none."""
    cosines, is_there = drawn(0.1, 0.5, 1)
    found = fit_none(cosines.repeat(1, 2), is_there.repeat(1, 2))
    assert found[0] == pytest.approx(0.1, rel=0.1)
    assert found[1] == pytest.approx(0.5 + 0.1 * torch.log(torch.tensor(2.0)).item(), abs=0.03)  # two say it, so none needs more


def test_texts_that_never_err_end_at_the_lowest_temperature():
    cosines = torch.tensor([[0.9], [0.8], [0.2], [0.1]])
    temperature, none_similarity = fit_none(cosines, cosines > 0.5)
    assert temperature < 0.03 and temperature >= TEMPERATURES[0] and 0.2 < none_similarity < 0.8


@pytest.mark.parametrize(
    ("cosines", "is_there", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool), r"expected two of one shape .* got \(3, 2\) and \(3,\)"),
        (torch.tensor([float("nan"), 0.0]), torch.tensor([True, False]), "cosines: expected finite"),
        (torch.zeros(4), torch.ones(4, dtype=torch.bool), "got 0 of 4 without"),
        (torch.zeros(4), torch.zeros(4, dtype=torch.bool), "got 4 of 4 without"),
    ],
)
def test_what_cannot_be_fitted_is_refused(cosines, is_there, message):
    with pytest.raises(ValueError, match=message):
        fit_none(cosines, is_there)
