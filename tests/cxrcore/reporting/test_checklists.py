"""Reporting checklists answer from the bundle alone: what it lacks is not done, and what it gains is done."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cxrcore.bundle.folder import read_config, write_config
from cxrcore.evaluation.record import METRICS, read_metrics
from cxrcore.models.opening import find_bundle
from cxrcore.publishing.ensemble import make_ensemble
from cxrcore.publishing.model_card import write_model_card
from cxrcore.reporting.bundle_facts import read_facts
from cxrcore.reporting.checklist_answers import Status
from cxrcore.reporting.checklists import CLAIM, FDA, TRIPOD, Row, fill_checklists
from cxrcore.storage import write_json
from train.report import report

NIH14, PHANTOM = find_bundle("nih14"), find_bundle("phantom")
Rows = dict[tuple[str, str], Row]


def rows_of(folder: Path) -> Rows:
    """Every row by list and number."""
    return {(one.name.split()[0], row.number): row for one in fill_checklists(read_facts(folder)) for row in one.rows}


def statuses(rows: Rows, name: str, *numbers: str) -> set[Status]:
    return {rows[name, number].status for number in numbers}


@pytest.fixture(scope="module")
def nih14() -> Rows:
    return rows_of(NIH14)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The nih14 bundle, to be changed."""
    shutil.copytree(NIH14, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_the_lists_have_the_published_numbers():
    assert [number for number, _, _ in CLAIM] == [str(n) for n in range(1, 45)]
    parts = [number for number, _, _ in TRIPOD]
    assert len(parts) == len(set(parts)) == 52
    assert sorted({int(re.sub(r"\D", "", part)) for part in parts}) == list(range(1, 28))
    assert "".join(dict.fromkeys(number[0] for number, _, _ in FDA)) == "ABCDEF"


def test_an_embedded_model_answers_with_its_own_figures(nih14):
    scores = read_metrics(NIH14 / "evaluation/nih-test/metrics.json")
    area = scores.macro.auroc
    figure = f"{area.value:.3f} ({area.low:.3f}-{area.high:.3f})"
    for row in (nih14["CLAIM", "32"], nih14["CLAIM", "37"], nih14["TRIPOD+AI", "23a"]):
        assert row.status is Status.DONE
        assert figure in row.text
    assert f"{scores.n:,} films of {scores.n_patients:,} patients" in nih14["CLAIM", "32"].text
    assert read_config(NIH14).provenance["split_sha256"][:12] in nih14["CLAIM", "19"].text
    assert "torch" in nih14["CLAIM", "23"].text
    assert "Holm" in nih14["TRIPOD+AI", "23a"].text
    noise = json.loads((NIH14 / "evaluation/nih-test/robustness.json").read_text())["changes"]["noise"]["difference"]
    assert f"{noise['value']:.3f} ({noise['low']:.3f} to {noise['high']:.3f})" in nih14["CLAIM", "30"].text


def test_what_nobody_did_is_said(nih14):
    assert statuses(nih14, "CLAIM", "13", "21", "33", "34", "39") == {Status.NOT_DONE}
    assert statuses(nih14, "TRIPOD+AI", "10", "18c", "18d", "19", "12f") == {Status.NOT_DONE}
    assert statuses(nih14, "FDA", "D8", "E1", "E5") == {Status.NOT_DONE}
    assert statuses(nih14, "CLAIM", "44") == statuses(nih14, "TRIPOD+AI", "18b") == {Status.OPEN}
    assert all(row.text for row in nih14.values())


def test_external_testing_is_done_only_by_scores_on_another_dataset(copy):
    elsewhere = copy / "evaluation" / "kermany-test"
    elsewhere.mkdir()
    scores = replace(read_metrics(copy / "evaluation/nih-test/metrics.json"), dataset="kermany")
    write_json(elsewhere / METRICS, replace(scores, split_origin="unknown").to_dict())
    assert rows_of(copy)["CLAIM", "33"].status is Status.NOT_DONE  # perhaps films that it was trained on
    write_json(elsewhere / METRICS, replace(scores, split_origin="official").to_dict())
    external = rows_of(copy)["CLAIM", "33"]
    assert external.status is Status.DONE
    assert "kermany test" in external.text
    write_json(elsewhere / METRICS, replace(scores, dataset="phantom", split_origin="own").to_dict())
    assert rows_of(copy)["CLAIM", "33"].status is Status.NOT_DONE  # drawn films are no patients


def test_what_a_bundle_loses_is_no_longer_done(copy, nih14):
    lost = {
        "evaluation": [("CLAIM", n) for n in ("28", "29", "32", "37", "38")] + [("TRIPOD+AI", "23a"), ("FDA", "D3")],
        "recipe.yaml": [("CLAIM", n) for n in ("6", "10", "12", "25", "26", "42")] + [("TRIPOD+AI", "13")],
        "model.safetensors": [("TRIPOD+AI", "22"), ("FDA", "A2"), ("FDA", "E3")],
    }
    for name, items in lost.items():
        assert {nih14[item].status for item in items} == {Status.DONE}
        path = copy / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        now = rows_of(copy)
        assert {item: now[item].status for item in items} == dict.fromkeys(items, Status.NOT_DONE)


def test_without_sex_and_age_of_patients_there_are_no_subgroups(copy):
    (copy / "evaluation/nih-test/predictions.parquet").unlink()
    row = rows_of(copy)["TRIPOD+AI", "23a"]
    assert row.status is Status.NOT_DONE
    assert "no table of films" in row.text


def test_a_bundle_that_says_nothing_of_itself_has_little_done(make_bundle):
    from cxrcore.findings import PHANTOM5

    rows = rows_of(make_bundle("resnet10t", PHANTOM5))
    assert statuses(rows, "CLAIM", "4", "6", "19", "20", "23", "24", "25", "31", "32", "33") == {Status.NOT_DONE}
    assert statuses(rows, "CLAIM", "5", "7", "11", "14", "43") == {Status.OPEN}  # somebody's own films
    assert rows["TRIPOD+AI", "17"].status is Status.OPEN
    assert rows["TRIPOD+AI", "27a"].status is Status.NOT_DONE


def test_drawn_films_need_no_approval():
    rows = rows_of(PHANTOM)
    assert rows["TRIPOD+AI", "17"].text == "not needed: drawn films, no people"
    assert rows["CLAIM", "17"].status is Status.DONE


def test_a_fresh_run_and_the_same_without_its_scores(toy_run, tmp_path):
    assert rows_of(toy_run)["CLAIM", "32"].status is Status.DONE
    shutil.copytree(toy_run, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))
    rows = rows_of(tmp_path / "run")
    assert statuses(rows, "CLAIM", "28", "32", "37", "38") == {Status.NOT_DONE}
    assert rows["CLAIM", "19"].status is Status.DONE


