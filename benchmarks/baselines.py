"""What does training on films add? A model of NIH films beside two baselines, on the same test patients.

    python -m benchmarks.baselines                                        # nih14 on $CXR_DATA_DIR/nih-256
    python -m benchmarks.baselines runs/mine --data films
    python -m benchmarks.baselines --recipe nih14-efficientnet-lite0      # the baselines alone, with a recipe's split

- ``age, sex, view``: logistic regression that never sees the film. What it knows of a finding, a network may have
  learned instead of the finding (a portable film, AP, is taken of the sickest).
- ``ImageNet features``: logistic regression on the pooled features of EfficientNet-Lite0 at 224 px, which has seen
  photographs only.
- the model itself: its stored scores of these films where it has them, else measured again.

All three learn from the training patients of the recipe's split. Both regressions take the regularisation with the best
mean AUROC on validation patients, and know nothing of the test. AUROC with 95 % intervals by patient, and the paired
difference of model and features; a finding that no training film has is left at chance. ``--write`` puts the table
into docs/generalisation.md. Five minutes on one core, most of them for the features, which ``--features`` keeps.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import timm
import torch
import yaml
from tqdm import tqdm

import cxrcore
from benchmarks.measuring import REPORT, table_text, write_section
from cxrcore.datasets import read_dataset
from cxrcore.datasets.cache import DecodedFilms, open_films
from cxrcore.datasets.splits import carve, limited
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import CxrError, InvalidDataset
from cxrcore.evaluation.baselines import person, regression
from cxrcore.evaluation.evaluate import evaluate
from cxrcore.evaluation.forward import forward_films
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import label_set
from cxrcore.metrics.comparison import compare_findings, compare_macro
from cxrcore.metrics.discrimination import macro_auroc
from cxrcore.metrics.intervals import Estimate
from cxrcore.models.base import Model
from cxrcore.predictions.record import PREDICTIONS, Predictions
from cxrcore.text import NumberFormat
from cxrcore.training.config import Recipe
from cxrcore.training.imagenet import fit_stem, imagenet_weights
from train.recipes import open_recipe

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C, the inverse of the penalty on standardised columns
ARCHITECTURE = "tf_efficientnet_lite0"
VIEW = Preprocessing(height=224, width=224, mean=0.5, std=0.5)  # of the ImageNet network
PERSON, FEATURES = "age, sex, view", "ImageNet features"
AUROC, GAIN = NumberFormat(leading_zero=False), NumberFormat(leading_zero=False, signed=True)


def read_films(recipe: Recipe, data: Path) -> DecodedFilms:
    """The films that the recipe learns from and is tested on, at the size of the ImageNet network."""
    table = read_dataset("nih", data, label_set(recipe.data.labels))
    table = limited(table, recipe.data.limit, recipe.split_seed)

    def bar(films: Any) -> Any:
        return tqdm(films, total=len(table), unit="film", desc="reading", disable=None, leave=False)

    return open_films(table, VIEW, progress=bar)


def imagenet_features(films: DecodedFilms) -> np.ndarray:
    """Pooled features of the ImageNet network, float32 (N, 1280). Raises InvalidRecipe where it has no weights."""
    network: Any = timm.create_model(ARCHITECTURE, in_chans=1)
    stem = network.pretrained_cfg["first_conv"]
    network.load_state_dict(fit_stem(imagenet_weights(ARCHITECTURE).tensors, stem, 1), strict=True)
    network = network.eval().to(memory_format=torch.channels_last)
    bar = tqdm(total=len(films), unit="film", desc="ImageNet features", disable=None, leave=False)

    def forward(batch: torch.Tensor) -> list[torch.Tensor]:
        bar.update(len(batch))
        inputs = VIEW.normalise(batch).to(memory_format=torch.channels_last)
        return [network.forward_head(network.forward_features(inputs), pre_logits=True)]

    return forward_films(films, forward, torch.device("cpu"))[0]


def kept_features(films: DecodedFilms, path: Path | None) -> np.ndarray:
    """The features from ``path`` where they are of these films, else computed and kept there."""
    if path is not None and path.is_file():
        with np.load(path) as kept:
            if kept["images"].tolist() == list(films.table.images):
                return np.asarray(kept["features"])
    features = imagenet_features(films)
    if path is not None:
        np.savez(path, images=np.array(films.table.images), features=features)
    return features


def regress(columns: np.ndarray, targets: np.ndarray, splits: np.ndarray) -> tuple[np.ndarray, float]:
    """Probabilities (N, findings) of one logistic regression a finding, and the C that validation patients chose."""
    train, val = splits == "train", splits == "val"

    def answers(strength: float) -> np.ndarray:
        found = np.full(targets.shape, 0.5)
        for k, column in enumerate(targets.T):
            known = train & ~np.isnan(column)
            if len(np.unique(column[known])) == 2:
                found[:, k] = regression(strength).fit(columns[known], column[known]).predict_proba(columns)[:, 1]
        return found

    tried = [(answers(strength), strength) for strength in STRENGTHS]
    return max(tried, key=lambda one: macro_auroc(targets[val], one[0][val]).value or 0.0)


def model_probabilities(model: Model, data: Path, test: FilmTable) -> np.ndarray:
    """The model's probabilities (n, findings) of the test films, stored ones where they are of the same films."""
    stored = (model.folder or Path()) / "evaluation" / "nih-test" / PREDICTIONS
    with tempfile.TemporaryDirectory() as folder:
        found = Predictions.read(stored) if stored.is_file() else None
        if found is None or set(found.images.tolist()) != set(test.images):
            evaluate(model, "nih", data, "test", Path(folder))
            found = Predictions.read(Path(folder) / PREDICTIONS)
    place = {image: row for row, image in enumerate(found.images.tolist())}
    if found.labels != test.labels or not set(test.images) <= set(place):
        raise InvalidDataset(f"{model.name} was not trained on {test.labels.name} with these test films")
    return found.probabilities[[place[image] for image in test.images]]


