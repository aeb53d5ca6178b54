"""Planted failures are found, chance is not, small groups stay silent, and patients in two groups are minded."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cxrcore.evaluation.subgroups import groups_of, subgroup_gaps
from cxrcore.findings import NIH14, NIH15, PNEUMONIA2, Finding, Kind, LabelSet
from cxrcore.metrics.discrimination import auroc
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.predictions.record import Predictions

TWO = LabelSet("two", Kind.MULTILABEL, (Finding("Mass", ""), Finding("Nodule", "")))


def films(n=4000, blind=None, labels=TWO, seed=0, films_a_patient=2):
    """Random people; ``blind`` (sex, from age) is a group in whom the model sees nothing."""
    rng = np.random.default_rng(seed)
    patients = np.arange(n) // films_a_patient
    sex, born = rng.choice(["F", "M"], n)[patients], rng.uniform(0, 95, n)[patients]
    age = np.minimum(born + 5 * (np.arange(n) % films_a_patient), 99)
    targets = (rng.random((n, len(labels))) < 0.3).astype(float)
    if labels.normal:
        targets[:, labels.index(labels.normal)] = ~(targets[:, : len(labels.abnormal)] == 1).any(axis=1)
    signal = targets.copy()
    if blind:
        signal[(sex == blind[0]) & (age >= blind[1])] = 0.3
    logits = 2.5 * signal - 1.2 + rng.normal(size=targets.shape)
    if labels.kind is Kind.MULTICLASS:
        targets = np.eye(2)[(targets[:, 1] == 1).astype(int)]
        p = 1 / (1 + np.exp(-logits[:, 1]))
        probabilities = np.stack([1 - p, p], 1)
    else:
        probabilities = 1 / (1 + np.exp(-logits))
    people = {"sex": sex, "age_years": age, "view": rng.choice(["PA", "AP", ""], n)}
    return Predictions(
        np.arange(n).astype(str), patients, np.full(n, "test"), labels, targets, probabilities, metadata=people
    )


def points(labels, threshold=0.5):
    return OperatingPoints(labels.names, np.full(len(labels), threshold), "val")


def test_groups_are_values_and_their_pairs_and_unknown_is_nobody():
    table = {
        "sex": np.array(["F", "M", "", "F", None], dtype=object),
        "age_years": np.array([19.9, 20, 80, np.nan, 45]),
        "view": np.array(["PA"] * 5),
        "site": np.arange(5),
    }
    found = {group.name: group for group in groups_of(table)}
    assert list(found) == ["F", "M", "0-20", "20-40", "40-60", "80+", "F, 0-20", "M, 20-40"]  # one view is no group
    assert found["F"].films.tolist() == [True, False, False, True, False]
    assert found["F"].rest.tolist() == [False, True, False, False, False]
    assert found["F, 0-20"].rest.tolist() == [False, True, False, False, False]
    assert found["M, 20-40"].attributes == {"sex": "M", "age_years": "20-40"}
    assert len(groups_of(table, ("sex",))) == 2
    assert groups_of({}) == []


def test_a_failure_that_hides_in_an_intersection_is_found():
    predictions = films(blind=("F", 60))
    gaps = subgroup_gaps(predictions, points(TWO))
    sure = {gap.group for gap in gaps if gap.p_holm is not None and gap.p_holm < 1e-3}
    assert {"F, 60-80", "F, 80+"} <= sure
    worst = min((gap for gap in gaps if gap.measure == "auroc" and gap.score.value), key=lambda gap: gap.gap.value)
    assert worst.attributes["sex"] == "F"
    assert worst.gap.high < -0.2
    missed = next(gap for gap in gaps if gap.measure == "underdiagnosis" and gap.group == "F, 60-80")
    assert missed.gap.low > 0.1


def test_without_a_failure_few_comparisons_alarm():
    found = [subgroup_gaps(films(n=1500, seed=seed), points(TWO)) for seed in range(8)]
    alarms = [any(g.p_holm is not None and g.p_holm < 0.05 for g in gaps) for gaps in found]
    assert sum(alarms) <= 3  # three families at 5 % each
    p = np.array([gap.p for gaps in found for gap in gaps if gap.p is not None])
    assert 0.02 <= np.mean(p < 0.05) <= 0.09


def test_scores_are_those_of_the_group_alone():
    predictions = films()
    women = predictions.metadata["sex"] == "F"
    gap = subgroup_gaps(predictions, points(TWO))[0]
    assert (gap.group, gap.measure, gap.finding) == ("F", "auroc", "Mass")
    y, p, who = predictions.targets[:, 0], predictions.probabilities[:, 0], predictions.patient_ids
    for side, rows in ((gap.score, women), (gap.rest, ~women)):
        alone = auroc(y[rows], p[rows], who[rows])
        assert (side.value, side.low, side.high) == pytest.approx((alone.value, alone.low, alone.high), abs=1e-12)
    assert gap.gap.value == pytest.approx(gap.score.value - gap.rest.value)
    assert gap.n == women.sum()
    assert gap.n_patients == len(set(who[women]))


def test_gap_of_people_in_both_bands_agrees_with_resampling_them():
    predictions = films(n=3000, films_a_patient=6)
    groups = [g for g in groups_of(predictions.metadata, ("age_years",)) if g.name == "40-60"]
    gaps = {g.measure: g for g in subgroup_gaps(predictions, points(TWO), groups, ["Mass"])}
    y, p = predictions.targets[:, 0], predictions.probabilities[:, 0]
    mine = groups[0].films
    rng = np.random.default_rng(0)
    drawn: dict[str, list] = {"auroc": [], "sensitivity": []}
    for _ in range(300):
        rows = (rng.integers(0, 500, 500)[:, None] * 6 + np.arange(6)).ravel()
        sides = [rows[mine[rows]], rows[~mine[rows]]]
        areas = [auroc(y[side], p[side]).value for side in sides]
        drawn["auroc"].append(areas[0] - areas[1])
        found = [np.mean(p[side][y[side] == 1] >= 0.5) for side in sides]
        drawn["sensitivity"].append(found[0] - found[1])
    for measure, values in drawn.items():
        width = gaps[measure].gap.high - gaps[measure].gap.low
        assert width == pytest.approx(2 * 1.96 * np.std(values), rel=0.15)


@pytest.mark.parametrize("labels", [NIH15, PNEUMONIA2, TWO], ids=lambda labels: labels.name)
def test_underdiagnosis_is_disease_called_healthy(labels):
    predictions = films(n=1200, labels=labels)
    gap = subgroup_gaps(predictions, points(labels))[-1]
    assert gap.measure == "underdiagnosis"
    rows = np.all([_has(predictions, name, value) for name, value in gap.attributes.items()], axis=0)
    y, p = predictions.targets[rows], predictions.probabilities[rows]
    if labels.normal:
        column = labels.index(labels.normal)
        called = p[:, column] > 0.5
        expected = called[y[:, column] == 0].mean()
    else:
        expected = (~(p >= 0.5).any(axis=1))[(y == 1).any(axis=1)].mean()
    assert gap.score.value == pytest.approx(expected)


def _has(predictions, name, value):
    column = predictions.metadata[name]
    if name != "age_years":
        return column == value
    low, high = (80, 1e9) if value == "80+" else map(float, value.split("-"))
    return (column >= low) & (column < high)


def test_small_groups_are_silent_and_say_why():
    predictions = films(n=300)
    gaps = subgroup_gaps(predictions, points(TWO))
    silent = [gap for gap in gaps if gap.score.value is None]
    assert silent
    for gap in silent:
        assert gap.gap.value is gap.p is gap.p_holm is None
        assert "are not scored" in gap.score.why
    for gap in gaps:
        if gap.score.value is not None and gap.measure != "underdiagnosis":
            assert gap.n_pos >= 20
            assert gap.n_neg >= 20
    plain = [gap.to_dict() for gap in gaps]
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_many_films_of_few_patients_are_a_small_group():
    predictions = films(n=900, films_a_patient=100)
    assert all(gap.score.value is None for gap in subgroup_gaps(predictions, points(TWO)))


def test_men_and_women_are_one_comparison():
    predictions = films()
    groups = groups_of(predictions.metadata, ("sex",))
    women, men = [g for g in subgroup_gaps(predictions, points(TWO), groups, ["Mass"]) if g.measure == "auroc"]
    assert women.p == men.p == women.p_holm == men.p_holm == men.p_bh
    assert women.gap.value == -men.gap.value


def test_without_thresholds_areas_remain():
    gaps = subgroup_gaps(films(labels=NIH14, n=1500))
    assert any(gap.gap.value is not None for gap in gaps if gap.measure == "auroc")
    rates = [gap for gap in gaps if gap.measure != "auroc"]
    assert all(gap.score.why == "no operating point was fitted" for gap in rates)
