"""What can be told of a finding without its signs: logistic regressions on a film's border, tone, person and source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from scipy import ndimage, stats

from cxrcore.datasets.cache import DecodedFilms
from cxrcore.errors import UnreadableImage
from cxrcore.films.quality import histogram
from cxrcore.films.radiograph import read_radiograph

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

BASELINES = {
    "border": "the film's border alone",
    "tone": "tone alone",
    "person": "view, age and sex",
    "source": "the source alone",
}
BORDER_CELLS = 12  # a side of the film; the outer ring of cells is its border
FOLDS = 5
FEWEST = 10  # patients with the finding, and without it, for a regression
STRENGTH = 0.1  # scikit-learn's C; the same for every baseline, not chosen on any film
_PERCENTILES = (1, 10, 50, 90, 99)

Columns = np.ndarray | str  # float (N, K), or why there are none


def baseline_columns(films: DecodedFilms) -> dict[str, Columns]:
    """The columns of each of ``BASELINES``, float (N, K), from N films as the network gets them; or why there are none.

    ``border``: 44 means of the outer twelfth (8 %). ``tone``: see ``tone``. ``person``: see ``person``, NaN in films
    of which it is unknown. ``source``: one column a source.
    """
    each = (films.take(slice(row, row + 1))[0] for row in range(len(films)))
    pixels = [(border(film), tone(film)) for film in each]
    with ThreadPoolExecutor() as pool:
        aspects = np.array(list(pool.map(_aspect, films.table.paths)))
    people, sources = person(films.table.metadata), films.table.metadata.get("source", ())
    names = sorted(set(map(str, sources)))
    return {
        "border": np.stack([one for one, _ in pixels]),
        "tone": np.column_stack([np.stack([one for _, one in pixels]), aspects]),
        "person": people if people.shape[1] else "the set has neither view nor age nor sex, or one value of each",
        "source": np.column_stack([[str(source) == name for source in sources] for name in names]).astype(float)
        if len(names) > 1
        else "the films come from one source, or the set does not say from which",
    }


def border(film: np.ndarray) -> np.ndarray:
    """Means of the outer ring of 12 × 12 cells of a film (h, w), float (44,)."""
    cells = Image.fromarray(film).resize((BORDER_CELLS, BORDER_CELLS), Image.Resampling.BOX)
    inside = np.pad(np.zeros((BORDER_CELLS - 2,) * 2, bool), 1, constant_values=True)
    ring: np.ndarray = np.asarray(cells, dtype=np.float64)[inside]
    return ring


def tone(film: np.ndarray) -> np.ndarray:
    """Eleven statistics of a film's grey values (h, w) in [0, 1], float (11,); the twelfth is the file's aspect ratio.

    Percentiles 1, 10, 50, 90 and 99, mean, standard deviation, skewness, kurtosis, entropy in bits of 256 levels, and
    sharpness: the standard deviation of the Laplacian.
    """
    values = film.ravel().astype(np.float64)
    shape = (stats.skew(values), stats.kurtosis(values)) if np.ptp(values) else (0.0, 0.0)
    entropy = stats.entropy(histogram(film), base=2)
    sharpness = ndimage.laplace(film).std()
    return np.array([*np.percentile(values, _PERCENTILES), values.mean(), values.std(), *shape, entropy, sharpness])


def person(metadata: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """Age in years (unknown: the mean), whether male, whether female, and a column a view but the last, float (N, K).

    Columns that the metadata lacks or that do not vary are left out; a film of which nothing is known is NaN.
    """
    columns, known = [], []
    if "age_years" in metadata:
        age = np.array(metadata["age_years"], dtype=float)
        if not np.isnan(age).all():
            columns.append(np.nan_to_num(age, nan=np.nanmean(age)))
            known.append(~np.isnan(age))
    sex, view = (np.array([str(value) for value in metadata.get(name, ())]) for name in ("sex", "view"))
    views = sorted(set(view.tolist()) - {""})
    columns += [sex == letter for letter in "MF" if len(sex)] + [view == name for name in views[:-1]]
    known += [values != "" for values in (sex, view) if len(values)]
    varying = [np.asarray(column, float) for column in columns if len(np.unique(column)) > 1]
    if not varying:
        return np.zeros((0, 0))
    return np.where(np.any(known, axis=0)[:, None], np.column_stack(varying), np.nan)


def regression(strength: float = STRENGTH) -> Pipeline:
    """A logistic regression on standardised columns, not fitted yet; ``strength``: scikit-learn's C."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))


def out_of_fold(columns: np.ndarray, targets: np.ndarray, patients: np.ndarray) -> Columns:
    """Scores of a finding, float (N,), each film's by a regression on other patients; or why there are none.

    Five folds by patient, stratified. A score is the log odds less the fold's intercept: a fold that holds more films
    with the finding leaves fewer to learn from, so intercepts would order its films too low. NaN where the target or a
    column is.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    rows = np.flatnonzero(~np.isnan(targets) & ~np.isnan(columns).any(axis=1))
    y, groups = targets[rows] == 1, patients[rows]
    if min(len(np.unique(groups[y])), len(np.unique(groups[~y]))) < FEWEST:
        return f"fewer than {FEWEST} patients have the finding, or lack it, among the films that these columns are of"
    scores = np.full(len(targets), np.nan)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for learned, held in folds.split(rows, y, groups):
        fitted = regression().fit(columns[rows[learned]], y[learned])
        scores[rows[held]] = fitted.decision_function(columns[rows[held]]) - fitted[-1].intercept_
    return scores


def _aspect(path: Path) -> float:
    """Width over height of a film's file."""
    try:
        with Image.open(path) as image:
            return image.width / image.height
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass
    try:
        height, width = read_radiograph(path).pixels.shape
        return float(width / height)
    except (UnreadableImage, OSError):
        return 1.0
