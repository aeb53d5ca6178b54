"""AUROC, average precision, their intervals and curves, against scikit-learn, a quadratic DeLong and the bootstrap."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from cxrcore.findings import NIH14
from cxrcore.metrics.bootstrap import percentile_interval
from cxrcore.metrics.curves import pr_curve, roc_curve
from cxrcore.metrics.discrimination import auprc, auroc, macro_auroc
from tests.bootstrap import bootstrap_auprc, bootstrap_auroc


def films(n=600, prevalence=0.3, digits=1, seed=0, patients=None):
    """Targets, scores (tied when rounded) and patients whose films resemble each other."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n) if patients is None else rng.integers(0, patients, n)
    own = rng.normal(size=n)[groups]
    targets = (rng.random(n) < 1 / (1 + np.exp(-2 * own)) * 2 * prevalence).astype(float)
    return targets, (targets + own + rng.normal(size=n)).round(digits), groups


@cache
def chexnet(data_dir: Path):
    """A published model on 11,928 NIH test films: targets and probabilities (N, 14), patients (N,)."""
    folder = data_dir / "nih"
    table = pd.read_csv(folder / "chexnet_predictions.csv.gz").merge(
        pd.read_csv(folder / "Data_Entry_2017_v2020.csv.gz"), on="Image Index"
    )
    named = table["Finding Labels"].str.split("|")
    targets = np.stack([named.map(lambda labels, f=f: f in labels).to_numpy(float) for f in NIH14], axis=1)
    return targets, table[[f"prob_{f}" for f in NIH14]].to_numpy(), table["Patient ID"].to_numpy()


def quadratic_delong_variance(targets, scores):
    """DeLong 1988 straight from its definition: every pair compared."""
    x, y = scores[targets == 1], scores[targets == 0]
    wins = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
    return wins.mean(), wins.mean(axis=1).var(ddof=1) / len(x) + wins.mean(axis=0).var(ddof=1) / len(y)


def logit_standard_error(estimate):
    logit = np.log([estimate.low / (1 - estimate.low), estimate.high / (1 - estimate.high)])
    return (logit[1] - logit[0]) / (2 * 1.959964) * estimate.value * (1 - estimate.value)


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_auroc_and_average_precision_equal_scikit_learn_ties_included(digits):
    targets, scores, _ = films(digits=digits)
    assert auroc(targets, scores).value == pytest.approx(roc_auc_score(targets, scores), abs=1e-12)
    assert auprc(targets, scores).value == pytest.approx(average_precision_score(targets, scores), abs=1e-12)


@pytest.mark.parametrize("digits", [0, 8])
def test_plain_interval_is_delongs(digits):
    targets, scores, _ = films(digits=digits)
    area, variance = quadratic_delong_variance(targets, scores)
    estimate = auroc(targets, scores)
    assert estimate.value == pytest.approx(area, abs=1e-12)
    assert logit_standard_error(estimate) == pytest.approx(np.sqrt(variance), rel=1e-6)
    assert estimate.method == "DeLong, logit"


def test_groups_of_one_film_change_nothing():
    targets, scores, _ = films()
    names = np.array([f"patient {k}" for k in range(len(targets))])
    for metric in (auroc, auprc):
        named, plain = metric(targets, scores, names), metric(targets, scores)
        assert named.method == plain.method
        assert (named.value, named.low, named.high) == pytest.approx((plain.value, plain.low, plain.high), abs=1e-12)


def test_copying_every_film_leaves_the_clustered_interval_as_it_was():
    targets, scores, groups = films(n=300)
    once, twice = auroc(targets, scores, groups), auroc(np.tile(targets, 2), np.tile(scores, 2), np.tile(groups, 2))
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high), abs=1e-3)
    naive = auroc(np.tile(targets, 2), np.tile(scores, 2))
    assert naive.high - naive.low < 0.75 * (twice.high - twice.low)


def test_clustered_intervals_agree_with_the_clustered_bootstrap():
    targets, scores, groups = films(n=4000, patients=500, seed=1)
    by_area = np.std(bootstrap_auroc(targets, scores, groups, 2000))
    by_precision = np.std(bootstrap_auprc(targets, scores, groups, 2000))
    assert logit_standard_error(auroc(targets, scores, groups)) == pytest.approx(by_area, rel=0.06)
    assert logit_standard_error(auprc(targets, scores, groups)) == pytest.approx(by_precision, rel=0.08)
    assert logit_standard_error(auroc(targets, scores)) < 0.9 * by_area  # what ignoring patients would claim


