"""The commands that write the tables of docs/generalisation.md and docs/seeds.md."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cxrcore
from benchmarks import gate, nih_subset, seeds
from benchmarks.embedded import add_map_scores
from benchmarks.generalise import FilmSet, mean_rate, named, read_set, rows_of, truth, unseen
from benchmarks.measuring import read_section, write_section
from cxrcore.bundle.folder import EMBEDDED, read_config
from cxrcore.datasets.table import FilmTable
from cxrcore.errors import InvalidDataset
from cxrcore.evaluation.record import read_metrics
from cxrcore.findings import NIH14, NIH15, PHANTOM5, PNEUMONIA2, PNEUMONIA3, TB3, LabelSet
from cxrcore.metrics.localisation import Located, summarise_localisation
from cxrcore.publishing.model_card import write_model_card
from cxrcore.storage import write_json

KERMANY = FilmSet("children", "", "kermany", "pneumonia2", absent=("Tuberculosis",))


def table(labels: LabelSet, targets: list, patients: list[str] | None = None, splits: list | None = None) -> FilmTable:
    names = tuple(f"{row}.png" for row in range(len(targets)))
    values = np.array(targets, np.float32)
    return FilmTable(
        "toy",
        labels,
        tuple(map(Path, names)),
        names,
        tuple(patients or names),
        values,
        tuple(splits or [None] * len(names)),
    )


def columns(*findings: str, labels: LabelSet) -> list[float]:
    return [float(name in findings) for name in labels]


def test_a_normal_film_has_no_finding_of_a_model_and_others_are_unknown():
    films = table(NIH15, [columns(name, labels=NIH15) for name in ("No Finding", "Pneumonia", "Mass")])
    normal, pneumonia, mass = truth(TB3, films, absent=("Tuberculosis",))
    assert normal.tolist() == [1, 0, 0]
    assert pneumonia.tolist() == [0, 1, 0]
    assert mass.tolist() == pytest.approx([np.nan, np.nan, 0], nan_ok=True)
    assert np.isnan(truth(TB3, films, absent=())[2]).all()
    assert truth(PNEUMONIA2, films, absent=())[:, 1].tolist() == [0, 1, 0]


def test_bacterial_and_viral_are_pneumonia_and_nothing_else_of_fourteen_is_known():
    films = table(PNEUMONIA3, np.eye(3).tolist())
    assert truth(PNEUMONIA2, films, ())[:, 1].tolist() == [0, 1, 1]
    fourteen = truth(NIH14, films, ())
    assert fourteen[:, NIH14.index("Pneumonia")].tolist() == [0, 1, 1]
    assert fourteen[0].tolist() == [0] * 14
    assert np.isnan(np.delete(fourteen[1], NIH14.index("Pneumonia"))).all()


def test_a_set_without_any_of_the_model_s_findings_says_nothing():
    assert np.isnan(truth(PNEUMONIA2, table(PHANTOM5, [[0, 1, 0, 0, 0]]), ())).all()


def test_a_model_meets_only_the_patients_that_its_training_held_out(toy_run, kermany_like):
    with (toy_run / "training/split.csv").open() as file:
        held_out = {row["image"] for row in csv.DictReader(file) if row["split"] == "test"}
    films = read_set(KERMANY, kermany_like)
    assert set(unseen(cxrcore.load(toy_run), KERMANY, films, kermany_like).images) == held_out
    assert len(unseen(cxrcore.load("phantom"), KERMANY, films, kermany_like)) == len(films)


def test_films_of_which_the_trained_ones_cannot_be_told_are_not_scored(toy_run, kermany_like):
    model = cxrcore.load("pneumonia")  # trained on other films of the same source
    (row,) = rows_of(model, KERMANY, read_set(KERMANY, kermany_like), kermany_like, 0)
    assert "not exactly the films" in row[1]
    assert set(row[2:]) == {"-"}


@pytest.mark.parametrize(("group", "words"), [("0-18", "0 to 17 years"), ("65+", "65 years and older"), ("AP", "AP")])
def test_groups_are_named_for_a_reader(group, words):
    assert named(group) == words


def test_a_mean_rate_is_that_of_the_findings_and_lies_in_its_interval():
    among = np.random.default_rng(0).random((60, 3)) < 0.6
    hits = among & (np.random.default_rng(1).random((60, 3)) < [0.2, 0.5, 0.9])
    rate = mean_rate(hits, among, np.repeat(np.arange(30), 2))
    assert rate.value == pytest.approx(np.mean([hits[:, k].sum() / among[:, k].sum() for k in range(3)]))
    assert rate.low < rate.value < rate.high


def test_a_section_is_replaced_and_the_rest_of_the_document_stays(tmp_path):
    document = tmp_path / "document.md"
    document.write_text("before\n<!-- one -->\nold\n<!-- /one -->\nafter\n")
    write_section(document, "one", "new")
    write_section(document, "one", "newer")
    assert document.read_text() == "before\n<!-- one -->\n\nnewer\n\n<!-- /one -->\nafter\n"
    with pytest.raises(ValueError, match="no section"):
        read_section(document, "two")


def test_scores_enter_their_cell_and_other_cells_stay(tmp_path):
    stored = next(EMBEDDED.glob("phantom-*/evaluation/*-test/metrics.json"))
    (tmp_path / "nih-5000").mkdir()
    (tmp_path / "nih-5000" / "metrics.json").write_text(stored.read_text())
    before = seeds.cells_of(read_section(seeds.DOCUMENT, "seeds"))
    after = seeds.cells_of(seeds.table(tmp_path, before))
    first, *others = before
    area = json.loads(stored.read_text())["macro"]["auroc"]["value"]
    assert after[first][1].startswith(f"mean AUROC {area:.2f}"[:11])
    assert f"{area:.2f}".lstrip("0") in after[first][1]
    assert after[first][2] == before[first][2]
    assert {title: after[title] for title in others} == {title: before[title] for title in others}
    assert list(before) == [system.title for system in seeds.SYSTEMS]


def test_the_subset_keeps_patients_in_one_part_and_takes_few_films_of_each(monkeypatch):
    monkeypatch.setattr(nih_subset, "FILMS", {"test": 6, "val": 2, "train": 5})
    patients = [f"p{row // 5}" for row in range(50)]  # ten patients of five films, two of them on the test list
    films = table(NIH14, [[0.0] * 14] * 50, patients, ["test" if row < 10 else None for row in range(50)])
    chosen = nih_subset.choose(films, seed=0)
    parts = {split: [patients[row] for row in chosen if chosen[row] == split] for split in nih_subset.FILMS}
    assert {split: len(names) for split, names in parts.items()} == nih_subset.FILMS
    assert set(parts["test"]) == {"p0", "p1"}
    assert max(map(parts["test"].count, ("p0", "p1"))) == 3
    assert len(set(parts["train"])) == 5
    assert not set(parts["train"]) & set(parts["val"])
    monkeypatch.setitem(nih_subset.FILMS, "test", 11)
    with pytest.raises(InvalidDataset, match="10 films can be had for test, and 11"):
        nih_subset.choose(films, seed=0)


def test_scores_of_maps_are_added_to_stored_ones_and_no_other_figure_changes(toy_run, kermany_like, tmp_path):
    model = shutil.copytree(toy_run, tmp_path / "toy")
    path = model / "evaluation/kermany-test/metrics.json"
    whole = read_metrics(path)
    before = replace(
        whole,
        brier=0.5,  # not what would be measured
        findings={name: replace(scores, localisation=None) for name, scores in whole.findings.items()},
        localisation=None,
        faithfulness=None,
    )
    write_json(path, before.to_dict())
    assert add_map_scores(str(model), "kermany", kermany_like, 4) == path
    after = read_metrics(path)
    assert after.faithfulness.n == 4
    assert replace(after, faithfulness=whole.faithfulness, brier=whole.brier).to_dict() == whole.to_dict()
    write_json(path, replace(before, n=before.n + 1).to_dict())
    with pytest.raises(InvalidDataset, match="was scored on"):
        add_map_scores(str(model), "kermany", kermany_like, 0)


def test_a_card_prints_what_maps_scored_on_boxes(toy_run, tmp_path):
    model = shutil.copytree(toy_run, tmp_path / "toy")
    path = model / "evaluation/kermany-test/metrics.json"
    there, elsewhere = Located(True, True, 0.5, 0.5, 0.2, 0.1), Located(False, False, 0, 0, 0.4, 0.1)
    own = summarise_localisation([there] * 9 + [elsewhere] * 3, [elsewhere] * 12)
    metrics = read_metrics(path)
    findings = metrics.findings | {"Pneumonia": replace(metrics.findings["Pneumonia"], localisation=own)}
    write_json(path, replace(metrics, findings=findings, localisation=own).to_dict())
    write_model_card(model, read_config(model), pictures=False)
    rows = [line for line in (model / "README.md").read_text().splitlines() if "| 12 |" in line[1:]]
    assert [row.partition(" | ")[0] for row in rows] == ["| Pneumonia", "| all"]
    assert all("| 0.750 (0.468-0.911) | 0.000 (0.000-0.242) |" in row for row in rows)


def test_rows_of_one_gate_replace_its_own_and_leave_those_of_others(tmp_path, monkeypatch):
    (tmp_path / "trust.md").write_text("above\n<!-- gate -->\nold\n<!-- /gate -->\nbelow\n", "utf-8")
    monkeypatch.setattr(gate, "DOCUMENT", tmp_path / "trust.md")
    monkeypatch.setattr(gate, "ROWS", tmp_path / "gate.csv")
    phantom, nih14 = "phantom-resnet10t", "nih14-efficientnet-lite0"
    gate.store([(phantom, "phantoms", "as it is", 120, 9.0, 0.0, 0.0, 0.0, 0.0)])
    gate.store(
        [
            (nih14, "Kermany", "turned 90° left", 120, 100.0, 98.0, 0.0, 0.0, 0.0),
            (nih14, "Kermany", "turned 90° right", 120, 100.0, 99.0, 0.0, 0.0, 0.0),
        ]
    )
    gate.store([(phantom, "phantoms", "as it is", 120, 0.8, 0.0, 0.0, 0.0, 0.0)])
    text = (tmp_path / "trust.md").read_text("utf-8")
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    assert "|  | nih14 | phantom |\n" in text
    assert "| phantoms |  | 0.8 |\n" in text
    assert "| Kermany | 98.5 |  |\n" in text  # of as many films each way
    assert "9.0" not in text
    with (tmp_path / "gate.csv").open(encoding="utf-8") as rows:
        assert [row["model"] for row in csv.DictReader(rows)] == [nih14, nih14, phantom]


def test_the_table_of_gates_is_that_of_its_rows():
    assert read_section(gate.DOCUMENT, gate.SECTION).strip() == gate.short_table(pd.read_csv(gate.ROWS)).strip()
