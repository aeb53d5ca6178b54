"""Three answers: shares of films, wrong answers by patient, and a table without limits."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cxrcore
from cxrcore.bundle.folder import read_config, write_config
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from tests.dashboard.opening import charts, open_page, words

FOLDER = find_bundle("phantom")


def test_the_shares_are_those_of_the_library_s_answers() -> None:
    """Oracle: the answer to each film, one by one, at the risk in the link."""
    films = Predictions.read(FOLDER / "evaluation" / "phantom-test" / "predictions.parquet")
    limits = cxrcore.load("phantom").triage.limits(0.1, 0.95)
    answers = [limits.answers(dict(zip(films.labels.names, row, strict=True))) for row in films.probabilities.tolist()]
    app = open_page("triage", model="phantom", risk="0.1", confidence="0.95")
    (shown,) = [figure for figure in charts(app) if "Effusion" in figure["data"][0]["y"]]
    for bar, answer in zip(shown["data"], ("rule_out", "unsure", "rule_in"), strict=True):
        for finding, share in zip(bar["y"], bar["x"], strict=True):
            assert share == pytest.approx(np.mean([film[finding] == answer for film in answers]))


def test_limits_that_a_bundle_lacks_come_from_its_validation_films_if_there_are_some(tmp_path: Path) -> None:
    test = FOLDER / "evaluation" / "phantom-test" / "predictions.parquet"
    shown = words(open_page("triage", model=str(test)))
    assert "come from validation films" in shown
    assert "`cxr evaluate MODEL --dataset DATASET --data DIR --split val --out VALIDATION`" in shown
    bare = shutil.copytree(FOLDER, tmp_path / "bare")
    write_config(bare, replace(read_config(bare), triage=None))
    (again,) = [one for one in charts(open_page("triage", model=str(bare))) if "Nodule" in one["data"][0]["y"]]
    (stored,) = [one for one in charts(open_page("triage", model="phantom")) if "Nodule" in one["data"][0]["y"]]
    assert [bar["x"] for bar in again["data"]] == [bar["x"] for bar in stored["data"]]


def test_a_table_with_validation_films_has_the_limits_of_these(tmp_path: Path) -> None:
    """Oracle: the bundle's own limits, which came from the same films."""
    tables = [Predictions.read(FOLDER / f"evaluation/phantom-{split}/predictions.parquet") for split in ("val", "test")]
    for table, split in zip(tables, ("val", "test"), strict=True):
        table.write(tmp_path / f"{split}.parquet")
    both = pd.concat([pd.read_parquet(tmp_path / f"{split}.parquet") for split in ("val", "test")])
    both.to_csv(tmp_path / "both.csv", index=False)
    bare, stored = (
        next(one for one in charts(open_page("triage", model=model)) if "Nodule" in one["data"][0]["y"])
        for model in (str(tmp_path / "both.csv"), "phantom")
    )
    for bar, own in zip(bare["data"], stored["data"], strict=True):
        assert dict(zip(bar["y"], bar["x"], strict=True)) == pytest.approx(dict(zip(own["y"], own["x"], strict=True)))