def test_an_adapted_model_reports_its_updating(copy):
    config = read_config(copy)
    adapted = {"parent": "p", "dataset": "csv", "films": 120, "patients": 90, "adapted": ["Mass"]}
    write_config(copy, replace(config, provenance=config.provenance | {"adapted": adapted}))
    row = rows_of(copy)["TRIPOD+AI", "24"]
    assert row.status is Status.DONE
    assert "120 films" in row.text


@pytest.mark.slow
def test_an_ensemble_answers_for_its_members(tmp_path):
    for name in ("one", "two"):
        shutil.copytree(PHANTOM, tmp_path / name)
    weights = tmp_path / "two" / "model.safetensors"
    save_file({name: np.asarray(1.01 * tensor) for name, tensor in load_file(weights).items()}, weights)
    make_ensemble([tmp_path / "one", tmp_path / "two"], tmp_path / "pair")
    rows = rows_of(tmp_path / "pair")
    assert "2 networks" in rows["CLAIM", "27"].text
    assert statuses(rows, "CLAIM", "19", "23", "24", "25") == {Status.DONE}
    assert statuses(rows, "CLAIM", "28", "32", "33", "37") == {Status.NOT_DONE}  # its members were scored, it was not
    card = (tmp_path / "pair" / "README.md").read_text("utf-8")
    assert "<summary>CLAIM 2024: " in card


@pytest.mark.slow
def test_card_and_report_show_every_row(copy, tmp_path):
    config = read_config(copy)
    hostile = config.provenance | {"reproduces": "a | b <script>"}
    config = replace(config, provenance=hostile)
    write_config(copy, config)
    write_model_card(copy, config, pictures=False)
    lists = fill_checklists(read_facts(copy))
    card = (copy / "README.md").read_text("utf-8")
    page = report(str(copy), tmp_path / "report.html").read_text("utf-8")
    section = card.split("## Reporting checklists")[1].split("\n## ")[0]
    for one in lists:
        assert f"<summary>{one.summary}</summary>" in card
        assert one.summary in page
    rows = [line for line in section.splitlines() if re.match(r"\| [A-F]?\d", line)]
    assert (
        len(rows)
        == sum(len(one.rows) for one in lists)
        == page.count('class="badge done"')
        + page.count('class="badge not-done"')
        + page.count('class="badge for-the-publisher"')
    )
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 5 for line in rows)
    assert "<script>" not in section


def test_the_card_shows_reliability_before_and_after(copy):
    metrics = json.loads((copy / "evaluation/nih-test/metrics.json").read_text())
    card = (copy / "README.md").read_text("utf-8")
    scores = metrics["findings"]["Effusion"]
    for one in (scores, scores["uncalibrated"]):
        slope = one["calibration"]["slope"]
        assert f"{slope['value']:.2f} ({slope['low']:.2f}-{slope['high']:.2f})" in card
        assert f"{one['ece']:.3f} ({one['ece_expected']:.3f})" in card


def test_sources_are_compared_where_an_audit_did_so():
    audit = json.loads((find_bundle("tb3") / "evaluation/composed-test/audit.json").read_text())
    compared = audit["sources"]["told_apart"]
    row = rows_of(find_bundle("tb3"))["TRIPOD+AI", "23b"]
    assert row.status is Status.DONE
    assert f"in {sum(one['named'] for one in compared)} of {len(compared)} comparisons" in row.text
    assert statuses(rows_of(NIH14), "TRIPOD+AI", "12d", "23b") == {Status.NOT_DONE}  # one source
