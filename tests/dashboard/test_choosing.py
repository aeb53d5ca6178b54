"""Choosing results: links, folders, uploads, and the messages for broken ones."""

from __future__ import annotations

import gc
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit import config

from cxrcore.evaluation.compare import SameFilms
from cxrcore.evaluation.subgroups import Gap
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from tests.dashboard.opening import PHANTOM, PNEUMONIA, cards, charts, checked, link, open_page, stored, words


def table(**columns: object) -> bytes:
    """A good table of two findings, with columns put in or (None) taken out."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (80, 2))
    frame = pd.DataFrame(
        {
            "image": [f"{n:03}.png" for n in range(80)],
            "patient_id": [n // 2 for n in range(80)],
            "prob_Effusion": np.clip(0.3 * truth[:, 0] + rng.random(80) * 0.6, 0, 1),
            "prob_Mass": rng.random(80),
            "target_Effusion": truth[:, 0],
            "target_Mass": truth[:, 1],
        }
    )
    for name, values in columns.items():
        frame = frame.drop(columns=name) if values is None else frame.assign(**{name: values})
    return frame.to_csv(index=False).encode()


BROKEN = {
    "no probabilities": (table(prob_Effusion=None, prob_Mass=None), "lacks a column of probabilities"),
    "out of range": (table(prob_Mass=np.linspace(0, 1.4, 80)), "outside [0, 1]"),
    "a film twice": (table(image=["same.png"] * 80), "more than once"),
    "no labels": (table(target_Effusion=None, target_Mass=None), "label"),
    "not a table": (b"\x89PNG\r\n\x1a\n\x00\x00", "no table"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_upload_gets_a_sentence_and_the_next_one_works(case: str) -> None:
    content, said = BROKEN[case]
    at = open_page("overview", model="upload")
    checked(at.file_uploader(key="upload").set_value(("theirs.csv", content, "text/csv")).run())
    assert said in "\n".join(error.value for error in at.error)
    assert not at.metric
    checked(at.file_uploader(key="upload").set_value(("mine.csv", table(), "text/csv")).run())
    assert not at.error
    assert "80 films of 40 patients" in words(at)
    assert "unknown whether the model saw these patients" in words(at)


def test_an_upload_with_one_class_says_what_is_undefined() -> None:
    at = open_page("overview", model="upload")
    checked(at.file_uploader(key="upload").set_value(("mine.csv", table(target_Mass=0), "text/csv")).run())
    assert "Mass: undefined, no film has the finding." in words(at)


def test_a_column_of_another_name_can_be_given_a_meaning() -> None:
    content = table(image=None, film_number_42=[f"{n}.png" for n in range(80)])
    at = open_page("overview", model="upload")
    checked(at.file_uploader(key="upload").set_value(("mine.csv", content, "text/csv")).run())
    assert "lacks a column of films" in at.error[0].value
    column = next(box for box in at.selectbox if box.label == "Image")
    checked(column.set_value("film_number_42").run())
    assert not at.error
    assert "80 films" in words(at)


def test_a_label_file_may_come_beside_the_table() -> None:
    truth = pd.read_csv(io.BytesIO(table()))[["image", "target_Effusion", "target_Mass"]].iloc[:70]
    at = open_page("overview", model="upload")
    content = table(target_Effusion=None, target_Mass=None)
    at.file_uploader(key="upload").set_value(("mine.csv", content, "text/csv"))
    at.file_uploader(key="upload-labels").set_value(("truth.csv", truth.to_csv(index=False).encode(), "text/csv"))
    checked(at.run())
    assert "70 films" in words(at)
    assert "10 predicted film" in words(at)


def test_a_link_opens_what_it_says() -> None:
    at = open_page("rank", model=PHANTOM, evaluation="phantom-val", finding="Nodule")
    assert "phantom val" in words(at)
    assert at.selectbox(key="pick-finding").value == "Nodule"


def test_choices_are_written_into_the_link_and_survive_turning_the_page() -> None:
    at = open_page("rank", model=PHANTOM)
    checked(at.selectbox(key="pick-finding").set_value("Nodule").run())
    assert link(at, "finding") == "Nodule"
    at.switch_page("screens/calibration.py")
    checked(at.run())
    assert at.selectbox(key="pick-finding").value == "Nodule"
    assert link(at, "finding") == "Nodule"
    checked(at.selectbox(key="kind").set_value(PNEUMONIA).run())
    assert link(at, "model") == PNEUMONIA
    assert link(at, "finding") is None
    assert "pneumonia" in words(at)


@pytest.mark.parametrize(
    "wrong", [{"finding": "Gout"}, {"evaluation": "moon-test"}, {"threshold": "nan"}, {"rule": "x=y"}]
)
def test_a_link_with_nonsense_opens_with_defaults(wrong: dict[str, str]) -> None:
    at = open_page("threshold", model=PHANTOM, **wrong)
    assert at.metric


def test_a_model_that_is_not_there_gets_a_sentence() -> None:
    at = open_page("overview", model="/nowhere/at-all")
    assert "no model, folder or table 'at-all'" in at.error[0].value
    assert "/nowhere" not in at.error[0].value


def test_a_folder_on_disk_opens_like_an_embedded_model() -> None:
    at = open_page("overview", model=str(find_bundle(PHANTOM)))
    assert "305 films" in words(at)


def test_an_evaluation_folder_alone_opens(tmp_path: Path) -> None:
    source = find_bundle(PNEUMONIA) / "evaluation" / "kermany-test"
    for name in ("metrics.json", "curves.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    at = open_page("threshold", model=str(tmp_path))
    assert "521 films" in words(at)


def test_scores_that_are_not_of_the_films_beside_them_are_noticed(tmp_path: Path) -> None:
    own, other = (find_bundle(PHANTOM) / "evaluation" / f"phantom-{split}" for split in ("test", "val"))
    (tmp_path / "predictions.parquet").write_bytes((own / "predictions.parquet").read_bytes())
    for name in ("metrics.json", "curves.json"):
        (tmp_path / name).write_bytes((other / name).read_bytes())
    at = open_page("overview", model=str(tmp_path))
    assert "metrics.json beside predictions.parquet is not of these films" in words(at).replace("\\", "")
    assert cards(at)["Mean AUROC"] == f"{stored(PHANTOM, 'phantom-test')['macro']['auroc']['value']:.3f}"
    assert "unknown whether the model saw these patients" in words(at)
    for name in ("metrics.json", "curves.json"):
        (tmp_path / name).write_bytes((own / name).read_bytes())
    at = open_page("overview", model=str(tmp_path))
    assert "not of these films" not in words(at)
    assert "unknown whether the model saw these patients" not in words(at)


def holders_of(film: str) -> set[str]:
    """Which kinds of objects in this process hold a film, or the groups of people that came with it."""
    found = set()
    for item in gc.get_objects():
        if type(item) is Predictions:
            holds = film in item.images
        elif type(item) is SameFilms:
            holds = film in (*item.first.images, *item.only_first, *item.only_second)
        else:
            holds = type(item) is Gap and item.group == "guest"
        if holds:
            found.add(type(item).__name__)
    return found


def test_nothing_of_an_upload_outlives_its_visit() -> None:
    own = Predictions.read(find_bundle(PHANTOM) / "evaluation" / "phantom-test" / "predictions.parquet")
    images = own.images.astype(object)
    images[:1] = "one-visitors-own-film.png"
    content: Any = io.BytesIO()
    people = {"guest": np.where(np.arange(len(own)) % 2, "guest", "host")}
    replace(own, images=images.astype(str), metadata=people, probabilities=own.probabilities * 0.9).write(content)
    upload = ("mine.parquet", content.getvalue(), "application/octet-stream")
    at = open_page("subgroups", model="upload")
    checked(at.file_uploader(key="upload").set_value(upload).run())
    assert charts(at)
    against = open_page("compare", model=PHANTOM, other_model="upload")
    checked(against.file_uploader(key="other_upload").set_value(upload).run())
    assert charts(against)
    assert holders_of(images[0]) == {"Predictions", "SameFilms", "Gap"}
    del at, against
    gc.collect()
    assert holders_of(images[0]) == set()


def test_strangers_cannot_name_folders_of_a_public_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_HOST", "0.0.0.0")
    at = open_page("overview", model=str(find_bundle(PHANTOM)))
    assert "A folder or table on this computer" not in at.selectbox(key="kind").options
    assert f"no model {find_bundle(PHANTOM).name!r} here" in at.warning[0].value
    assert at.metric  # an embedded one instead


def test_a_server_that_streamlit_binds_to_the_network_is_public_too() -> None:
    before = config.get_option("server.address")
    config.set_option("server.address", "0.0.0.0")
    try:
        at = open_page("overview")
    finally:
        config.set_option("server.address", before)
    assert "A folder or table on this computer" not in at.selectbox(key="kind").options
    assert "A folder or table on this computer" in checked(at.run()).selectbox(key="kind").options


def test_what_the_environment_names_is_open_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_MODEL", PNEUMONIA)
    assert PNEUMONIA in words(open_page("overview"))


def test_a_table_of_one_patient_is_shown_with_what_it_can_tell() -> None:
    at = open_page("threshold", model="upload")
    checked(at.file_uploader(key="upload").set_value(("mine.csv", table(patient_id=[1] * 80), "text/csv")).run())
    assert "80 films of 1 patient ·" in words(at)
    assert "Youden: sensitivity + specificity" not in at.selectbox(key="rule-family").options
    assert at.metric
