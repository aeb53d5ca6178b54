"""Many films: their table is read back by the door that reads anyone's, and scores are scikit-learn's."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import cxrcore
from cxrcore.errors import InvalidPredictions
from cxrcore.models.base import Model
from cxrcore.phantom import draw_phantom
from cxrcore.predictions import Predictions, read_predictions
from cxrcore.serving.batch import (
    labelled_parquet,
    predict_read,
    prediction_table,
    read_film,
    score_list,
    table_parquet,
    thumbnail,
)
from tests.films import encoded

FINDINGS = ["Effusion", "Nodule", "Pneumothorax"]


@pytest.fixture(scope="module")
def model() -> Model:
    return cxrcore.load("phantom")


@pytest.fixture(scope="module")
def films() -> dict[str, bytes]:
    """Drawn films, half of them with an effusion; one is damaged."""
    drawn = {f"f{n}.png": draw_phantom(n, ["Effusion"] * (n % 2), size=(256, 256)).pixels for n in range(12)}
    pictures = {name: encoded((pixels * 255).astype(np.uint8), "PNG") for name, pixels in drawn.items()}
    return pictures | {"bad.png": pictures["f0.png"][:500]}


@pytest.fixture(scope="module")
def table(model: Model, films: dict[str, bytes]) -> pd.DataFrame:
    read = [read_film(model, f"folder/{name}", content) for name, content in films.items()]
    answers = predict_read(model, read)
    assert answers[-1] is None
    assert read[-1].error == "'bad.png' is cut short or damaged and cannot be read whole."
    good = [(film.path, answer) for film, answer in zip(read, answers, strict=True) if answer]
    return prediction_table([path for path, _ in good], [answer for _, answer in good])


@pytest.fixture(scope="module")
def labels() -> bytes:
    """As another program might list them: other suffixes, and a film more."""
    return ("image,Effusion\n" + "".join(f"f{n}.dcm,{n % 2}\n" for n in range(13))).encode()


def csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False).encode()


def test_films_in_a_batch_get_what_each_gets_alone(model, films, table):
    for name in ("f0.png", "f7.png"):
        alone = model.predict(cxrcore.read_radiograph(films[name])).probabilities
        row = table.set_index("image").loc[name]
        assert {finding: row[f"prob:{finding}"] for finding in alone} == pytest.approx(alone, abs=1e-5)


def test_nothing_is_predicted_where_nothing_could_be_read(model):
    assert predict_read(model, [read_film(model, "x.png", b"")]) == [None]


def test_the_table_is_read_with_a_label_file_by_stem(model, table, labels):
    with pytest.raises(InvalidPredictions, match="has no labels"):
        read_predictions(csv(table))
    read = read_predictions(csv(table), labels)
    assert read.images.tolist() == table["image"].tolist()
    assert read.probabilities[:, 0] == pytest.approx(table["prob:Effusion"])
    assert read.logits[:, 0] == pytest.approx(table["logit:Effusion"])
    assert read.targets[:, 0].tolist() == [n % 2 for n in range(12)]
    assert "by name without suffix" in " ".join(read.notes)


def test_parquet_says_what_the_csv_says(table):
    again = pd.read_parquet(io.BytesIO(table_parquet(csv(table))))
    pd.testing.assert_frame_equal(again, pd.read_csv(io.BytesIO(csv(table))), check_dtype=False)
    assert str(again["gate_accepted"].dtype) == "Int8"
    with pytest.raises(InvalidPredictions):
        table_parquet(b"\x00\x01no table")


def test_the_labelled_table_opens_as_the_projects_own(table, labels):
    own = Predictions.read(io.BytesIO(labelled_parquet(csv(table), labels, "truth.csv")))
    assert own.targets[:, 0].tolist() == [n % 2 for n in range(12)]


def test_scores_of_a_list_are_scikit_learns_at_the_models_own_thresholds(model, table, labels):
    scored = score_list(model, csv(table), labels, "truth.csv")
    scores = scored.metrics.findings["Effusion"]
    targets, probabilities = [n % 2 for n in range(12)], table["prob:Effusion"].to_numpy()
    assert scores.auroc.value == pytest.approx(roc_auc_score(targets, probabilities))
    assert scores.threshold == pytest.approx(model.thresholds["Effusion"])
    above = probabilities >= model.thresholds["Effusion"]
    assert scores.sensitivity == pytest.approx(above[1::2].mean())
    assert scores.specificity == pytest.approx(1 - above[0::2].mean())
    assert (scored.metrics.dataset, scored.metrics.model) == ("truth", model.name)


def test_a_thumbnail_is_small_and_keeps_the_films_proportions():
    import base64

    from PIL import Image

    film = cxrcore.read_radiograph(encoded(np.zeros((900, 1800), np.uint8), "PNG"))
    picture = Image.open(io.BytesIO(base64.b64decode(thumbnail(film, 112).split(",")[1])))
    assert picture.size == (112, 56)
