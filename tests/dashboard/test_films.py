"""Single films: filters, order, pictures, notes and the saved list."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from cxrcore.errors import InvalidDataset
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from dashboard.sources.film_table import Choice, as_frame, filters_of, outcomes_of, pick_films, safe_csv
from dashboard.sources.pictures import Pictures
from tests.dashboard.opening import open_page, words

PHANTOM = find_bundle("phantom") / "evaluation" / "phantom-test" / "predictions.parquet"
NOTHING: dict[str, str] = {}


@pytest.fixture(scope="module")
def films() -> Predictions:
    """The phantoms' table with an age, a sex and a number that is sometimes missing."""
    table = Predictions.read(PHANTOM)
    rng = np.random.default_rng(0)
    age = rng.uniform(1, 90, len(table)).round(1)
    age[:20] = np.nan
    table.metadata.update(age_years=age, sex=rng.choice(["F", "M", ""], len(table)))
    return table


@pytest.fixture(scope="module")
def outcomes(films: Predictions) -> np.ndarray:
    return outcomes_of(films.targets[:, 1], films.probabilities[:, 1] >= 0.4)


@pytest.fixture(scope="module")
def torch_loaded() -> None:
    """Importing torch may take longer than a page may, on a busy machine."""
    import cxrcore

    cxrcore.load("phantom")


def test_outcomes_count_as_a_confusion_matrix(films: Predictions, outcomes: np.ndarray) -> None:
    table = pd.crosstab(films.targets[:, 1] == 1, films.probabilities[:, 1] >= 0.4)
    assert (outcomes == "true positive").sum() == table.loc[True, True]
    assert (outcomes == "false negative").sum() == table.loc[True, False]
    assert (outcomes == "false positive").sum() == table.loc[False, True]
    assert outcomes_of(np.array([np.nan]), np.array([True])).tolist() == ["unknown"]


@pytest.mark.parametrize("order", ["high", "low", "wrong", "near", "sure", "table"])
def test_orders(films: Predictions, outcomes: np.ndarray, order: str) -> None:
    rows = pick_films(films, "Effusion", outcomes, Choice(), order, 0.4)
    scores, truth = films.probabilities[rows, 1].astype(float), films.targets[rows, 1]
    keys = {
        "high": -scores,
        "low": scores,
        "wrong": -np.abs(scores - truth),
        "near": np.abs(scores - 0.4),
        "sure": -np.where(scores >= 0.4, (scores - 0.4) / 0.6, (0.4 - scores) / 0.4),
        "table": rows,
    }
    assert sorted(rows.tolist()) == list(range(len(films)))
    assert (np.diff(keys[order]) >= -1e-9).all()


def test_filters_join(films: Predictions, outcomes: np.ndarray) -> None:
    choice = Choice(
        outcomes=("true positive", "false negative"),
        low=0.1,
        also=("Nodule",),
        values={"sex": ("F",)},
        ranges={"age_years": (20.0, 80.0)},
    )
    rows = pick_films(films, "Effusion", outcomes, choice, "table", 0.4)
    frame = films.to_frame()
    expected = frame[
        (frame["target:Effusion"] == 1)
        & (frame["prob:Effusion"] >= 0.1)
        & (frame["target:Nodule"] == 1)
        & (frame["sex"] == "F")
        & frame["age_years"].between(20, 80)
    ]
    assert films.images[rows].tolist() == expected["image"].tolist()
    assert len(rows) > 0
    named = pick_films(films, "Effusion", outcomes, Choice(text="000019.PNG"), "table", 0.4)
    assert films.images[named].tolist() == ["phantom-000019.png"]


def test_columns_are_filtered_by_what_they_hold(films: Predictions) -> None:
    values, ranges = filters_of(films)
    assert values == {"sex": ["F", "M"]}
    assert set(ranges) == {"seed", "age_years"}
    assert ranges["age_years"][0] >= 1