def test_bootstrap_equals_resampling_films_by_hand():
    targets, scores, groups = films(n=200, patients=30, digits=0)
    drawn = np.random.default_rng(7).integers(0, 30, size=(25, 30))
    assert len(np.unique(groups)) == 30
    for values, metric in (
        (bootstrap_auroc(targets, scores, groups, 25, seed=7), roc_auc_score),
        (bootstrap_auprc(targets, scores, groups, 25, seed=7), average_precision_score),
    ):
        for value, patients in zip(values, drawn, strict=True):
            rows = np.concatenate([np.flatnonzero(groups == patient) for patient in patients])
            assert value == pytest.approx(metric(targets[rows], scores[rows]), abs=1e-12)


def test_macro_interval_knows_that_findings_share_films():
    targets, scores, groups = films(n=3000, patients=400, digits=3)
    alone = auroc(targets, scores, groups)
    same = macro_auroc(np.stack([targets] * 3, 1), np.stack([scores] * 3, 1), groups)
    assert (same.value, same.low, same.high) == pytest.approx((alone.value, alone.low, alone.high), abs=2e-4)
    flipped = np.stack([targets, np.full_like(targets, np.nan), np.zeros_like(targets)], 1)
    assert macro_auroc(flipped, np.stack([scores] * 3, 1), groups).value == pytest.approx(alone.value)


def test_unknown_labels_are_left_out():
    targets, scores, groups = films(patients=100)
    unknown = np.random.default_rng(0).random(len(targets)) < 0.3
    masked = np.where(unknown, np.nan, targets)
    rest = targets[~unknown], scores[~unknown], groups[~unknown]
    assert auroc(masked, scores, groups) == auroc(*rest)
    assert auprc(masked, scores, groups) == auprc(*rest)
    assert auroc(masked, scores).n_pos + auroc(masked, scores).n_neg == (~unknown).sum()


@pytest.mark.parametrize(
    ("targets", "why"),
    [
        ([], "no film has a known label"),
        ([np.nan, np.nan], "no film has a known label"),
        ([0, 0, np.nan], "no film has the finding"),
        ([1, 1], "every film has the finding"),
    ],
)
def test_one_class_has_no_area_and_says_why(targets, why):
    targets = np.array(targets, dtype=float)
    estimate = auroc(targets, np.linspace(0, 1, len(targets)))
    assert (estimate.value, estimate.low, estimate.why) == (None, None, why)
    assert roc_curve(targets, np.linspace(0, 1, len(targets))) is None


@pytest.mark.parametrize("area", [0.0, 1.0])
def test_perfect_and_inverted_rankings_keep_an_honest_interval(area):
    targets = np.repeat([0.0, 1.0], 20)
    estimate = auroc(targets, targets if area else -targets)
    assert estimate.value == area
    assert estimate.method == "Newcombe 2006, method 5"
    assert 0.05 < estimate.high - estimate.low < 0.3
    clustered = auroc(targets, targets if area else -targets, np.arange(40) // 4)
    assert clustered.high - clustered.low > estimate.high - estimate.low  # ten patients know less than forty


def test_all_ties_and_single_films_have_an_interval():
    tied = auroc(np.repeat([0.0, 1.0], 30), np.ones(60))
    assert tied.value == 0.5
    assert tied.low < 0.45 < 0.55 < tied.high
    single = auroc(np.array([1.0, 0, 0, 0]), np.array([2.0, 1, 3, 0]))
    assert single.low < single.value < single.high


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(3)
    targets, truth = np.repeat([0.0, 1.0], [80, 40]), 0.9213503964748574  # of two normals, two deviations apart
    hits = 0
    for _ in range(400):
        estimate = auroc(targets, rng.normal(size=120) + 2 * targets)
        hits += estimate.low <= truth <= estimate.high
    assert 0.92 <= hits / 400 <= 0.98


def test_average_precision_of_few_patients_has_no_interval():
    targets, scores, groups = films(patients=9)
    estimate = auprc(targets, scores, groups)
    assert estimate.value is not None
    assert estimate.low is None
    assert "fewer than 10 patients" in estimate.why


@pytest.mark.parametrize("seed", range(25))
def test_thinned_curves_keep_their_area(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1200, 30000))
    targets = (rng.random(n) < rng.uniform(0.02, 0.6)).astype(float)
    scores = targets * rng.uniform(-0.5, 2.5) + rng.normal(size=n)
    roc, pr = roc_curve(targets, scores), pr_curve(targets, scores)
    assert max(len(roc.thresholds), len(pr.thresholds)) <= 500
    assert auc(roc.false_positive_rate, roc.sensitivity) == pytest.approx(roc_auc_score(targets, scores), abs=1e-4)
    steps = np.sum(np.diff(pr.sensitivity, prepend=0) * pr.precision)
    assert steps == pytest.approx(average_precision_score(targets, scores), abs=1e-9)
    assert (roc.sensitivity[0], roc.sensitivity[-1], roc.false_positive_rate[-1], pr.sensitivity[-1]) == (0, 1, 1, 1)
    assert (np.diff(roc.thresholds) < 0).all()