def compare(recipe: Recipe, model: Model | None, data: Path, kept: Path | None) -> str:
    """The table, as Markdown with its facts below it."""
    films = read_films(recipe, data)
    options, table = recipe.data, films.table
    splits = np.array(
        carve(table, options.official_split, options.val_fraction, options.test_fraction, recipe.split_seed)
    )
    test = table.select(np.flatnonzero(splits == "test"))
    scores, facts = {}, []
    for name, columns in ((PERSON, person(table.metadata)), (FEATURES, kept_features(films, kept))):
        probabilities, strength = regress(columns, table.targets, splits)
        scores[name] = probabilities[splits == "test"]
        facts.append(f"{name}: {columns.shape[1]} columns, C = {strength:g}")
    if model is not None:
        scores[model.name] = model_probabilities(model, data, test)
    counts = ", ".join(f"{name} {int((splits == name).sum()):,}" for name in ("train", "val", "test"))
    who = f"{len(set(test.patient_ids))} test patients"
    return f"{gains(scores, test)}\nFilms: {counts}; {who}. {'; '.join(facts)}, chosen on validation patients.\n"


def gains(scores: dict[str, np.ndarray], test: FilmTable) -> str:
    """AUROC of every score (n, findings) and what the last has more than the one before it, as a table."""
    names, patients = list(scores), np.array(test.patient_ids)
    last, before = names[-1], names[-2]
    pairs = {
        name: compare_findings(test.targets, scores[last], scores[name], test.labels.names, patients)
        for name in names[:-1]
    }
    means = {name: compare_macro(test.targets, scores[last], scores[name], patients) for name in names[:-1]}

    def cells(estimates: list[Estimate], gain: Estimate) -> list[str]:
        return [*(AUROC.estimate(one) for one in estimates), GAIN.estimate(gain)]

    rows = [["finding", "with / without", *names, f"{last} above {before}"]]
    for k, finding in enumerate(test.labels):
        column = test.targets[:, k]
        areas = [*(pairs[name][finding].second for name in names[:-1]), pairs[before][finding].first]
        counts = f"{int((column == 1).sum())} / {int((column == 0).sum())}"
        rows.append([finding, counts, *cells(areas, pairs[before][finding].difference)])
    areas = [*(means[name].second for name in names[:-1]), means[before].first]
    rows.append(["**mean**", "", *cells(areas, means[before].difference)])
    return table_text(rows)


def main() -> int:
    named = os.environ.get("CXR_DATA_DIR")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle", nargs="?", default="nih14", help="a model trained on NIH films")
    parser.add_argument("--recipe", help="a recipe of NIH films instead of a model: the baselines alone")
    parser.add_argument("--data", type=Path, default=Path(named) / "nih-256" if named else None, help="NIH films")
    parser.add_argument("--features", type=Path, help="a .npz file to keep the ImageNet features in")
    parser.add_argument("--write", action="store_true", help=f"put the table into {REPORT.name}")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name a folder of NIH films with --data, or one that holds nih-256 with CXR_DATA_DIR")
    torch.set_num_threads(1)
    try:
        model = None if options.recipe else cxrcore.load(options.bundle)
        recipe = open_recipe(options.recipe) if model is None else recipe_of(model)
        if recipe.data.dataset != "nih":
            raise InvalidDataset(f"{options.recipe or options.bundle} does not learn from NIH films")
        text = compare(recipe, model, options.data, options.features)
    except CxrError as error:
        print(f"baselines: {error}", file=sys.stderr)
        return 2
    print(text)
    if options.write:
        write_section(REPORT, "baselines", text)
    return 0


def recipe_of(model: Model) -> Recipe:
    """The recipe that a model's folder carries. Raises InvalidDataset where it has none."""
    try:
        return Recipe.from_dict(yaml.safe_load(((model.folder or Path()) / "recipe.yaml").read_text("utf-8")))
    except OSError:
        raise InvalidDataset(f"{model.name} carries no recipe, so its training patients cannot be told") from None


if __name__ == "__main__":
    sys.exit(main())