def test_a_spreadsheet_runs_nothing(films: Predictions, outcomes: np.ndarray) -> None:
    frame = as_frame(films, np.arange(2), "Effusion", outcomes, {"phantom-000019.png": '=HYPERLINK("x")'})
    assert "'=HYPERLINK" in safe_csv(frame).decode()
    assert frame["note"].tolist() == ['=HYPERLINK("x")', ""]


def test_pictures_are_found_by_name_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "images_001").mkdir()
    Image.fromarray(np.full((8, 6), 128, np.uint8)).save(tmp_path / "images_001" / "a.png")
    pictures = Pictures(["a.png", "b.png", "phantom-000019.png"], tmp_path)
    assert pictures.available(["a.png", "b.png", "phantom-000019.png"]).tolist() == [True, False, True]
    film = pictures.read("a.png")
    assert film is not None
    assert film.pixels.shape == (8, 6)
    assert pictures.read("b.png") is None
    with pytest.raises(InvalidDataset, match="none of these"):
        Pictures(["c.png"], tmp_path)


def test_the_page_lists_opens_and_keeps_a_note() -> None:
    app = open_page("films", model="phantom", finding="Effusion")
    assert "305 of 305 films" in words(app)
    assert f"Called positive at {float(_threshold()):.4g} or above. Chosen by" in words(app)
    assert len(app.get("image")) == 1
    films = Predictions.read(PHANTOM)
    missed = (films.targets[:, 1] == 1) & (films.probabilities[:, 1] < float(_threshold()))
    app.button_group(key="films-outcome").set_value(["false negative"]).run()
    assert not app.exception
    assert f"{missed.sum()} of 305 films" in words(app)
    app.text_area[0].input("a rib looks odd").run()
    assert list(app.session_state["film-notes"].values()) == ["a rib looks odd"]
    assert "The 1 with a note as CSV" in [button.proto.label for button in app.get("download_button")]
    app.button_group(key="films-outcome").set_value([]).run()
    app.number_input(key="films-page").set_value(3).run()
    assert not app.exception
    app.selectbox(key="pick-finding").set_value("Nodule").run()
    assert not app.exception
    assert app.number_input(key="films-page").value == 1


def test_the_link_says_the_threshold() -> None:
    app = open_page("films", model="phantom", finding="Effusion", threshold="0.9")
    assert "Called positive at 0.9 or above" in words(app)


@pytest.mark.usefixtures("torch_loaded")
def test_a_heatmap_on_request() -> None:
    app = open_page("films", model="phantom", finding="Effusion")
    app.button_group(key="film-layer").set_value("Heatmap").run()
    assert not app.exception
    assert "mean positive contribution" in words(app)


@pytest.mark.slow
@pytest.mark.data
def test_real_films_without_and_with_their_folder(data_dir: Path) -> None:
    table, labels = (data_dir / "nih" / name for name in ("chexnet_predictions.csv.gz", "Data_Entry_2017_v2020.csv.gz"))
    app = open_page("films", model=str(table), labels=str(labels), finding="Pneumothorax")
    assert "of 11,928 films" in words(app)  # without those that chose the threshold
    assert "There is no picture of this film here" in words(app)
    app.text_input(key="films-folder-typed").input(str(data_dir / "nih" / "images-1024")).run()
    assert not app.exception
    app.multiselect(key="films-value-sex").set_value(["F"]).run()
    assert not app.exception
    women = int((_sexes(table, labels) == "F").sum())
    assert 0.7 * women < _listed(app) < 0.9 * women  # a fifth of the patients chose the threshold
    app.text_input(key="films-folder-typed").input(str(data_dir / "nowhere")).run()
    assert "no folder 'nowhere'" in words(app)


def _listed(app: AppTest) -> int:
    """The number of films of the list."""
    found = re.search(r"([\d,]+) of [\d,]+ films", words(app))
    assert found
    return int(found[1].replace(",", ""))


def _sexes(table: Path, labels: Path) -> np.ndarray:
    from cxrcore.predictions.import_table import read_predictions

    return read_predictions(table, labels).metadata["sex"]


def _threshold() -> float:
    from cxrcore.bundle.folder import read_config

    points = read_config(find_bundle("phantom")).operating_points
    assert points is not None
    return float(points.thresholds[1])
