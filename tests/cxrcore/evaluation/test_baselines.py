"""Regressions that see no disease: what their columns hold, and that a film is scored by other patients' films."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from cxrcore.evaluation.baselines import border, out_of_fold, person, tone


def test_the_border_sees_the_outer_twelfth_and_nothing_else() -> None:
    film = np.zeros((96, 96), np.float32)
    film[8:-8, 8:-8] = 1
    assert border(film).shape == (44,)
    assert not border(film).any()
    film[:8, :8] = 0.5
    assert border(film)[0] == 0.5
    assert border(film)[1:].max() == 0


def test_tone_does_not_depend_on_where_grey_values_lie_but_for_sharpness() -> None:
    film = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    sorted_film = np.sort(film.ravel()).reshape(64, 64)
    one, other = tone(film), tone(sorted_film)
    assert one[:-1] == pytest.approx(other[:-1])
    assert one[-1] > other[-1]
    assert one[7] == pytest.approx(stats.skew(film.ravel()), abs=1e-6)
    assert np.isfinite(tone(np.zeros((8, 8), np.float32))).all()


def test_a_person_is_age_sex_and_view_where_they_vary() -> None:
    people = {"age_years": (40.0, np.nan, 60.0, np.nan), "sex": ("M", "F", "M", ""), "view": ("AP", "PA", "PA", "")}
    columns = person(people)
    assert columns[:3].tolist() == [[40, 1, 0, 1], [50, 0, 1, 0], [60, 1, 0, 0]]
    assert np.isnan(columns[3]).all()
    assert person({"sex": ("", ""), "age_years": (np.nan, np.nan)}).shape[1] == 0
    assert person({"source": ("a", "b")}).shape[1] == 0


def test_scores_out_of_fold_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), 3)
    x = rng.normal(size=(180, 5))
    y = (rng.random(180) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    y[::17] = np.nan
    scores = out_of_fold(x, y, patients)
    assert isinstance(scores, np.ndarray)
    known = np.flatnonzero(~np.isnan(y))
    assert np.isnan(scores[np.isnan(y)]).all()
    splits = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(known, y[known], patients[known])
    for learned, held in ((known[a], known[b]) for a, b in splits):
        assert not set(patients[learned]) & set(patients[held])
        scale = StandardScaler().fit(x[learned])
        fitted = LogisticRegression(C=0.1).fit(scale.transform(x[learned]), y[learned])
        assert scores[held] == pytest.approx(scale.transform(x[held]) @ fitted.coef_[0], abs=1e-3)


def test_columns_that_know_nothing_are_at_chance_and_too_few_patients_are_said() -> None:
    rng = np.random.default_rng(3)
    areas = []
    for _ in range(20):
        x, y = rng.normal(size=(120, 12)), (np.arange(120) < 40).astype(float)
        areas.append(roc_auc_score(y, out_of_fold(x, y, np.arange(120))))
    assert np.mean(areas) == pytest.approx(0.5, abs=0.04)
    assert "fewer than 10 patients" in str(out_of_fold(x, y, np.arange(120) // 8))
