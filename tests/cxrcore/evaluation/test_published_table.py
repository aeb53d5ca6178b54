"""Every score of a published model on 11,928 real films, against scikit-learn and definitions written out anew."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, roc_auc_score

from cxrcore.evaluation.score import score_table
from cxrcore.findings import NIH14
from cxrcore.metrics.discrimination import placements, variance_of
from cxrcore.predictions.import_table import read_predictions
from cxrcore.predictions.record import Predictions

pytestmark = pytest.mark.data
PNEUMOTHORAX = NIH14.index("Pneumothorax")


@cache
def table(data_dir) -> Predictions:
    folder = data_dir / "nih"
    return read_predictions(folder / "chexnet_predictions.csv.gz", folder / "Data_Entry_2017_v2020.csv.gz")


def standard_errors(films: Predictions, column: int) -> tuple[float, float]:
    """Of an area: by patient, and plain DeLong's that takes films as independent."""
    y, p = films.targets[:, column] == 1, films.probabilities[:, column]
    patients = np.unique(films.patient_ids, return_inverse=True)[1]
    return tuple(variance_of(placements(y, p, codes)) ** 0.5 for codes in (patients, np.arange(len(y))))


def delong_by_definition(y: np.ndarray, p: np.ndarray) -> float:
    """DeLong 1988: each film's share of the other class that it outranks, counted by bisection."""
    sick, well = np.sort(p[y]), np.sort(p[~y])
    of_sick = (np.searchsorted(well, p[y], "left") + np.searchsorted(well, p[y], "right")) / (2 * len(well))
    of_well = 1 - (np.searchsorted(sick, p[~y], "left") + np.searchsorted(sick, p[~y], "right")) / (2 * len(sick))
    return (of_sick.var(ddof=1) / len(sick) + of_well.var(ddof=1) / len(well)) ** 0.5


def ece_by_definition(y: np.ndarray, p: np.ndarray, bins: int = 15) -> float:
    total = 0.0
    for k in range(bins):
        inside = (p >= k / bins) & ((p < (k + 1) / bins) if k < bins - 1 else (p <= 1))
        if inside.any():
            total += inside.sum() * abs(p[inside].mean() - y[inside].mean())
    return total / len(y)


def test_every_score_equals_scikit_learns_and_its_definition(data_dir):
    scored = score_table(table(data_dir), tune_fraction=0.2)
    for column, name in enumerate(NIH14):
        y, p = scored.films.targets[:, column] == 1, scored.films.probabilities[:, column]
        scores = scored.metrics.findings[name]
        assert scores.auroc.value == pytest.approx(roc_auc_score(y, p), abs=1e-9)
        assert scores.auprc.value == pytest.approx(average_precision_score(y, p), abs=1e-9)
        assert scores.brier == pytest.approx(brier_score_loss(y, p), abs=1e-12)
        assert scores.f1 == pytest.approx(f1_score(y, p >= scores.threshold), abs=1e-12)
        assert scores.ece == pytest.approx(ece_by_definition(y, p), abs=1e-12)


def test_plain_error_is_delongs_for_all_findings(data_dir):
    films = table(data_dir)
    for column in range(len(NIH14)):
        y, p = films.targets[:, column] == 1, films.probabilities[:, column]
        assert standard_errors(films, column)[1] == pytest.approx(delong_by_definition(y, p), rel=1e-9)


@pytest.mark.slow
def test_error_by_patient_is_that_of_scikit_learn_on_resampled_patients(data_dir):
    films = table(data_dir)
    y, p = films.targets[:, PNEUMOTHORAX], films.probabilities[:, PNEUMOTHORAX]
    order = np.argsort(films.patient_ids, kind="stable")
    rows = np.split(order, np.unique(films.patient_ids[order], return_index=True)[1][1:])
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(600):
        drawn = np.concatenate([rows[patient] for patient in rng.integers(0, len(rows), len(rows))])
        areas.append(roc_auc_score(y[drawn], p[drawn]))
    assert standard_errors(films, PNEUMOTHORAX)[0] == pytest.approx(np.std(areas, ddof=1), rel=0.1)  # 3 standard errors


def test_ignoring_patients_flatters_pneumothorax_most_on_the_official_test_list(data_dir):
    """There patients with many films are gathered: ten films a patient, and the error by patient is 1.8 times plain."""
    films = table(data_dir)
    listed = pd.read_csv(data_dir / "nih" / "official_split.csv.gz").set_index("Image Index")["split"]
    official = films.rows((listed.loc[films.images] == "test").to_numpy())
    assert (len(official), official.n_patients) == (2867, 289)
    for part, ratio in ((films, 1.63), (official, 1.84)):
        by_patient, plain = standard_errors(part, PNEUMOTHORAX)
        assert by_patient / plain == pytest.approx(ratio, abs=0.01)
