"""What do the pixels add? A model of NIH films beside two baselines that cost nothing, on the same test patients.

    python -m benchmarks.baselines                   # nih14-densenet121 on $CXR_DATA_DIR/nih, about a minute
    python -m benchmarks.baselines runs/mine --data films

- ``age, sex, view``: logistic regression that never sees the film. What it knows of a finding, a network may have
  learned instead of the finding (a portable film, AP, is taken of the sickest).
- ``frozen features``: logistic regression on what the last layer of ``pneumonia-resnet18`` makes of a film; that
  network has seen children with and without pneumonia, and none of these labels.
- the model itself: its stored scores where they are of these films, else measured again (``--again``).

All three learn from the training patients of the model's own split, told again from its recipe and refused where the
films are others. Both regressions take the regularisation with the best mean AUROC on validation patients, and know
nothing of the test. AUROC with 95 % intervals by patient; a finding that no training film has is left at chance.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import cxrcore
from benchmarks.measuring import print_header, print_row
from cxrcore.datasets import read_dataset
from cxrcore.datasets.cache import DecodedFilms, open_films
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import CxrError, InvalidDataset
from cxrcore.evaluation.evaluate import evaluate, splits_of
from cxrcore.evaluation.forward import forward_films
from cxrcore.evaluation.record import Metrics
from cxrcore.evaluation.summary import summarise
from cxrcore.metrics.discrimination import macro_auroc
from cxrcore.models.classifier import Classifier
from cxrcore.predictions.record import Predictions
from cxrcore.text import NumberFormat

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C, the inverse of the penalty on standardised columns
FEATURES = "pneumonia-resnet18"


def read_films(model: Classifier, data: Path) -> DecodedFilms:
    """The NIH films in ``data``, with the labels of one model and at its size."""
    table = read_dataset("nih", data, model.labels)
    return open_films(
        table,
        model.preprocessing,
        progress=lambda films: tqdm(films, total=len(table), unit="film", desc="reading", disable=None, leave=False),
    )


def person(table: FilmTable) -> np.ndarray:
    """Age in years (unknown: the mean), whether male, whether female, whether AP; float (N, 4)."""
    age = np.array(table.metadata["age_years"], dtype=float)
    sex, view = np.array(table.metadata["sex"]), np.array(table.metadata["view"])
    return np.column_stack([np.nan_to_num(age, nan=np.nanmean(age)), sex == "M", sex == "F", view == "AP"])


def pooled(model: Classifier, films: DecodedFilms) -> np.ndarray:
    """What the head of a network sees of each film, float32 (N, D)."""

    def forward(batch: torch.Tensor) -> list[torch.Tensor]:
        features = model.network.forward_features(model.preprocessing.normalise(batch))
        return [model.network.forward_head(features, pre_logits=True)]

    return forward_films(films, forward, model.device)[0]


def regress(columns: np.ndarray, table: FilmTable, splits: np.ndarray) -> tuple[np.ndarray, float]:
    """Probabilities (N, findings) of one logistic regression a finding, and the C that validation patients chose."""
    train, val = splits == "train", splits == "val"

    def answers(strength: float) -> np.ndarray:
        found = np.full(table.targets.shape, 0.5)
        for k, targets in enumerate(table.targets.T):
            known = train & ~np.isnan(targets)
            if len(np.unique(targets[known])) == 2:
                regression = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
                found[:, k] = regression.fit(columns[known], targets[known]).predict_proba(columns)[:, 1]
        return found

    tried = [(answers(strength), strength) for strength in STRENGTHS]
    return max(tried, key=lambda one: macro_auroc(table.targets[val], one[0][val]).value or 0.0)


def scores_of(probabilities: np.ndarray, table: FilmTable, splits: np.ndarray, name: str) -> Metrics:
    """The scores of the test patients."""
    test = np.flatnonzero(splits == "test")
    films = table.select(test)
    predictions = Predictions(
        images=np.array(films.images),
        patient_ids=np.array(films.patient_ids),
        split=np.full(len(films), "test"),
        labels=films.labels,
        targets=films.targets,
        probabilities=probabilities[test],
    )
    return summarise(predictions, dataset="nih", split="test", model=name)


def model_scores(model: Classifier, data: Path, test_films: int, again: bool) -> tuple[Metrics, str]:
    """The model's metrics on the test patients, and where they come from."""
    stored = [m for m in model.info["metrics"] if (m["dataset"], m["split"], m["n"]) == ("nih", "test", test_films)]
    if stored and not again:
        return Metrics.from_dict(stored[0]), "stored"
    with tempfile.TemporaryDirectory() as folder:
        return evaluate(model, "nih", data, "test", Path(folder)), "measured again"


def compare(reference: str, data: Path, again: bool) -> None:
    """Print the table."""
    model, frozen = cxrcore.load(reference), cxrcore.load(FEATURES, device="cpu")
    assert isinstance(frozen, Classifier)
    if not isinstance(model, Classifier) or model.config.provenance.get("dataset") != "nih":
        raise InvalidDataset(f"{model.name} was not trained on NIH films; give a bundle that was")
    films = read_films(model, data)
    splits, _ = splits_of(model, films.table, "val")  # carved whole: train, val and test
    small = open_films(films.table, frozen.preprocessing)
    columns = {
        "age, sex, view": person(films.table),
        "frozen features": pooled(frozen, small),
    }
    counts = ", ".join(f"{name} {int((splits == name).sum())}" for name in ("train", "val", "test"))
    metrics_of = {}
    for name, values in columns.items():
        probabilities, strength = regress(values, films.table, splits)
        metrics_of[name] = scores_of(probabilities, films.table, splits, name)
        print(f"{name}: {values.shape[1]} columns, C = {strength:g} chosen on validation patients")
    metrics_of[model.name], origin = model_scores(model, data, int((splits == "test").sum()), again)
    own = metrics_of[model.name]
    print(f"{model.name}: {origin}, {own.origin.label}\nfilms: {counts}; test patients: {own.n_patients}\n")
    print_header("finding", "with / without", *metrics_of)
    for finding, scores in own.findings.items():
        cells = [NumberFormat().estimate(metrics.findings[finding].auroc) for metrics in metrics_of.values()]
        print_row(finding, f"{scores.n_pos} / {scores.n_neg}", *cells)
    print_row("mean", "", *(NumberFormat().estimate(metrics.macro.auroc) for metrics in metrics_of.values()))


def main() -> int:
    named = os.environ.get("CXR_DATA_DIR")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle", nargs="?", default="nih14-densenet121", help="a model trained on NIH films")
    parser.add_argument("--data", type=Path, default=Path(named) / "nih" if named else None, help="folder of NIH films")
    parser.add_argument("--again", action="store_true", help="measure the bundle again though its scores are stored")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name a folder of NIH films with --data, or one that holds nih with CXR_DATA_DIR")
    torch.set_num_threads(1)
    try:
        compare(options.bundle, options.data, options.again)
    except CxrError as error:
        print(f"baselines: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