def test_curve_points_are_what_their_thresholds_give():
    targets, scores, _ = films(n=5000, digits=6)
    roc = roc_curve(targets, scores)
    for threshold, x, y in list(zip(roc.thresholds, roc.false_positive_rate, roc.sensitivity, strict=True))[::37]:
        assert x == pytest.approx(np.mean(scores[targets == 0] >= threshold))
        assert y == pytest.approx(np.mean(scores[targets == 1] >= threshold))


def test_nan_scores_and_odd_targets_are_refused():
    with pytest.raises(ValueError, match="1 scores are NaN"):
        auroc(np.array([0.0, 1]), np.array([np.nan, 1]))
    with pytest.raises(ValueError, match="0, 1 or NaN"):
        auroc(np.array([0.0, 2]), np.array([0.0, 1]))


def test_input_is_left_as_it_was():
    targets, scores, groups = films(patients=50)
    before = targets.copy(), scores.copy(), groups.copy()
    auroc(targets, scores, groups), auprc(targets, scores, groups), roc_curve(targets, scores)
    for now, then in zip((targets, scores, groups), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_fourteen_findings_of_a_full_test_set_are_scored_in_half_a_second():
    targets, scores, groups = films(n=22433, patients=2800, digits=6)
    start = time.process_time()
    for _ in range(14):
        auroc(targets, scores, groups)
    assert time.process_time() - start < 0.5


@pytest.mark.data
def test_real_table_equals_scikit_learn(data_dir):
    targets, scores, patients = chexnet(data_dir)
    assert targets.shape == (11928, 14)
    for column in range(14):
        y, p = targets[:, column], scores[:, column]
        assert auroc(y, p, patients).value == pytest.approx(roc_auc_score(y, p), abs=1e-9)
        assert auprc(y, p, patients).value == pytest.approx(average_precision_score(y, p), abs=1e-9)


@pytest.mark.data
@pytest.mark.parametrize("finding", ["Pneumothorax", "Cardiomegaly", "Nodule"])
def test_real_table_intervals_agree_with_the_bootstrap(data_dir, finding):
    targets, scores, patients = chexnet(data_dir)
    y, p = targets[:, NIH14.index(finding)], scores[:, NIH14.index(finding)]
    estimate, values = auroc(y, p, patients), bootstrap_auroc(y, p, patients, 1000)
    assert logit_standard_error(estimate) == pytest.approx(np.std(values), rel=0.1)
    assert (estimate.low, estimate.high) == pytest.approx(percentile_interval(values), abs=0.006)
    precise = auprc(y, p, patients)
    assert logit_standard_error(precise) == pytest.approx(np.std(bootstrap_auprc(y, p, patients, 1000)), rel=0.1)


@pytest.mark.data
def test_ignoring_patients_would_flatter_pneumothorax(data_dir):
    targets, scores, patients = chexnet(data_dir)
    column = NIH14.index("Pneumothorax")
    by_patient = logit_standard_error(auroc(targets[:, column], scores[:, column], patients))
    plain = quadratic_delong_variance(targets[:, column], scores[:, column])[1] ** 0.5
    assert by_patient / plain == pytest.approx(1.63, abs=0.02)  # a bootstrap of 10,000 gives 1.67
