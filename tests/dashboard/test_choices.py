"""One decision on every page and in the report, choices in the link, and uploads that survive a reload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from cxrcore.evaluation.drift import measure_drift
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from dashboard import state
from dashboard.report import make_report
from dashboard.sources.opening import open_source
from dashboard.sources.uploads import KEEP_S, MOST_FILES, Upload, Uploads
from tests.dashboard.opening import PHANTOM, cards, charts, checked, link, open_page, stored, words
from tests.dashboard.test_choosing import table

FINDING = "Effusion"


@pytest.fixture(scope="module")
def without_validation(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A table that has no thresholds of its own: they are chosen on a fifth of its patients."""
    films = Predictions.read(find_bundle(PHANTOM) / "evaluation" / "phantom-test" / "predictions.parquet")
    path = tmp_path_factory.mktemp("table") / "theirs.parquet"
    films.write(path)
    return str(path)


def test_a_table_has_one_threshold_on_every_page(without_validation: str) -> None:
    at = open_page("threshold", model=without_validation, finding=FINDING)
    rows = at.dataframe[0].value.set_index("finding")
    cut, sensitivity = rows.loc[FINDING, "threshold"], cards(at)["Sensitivity"].removesuffix(" %")
    assert rows.loc[FINDING, "sensitivity"].split()[0] == sensitivity
    films = checked(at.switch_page("screens/films.py").run())
    assert f"Called positive at {cut:.4g} or above. Chosen on a random fifth of the patients" in words(films)
    counts = {name: int(count) for name, count in (label.rsplit(" ", 1) for label in films.pills[0].options)}
    found = counts["true positive"] / (counts["true positive"] + counts["false negative"])
    assert f"{100 * found:.1f}" == sensitivity
    rank = checked(at.switch_page("screens/rank.py").run())
    point = next(trace for trace in charts(rank)[0]["data"] if trace.get("name") == f"threshold {cut:.3f}")
    assert point["y"][0] == pytest.approx(found)


def test_the_measured_predictive_value_has_one_interval(without_validation: str) -> None:
    at = open_page("threshold", model=without_validation, finding=FINDING)
    ppv = next(metric for metric in at.metric if metric.label == "PPV")
    assert f"PPV **{ppv.value} ({ppv.delta} %)**" in words(at)


def test_the_table_of_every_finding_is_the_reported_rates() -> None:
    rows = open_page("threshold", model=PHANTOM).dataframe[0].value.set_index("finding")
    scores = stored(PHANTOM, "phantom-test")["findings"]
    assert list(rows.index) == [name.replace("_", " ") for name in scores]
    for name, one in scores.items():
        row = rows.loc[name.replace("_", " ")]
        low, high = one["intervals"]["specificity"]
        assert row["specificity"].strip() == f"{100 * one['specificity']:.1f} ({100 * low:.1f}–{100 * high:.1f})"
        counts = one["counts"]
        alarms = 100 * (counts["tp"] + counts["fp"]) / sum(counts.values())
        assert float(row["alarms"].split()[0]) == pytest.approx(alarms, abs=0.051)


def test_rates_by_threshold_pass_through_the_card() -> None:
    at = open_page("threshold", model=PHANTOM, finding=FINDING)
    traces = {t.get("name"): t for chart in charts(at) for t in chart["data"]}
    x, y = (np.array(traces["sensitivity"][axis], float) for axis in "xy")
    films = Predictions.read(find_bundle(PHANTOM) / "evaluation" / "phantom-test" / "predictions.parquet")
    column = films.labels.index(FINDING)
    positive = films.probabilities[films.targets[:, column] == 1, column].astype(float)
    assert y == pytest.approx([(positive >= cut).mean() for cut in x])
    assert {"specificity", "PPV"} <= set(traces)


def test_the_report_has_the_numbers_of_the_chosen_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "read", {"finding": FINDING, "threshold": "0.9"}.get)
    page = make_report(open_source(PHANTOM), "threshold", "Decisions at a threshold")
    films = Predictions.read(find_bundle(PHANTOM) / "evaluation" / "phantom-test" / "predictions.parquet")
    column = films.labels.index(FINDING)
    found = (films.probabilities[:, column] >= 0.9)[films.targets[:, column] == 1].mean()
    area = stored(PHANTOM, "phantom-test")["macro"]["auroc"]["value"]
    assert f"{found:.3f}".removeprefix("0") in page or f"{100 * found:.1f}" in page
    assert f"{area:.3f}".removeprefix("0") in page
    assert "finding=Effusion" in page
    labels = [button.label for button in open_page("audit", model=PHANTOM).download_button]
    assert "Download this as a report" in labels


@pytest.mark.parametrize(
    ("screen", "key", "value", "shown"),
    [
        ("rank", "overlay", "Nodule,Effusion", lambda at: at.multiselect(key="pick-overlay").value),
        ("films", "order", "wrong", lambda at: at.selectbox(key="films-order").value),
        ("films", "outcome", "true positive,false negative", lambda at: at.pills[0].value),
        ("drift", "against", "halves", lambda at: at.selectbox(key="pick-against").value),
    ],
)
def test_a_link_opens_the_choice_of_a_widget(
    screen: str, key: str, value: str, shown: Callable[[AppTest], Any]
) -> None:
    at = open_page(screen, model=PHANTOM, **{key: value})
    found = shown(at)
    assert (",".join(found) if isinstance(found, list) else str(found)) == value
    assert link(at, key) == value


def test_an_upload_is_there_again_after_a_reload_and_only_with_its_token() -> None:
    at = open_page("overview", model="upload")
    checked(at.file_uploader(key="upload").set_value(("mine.csv", table(), "text/csv")).run())
    token = link(at, "upload") or ""
    assert len(token) > 20
    again = open_page("overview", model="upload", upload=token)
    assert "80 films of 40 patients" in words(again)
    assert "mine.csv is still open" in words(again)
    checked(again.button(key="upload-close").click().run())
    assert link(again, "upload") is None
    assert "upload it again" in words(open_page("overview", model="upload", upload=token))


def _read(file: Upload | None) -> bytes:
    assert file is not None
    return file.read()


def test_uploads_are_bounded_and_forgotten() -> None:
    now = [0.0]
    kept = Uploads(clock=lambda: now[0])
    first = kept.put("a.csv", b"1")
    assert _read(kept.get(first)) == b"1"
    for number in range(MOST_FILES):
        last = kept.put(f"{number}.csv", b"2")
    assert kept.get(first) is None
    now[0] = KEEP_S + 1
    assert kept.get(last) is None


def test_drift_of_random_halves_is_within_chance_and_a_shifted_table_is_not(without_validation: str) -> None:
    at = open_page("drift", model=without_validation, against="halves")
    assert at.dataframe[0].value["p"].min() > 0.05
    films = Predictions.read(without_validation)
    shifted = replace(films, probabilities=films.probabilities**0.5, logits=None)
    found = measure_drift(films, shifted, {FINDING: 0.3})
    change = found[FINDING].change("probability")
    assert found[FINDING].shift.p < 0.01
    assert change.low is not None
    assert change.low > 0
    assert found[FINDING].change("prevalence").value == 0
    assert found[FINDING].calls[0].value == pytest.approx(
        (films.probabilities[:, films.labels.index(FINDING)] >= 0.3).mean()
    )
