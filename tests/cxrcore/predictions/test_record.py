"""Predictions: what is refused at birth, and what a Parquet file keeps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cxrcore.errors import InvalidPredictions
from cxrcore.findings import NIH14, PNEUMONIA2, Finding, Kind, LabelSet
from cxrcore.predictions.record import Predictions

OWN = LabelSet("own", Kind.MULTILABEL, (Finding("Stent", "A tube."), Finding("Pacemaker", "A device.")))


def predictions(labels=OWN, n=6, **changes) -> Predictions:
    rng = np.random.default_rng(0)
    targets = np.zeros((n, len(labels)))
    targets[np.arange(n), np.arange(n) % len(labels)] = 1
    p = rng.random(n)
    spread = np.stack([p, 1 - p], axis=1) if labels.kind is Kind.MULTICLASS else rng.random((n, len(labels)))
    values = {
        "images": [f"{k}.png" for k in range(n)],
        "patient_ids": [k // 2 for k in range(n)],
        "split": ["val"] * 2 + ["test"] * (n - 2),
        "labels": labels,
        "targets": targets,
        "probabilities": spread,
        "logits": np.log(spread),
        "metadata": {"age_years": np.arange(n) + 40, "sex": np.array(["F", "M"] * (n // 2))},
    }
    return Predictions(**(values | changes))


def test_parquet_keeps_everything_bit_for_bit(tmp_path):
    holed = predictions(targets=np.array([[0, 1], [1, np.nan], [np.nan, np.nan], [1, 1], [0, 0], [1, 0]]))
    holed.write(tmp_path / "predictions.parquet")
    again = Predictions.read(tmp_path / "predictions.parquet")
    assert again.labels == OWN
    for name in ("images", "patient_ids", "split", "targets", "probabilities", "logits"):
        np.testing.assert_array_equal(getattr(again, name), getattr(holed, name))
        assert getattr(again, name).dtype.kind == getattr(holed, name).dtype.kind
    assert (again.targets.dtype, again.probabilities.dtype) == (np.float32, np.float64)
    assert list(again.metadata) == ["age_years", "sex"]
    np.testing.assert_array_equal(again.metadata["age_years"], holed.metadata["age_years"])


def test_columns_are_the_contracts_and_unknown_is_null(tmp_path):
    predictions(targets=np.array([[0, np.nan]] * 6), logits=None).write(tmp_path / "p.parquet")
    stored = pq.read_table(tmp_path / "p.parquet")
    named = ["target:Stent", "target:Pacemaker", "prob:Stent", "prob:Pacemaker"]
    assert stored.column_names == ["image", "patient_id", "split", *named, "age_years", "sex"]
    assert stored["target:Pacemaker"].null_count == 6
    assert stored["target:Stent"].null_count == 0


def test_table_from_elsewhere_is_recognised_by_its_names_in_any_order(tmp_path):
    frame = predictions(PNEUMONIA2).to_frame().drop(columns="patient_id")
    frame = frame[frame.columns[::-1]].astype({"target:Normal": "Int64"})
    frame.to_parquet(tmp_path / "theirs.parquet")
    read = Predictions.read(tmp_path / "theirs.parquet")
    assert read.labels == PNEUMONIA2
    assert read.n_patients == 6  # no patient column: each film its own
    np.testing.assert_array_equal(read.probabilities, predictions(PNEUMONIA2).probabilities)


def test_missing_columns_are_all_named():
    frame = predictions(PNEUMONIA2).to_frame().drop(columns=["split", "target:Normal"])
    with pytest.raises(InvalidPredictions, match=r"lacks 2 column\(s\): split, target:Normal"):
        Predictions.from_frame(frame)
    with pytest.raises(InvalidPredictions, match="match no known set of findings"):
        Predictions.from_frame(pd.DataFrame({"image": ["a"], "prob:Nose": [0.5]}))
    words = predictions(PNEUMONIA2).to_frame().drop(columns="prob:Normal").assign(**{"prob:Normal": "high"})
    with pytest.raises(InvalidPredictions, match="prob:Normal holds something other than numbers"):
        Predictions.from_frame(words)


@pytest.mark.parametrize("column", ["image", "patient_id", "split"])
def test_a_film_without_name_patient_or_split_is_refused(column):
    frame = predictions(PNEUMONIA2).to_frame().astype({column: object})
    frame.loc[2, column] = None
    with pytest.raises(InvalidPredictions, match=f"column {column} is empty in 1 row"):
        Predictions.from_frame(frame)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"probabilities": np.full((6, 2), 1.5)},
            r"of 12 probabilities, 12 outside \[0, 1\]: row\(s\) 1, 2, 3, 4, 5, 6, for Stent, Pacemaker; divide",
        ),
        ({"probabilities": np.full((6, 2), np.nan)}, "of 12 probabilities, 12 missing"),
        ({"probabilities": np.full((6, 3), 0.5)}, r"expected probabilities of shape \(6, 2\), .* got \(6, 3\)"),
        ({"targets": np.full((6, 2), 2.0)}, "12 targets are neither 0, 1 nor unknown"),
        ({"logits": np.full((6, 2), np.inf)}, "12 logits are missing or infinite"),
        (
            {"images": ["a.png"] * 6},
            r"1 film\(s\) appear more than once in this table, again in row\(s\) 2, 3, 4, 5, 6",
        ),
        ({"patient_ids": ["p"]}, "one patient_ids for each of 6 films"),
        ({"metadata": {"sex": ["F"]}}, "one sex for each of 6 films"),
        ({"metadata": {"prob:Nose": [0.5] * 6}}, "may not reuse"),
    ],
)
def test_what_does_not_fit_is_refused_at_birth(changes, message):
    with pytest.raises(InvalidPredictions, match=message):
        predictions(**changes)


def test_exclusive_classes_sum_to_one_and_have_one_truth():
    with pytest.raises(InvalidPredictions, match=r"6 row\(s\) do not, the first in row 1"):
        predictions(PNEUMONIA2, probabilities=np.full((6, 2), 0.4), logits=None)
    targets = predictions(PNEUMONIA2).targets.copy()
    targets[3] = 1
    with pytest.raises(InvalidPredictions, match=r"1 row\(s\) differ, the first in row 4"):
        predictions(PNEUMONIA2, targets=targets)
    targets[3] = np.nan
    assert np.isnan(predictions(PNEUMONIA2, targets=targets).targets[3]).all()


@pytest.mark.parametrize("content", [b"", b"not a table", b"PAR1" + b"\0" * 40 + b"PAR1"])
def test_files_that_are_no_table_get_one_sentence(tmp_path, content):
    path = tmp_path / "p.parquet"
    path.write_bytes(content)
    with pytest.raises(InvalidPredictions, match="not a readable Parquet table") as caught:
        Predictions.read(path)
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(InvalidPredictions, match="no predictions table of that name"):
        Predictions.read(tmp_path / "absent.parquet")


def test_an_unknown_schema_version_is_named(tmp_path):
    path = tmp_path / "p.parquet"
    predictions().write(path)
    stored = pq.read_table(path)
    pq.write_table(stored.replace_schema_metadata({b"cxrcore": b'{"schema": 99, "labels": {}}'}), path)
    with pytest.raises(InvalidPredictions, match="schema version 99 and this program reads 1"):
        Predictions.read(path)


def test_rows_and_splits():
    whole = predictions()
    test = whole.of_split("test")
    assert (len(test), test.n_patients) == (4, 2)
    assert test.images.tolist() == ["2.png", "3.png", "4.png", "5.png"]
    assert test.metadata["age_years"].tolist() == [42, 43, 44, 45]
    assert len(whole.rows(np.array([0]))) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(whole, "labels", NIH14)  # noqa: B010


def test_an_empty_table_is_a_table(tmp_path):
    whole = predictions()
    none = whole.rows(np.zeros(6, dtype=bool))
    none.write(tmp_path / "p.parquet")
    assert len(Predictions.read(tmp_path / "p.parquet")) == 0
