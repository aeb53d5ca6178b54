"""Several readers of the same cases: the published example, DeLong's covariance, and coverage in a simulation."""

from __future__ import annotations

import numpy as np
import pytest

from cxrcore.metrics.comparison import compare_auroc, compare_macro
from cxrcore.metrics.discrimination import auroc, macro_auroc
from cxrcore.metrics.readers import mean_areas, mean_difference, reader_study

# Van Dyke et al. 1993: five readers, two kinds of MRI, 114 cases; empirical areas and Obuchowski-Rockette covariances
AREAS = np.array(
    [
        [0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
        [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169],
    ]
)
SAME_TEST, ACROSS = (0.00048396180, 0.00020418785), 0.00023902837


def test_the_published_example_of_van_dyke() -> None:
    """Oracle: RJafroc's StSignificanceTesting(dataset02, "Wilcoxon", "OR"), random readers and random cases."""
    covariance = np.full((2, 5, 2, 5), ACROSS)
    covariance[0, :, 0], covariance[1, :, 1] = SAME_TEST
    study = reader_study(AREAS, covariance)
    assert study.p == pytest.approx(0.051665686, abs=1e-6)
    published = [
        (study.difference, -0.043800322, -0.087959499, 0.00035885444),
        (study.means[0], 0.89703704, 0.82522360, 0.96885048),
        (study.means[1], 0.94083736, 0.89413783, 0.98753689),
    ]
    for estimate, *numbers in published:
        assert [estimate.value, estimate.low, estimate.high] == pytest.approx(numbers, abs=1e-7)


def ratings(rng: np.random.Generator, readers: int, cases: int, findings: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Truth (N, C) and scores (2 J, N, C) with effects of case, reader and their interactions (Roe and Metz 1997)."""
    truth = (rng.random((cases, findings)) < 0.5).astype(float)
    truth[:2] = [[0.0], [1.0]]
    hard, skill = rng.normal(size=(1, cases, findings)), rng.normal(0, 0.3, (readers, 1, 1))
    own = rng.normal(0, 0.7, (readers, cases, findings))
    scores = [
        truth * (1.5 + skill + rng.normal(0, 0.15, (readers, 1, 1))) + hard + own + rng.normal(0, 0.7, own.shape)
        for _ in range(2)
    ]
    return truth, np.concatenate(scores)


def test_areas_and_covariances_are_those_of_pairs() -> None:
    """Oracle: DeLong's paired comparison of every two, and the mean over findings with its variance."""
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(60), 2)
    truth, scores = ratings(rng, 2, 120)
    areas, covariance = mean_areas(truth, scores, patients)
    for one in range(4):
        assert areas[one] == pytest.approx(auroc(truth[:, 0], scores[one, :, 0], patients).value)
        for other in range(one):
            pair = compare_auroc(truth[:, 0], scores[one, :, 0], scores[other, :, 0], patients).difference
            variance = covariance[one, one] + covariance[other, other] - 2 * covariance[one, other]
            assert pair.high - pair.value == pytest.approx(1.959964 * variance**0.5, rel=1e-6)
    truth, scores = ratings(rng, 2, 120, findings=3)
    areas, covariance = mean_areas(truth, scores, patients)
    assert areas[0] == pytest.approx(macro_auroc(truth, scores[0], patients).value)
    pair = compare_macro(truth, scores[0], scores[2], patients).difference
    variance = covariance[0, 0] + covariance[2, 2] - 2 * covariance[0, 2]
    assert pair.high - pair.value == pytest.approx(1.959964 * variance**0.5, rel=1e-6)


def test_without_an_effect_the_interval_covers_zero_as_often_as_it_says() -> None:
    """A simulation with no difference between conditions: 95 % intervals, within 3 standard errors of 300 runs."""
    rng, covered, runs = np.random.default_rng(2), 0, 300
    for _ in range(runs):
        truth, scores = ratings(rng, 4, 60)
        areas, covariance = mean_areas(truth, scores)
        gap = reader_study(areas.reshape(2, 4), covariance.reshape(2, 4, 2, 4)).difference
        covered += gap.low <= 0 <= gap.high
    assert covered / runs > 0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5


def test_a_mean_difference_from_one_model_is_the_mean_of_the_differences() -> None:
    rng = np.random.default_rng(3)
    truth, scores = ratings(rng, 3, 100)
    areas, covariance = mean_areas(truth, scores[:4])
    own, mixed = covariance[:3, :3], covariance[:3, 3]
    gap = mean_difference(areas[:3] - areas[3], own - mixed[:, None] - mixed[None, :] + covariance[3, 3])
    assert gap.value == pytest.approx(areas[:3].mean() - areas[3])
    assert gap.low < gap.value < gap.high


def test_one_reader_or_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="two or more readers"):
        reader_study(np.array([[0.8], [0.9]]), np.zeros((2, 1, 2, 1)))
    with pytest.raises(ValueError, match="both with and without"):
        mean_areas(np.ones((5, 1)), np.zeros((2, 5, 1)))


def test_readers_who_answer_alike_and_perfectly_get_no_interval() -> None:
    study = reader_study(np.ones((2, 3)), np.zeros((2, 3, 2, 3)))
    assert (study.difference.value, study.difference.low) == (0.0, None)
    assert "no spread" in study.difference.why
