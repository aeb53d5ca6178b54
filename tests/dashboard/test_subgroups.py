"""Subgroups: scores, gaps, small groups, and attributes that a table lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from streamlit.testing.v1 import AppTest

from cxrcore.models.opening import find_bundle
from cxrcore.predictions.import_table import read_predictions
from cxrcore.predictions.record import Predictions
from dashboard import cache
from dashboard.sources.opening import open_source
from tests.dashboard.opening import charts, open_page, without_table, words

PHANTOM = find_bundle("phantom") / "evaluation" / "phantom-test" / "predictions.parquet"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantoms' table with made-up people: women and men, and three of another sex's spelling left unknown."""
    films = Predictions.read(PHANTOM)
    rng = np.random.default_rng(1)
    sex = rng.choice(["F", "M"], len(films))
    sex[:3] = ""
    path = tmp_path_factory.mktemp("groups") / "people.parquet"
    replace(films, metadata={"sex": sex, "age_years": rng.uniform(2, 85, len(films))}).write(path)
    return path


def drawn(app: AppTest) -> dict[str, float]:
    """The scores in the page's first chart, by group."""
    return {name: x for trace in charts(app)[0]["data"] for name, x in zip(trace["y"], trace["x"], strict=True)}


def auroc(films: Predictions, finding: str, rows: np.ndarray) -> float:
    """Scikit-learn's, of some films."""
    column = films.labels.index(finding)
    return float(roc_auc_score(films.targets[rows, column], films.probabilities[rows, column]))


def test_each_group_has_its_own_auroc(table: Path) -> None:
    app = open_page("subgroups", model=str(table), finding="Effusion")
    films = Predictions.read(table)
    shown = drawn(app)
    assert shown["F"] == pytest.approx(auroc(films, "Effusion", films.metadata["sex"] == "F"), abs=1e-9)
    assert "M" in shown


def test_what_the_table_lacks_and_the_rules_are_said(table: Path) -> None:
    said = words(open_page("subgroups", model=str(table), finding="Effusion"))
    assert "does not tell films apart by view" in said
    assert "fewer than 20 films with the finding" in said
    assert "Holm's correction" in said
    assert "80+" in said  # too few people, and named


def test_two_attributes_meet(table: Path) -> None:
    app = open_page("subgroups", model=str(table), finding="Effusion")
    app.button_group(key="groups-together").set_value(2).run()
    assert not app.exception
    names = {name for trace in charts(app)[0]["data"] for name in trace["y"]}
    notes = {str(note["y"]) for note in charts(app)[0]["layout"].get("annotations", [])}
    assert "F, 20-40" in names | notes


def test_rates_of_a_table_without_thresholds_are_at_the_one_in_use(table: Path) -> None:
    app = open_page("subgroups", model=str(table), finding="Effusion")
    app.button_group(key="groups-measure").set_value("sensitivity").run()
    assert not app.exception
    assert "Effusion is called positive at " in words(app)
    assert "Chosen on a random fifth of the patients" in words(app)
    scored = [gap.n for gap in cache.gaps(open_source(str(table)), ["Effusion"], ["sex"], 1, "sensitivity")]
    assert 0 < sum(scored) < 305


def test_every_finding_at_once(table: Path) -> None:
    app = open_page("subgroups", model=str(table), finding="Effusion")
    app.toggle(key="groups-all").set_value(True).run()
    assert not app.exception
    matrix = charts(app)[-1]["data"][0]
    assert list(matrix["y"]) == ["Cardiomegaly", "Effusion", "Nodule", "Pneumothorax", "Consolidation"]


def test_nobody_is_told_apart_among_phantoms() -> None:
    app = open_page("subgroups", model="phantom")
    assert "so no groups can be compared" in words(app)
    assert not charts(app)


def test_a_bundle_without_films_says_how_to_get_them(tmp_path: Path) -> None:
    assert "cxr evaluate" in words(open_page("subgroups", model=without_table(tmp_path / "mine")))


@pytest.mark.data
def test_a_published_model_by_view(data_dir: Path) -> None:
    table, labels = (data_dir / "nih" / name for name in ("chexnet_predictions.csv.gz", "Data_Entry_2017_v2020.csv.gz"))
    app = open_page("subgroups", model=str(table), labels=str(labels), finding="Pneumothorax")
    films = read_predictions(table, labels)
    expected = auroc(films, "Pneumothorax", films.metadata["view"] == "AP")
    assert drawn(app)["AP"] == pytest.approx(expected, abs=1e-9)
