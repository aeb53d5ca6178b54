"""Adapting a model to a site: on logits whose honest probabilities are known, and from films to a new bundle."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import cxrcore
from cxrcore.bundle.calibrators import PlattScaling, Temperature, to_probabilities
from cxrcore.bundle.config import BundleConfig
from cxrcore.bundle.folder import GATE, read_config
from cxrcore.datasets.phantoms import phantom_film
from cxrcore.errors import InvalidDataset
from cxrcore.evaluation.adapt import LEAST, Site, adapt, summary_lines
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import NIH14, TB3, Kind, LabelSet
from cxrcore.gate.input_gate import InputGate
from cxrcore.metrics.operating_points import fit_operating_points
from cxrcore.training import adapt as adapting
from cxrcore.training.adapt import REPORT
from train.cli import main

FINDINGS = LabelSet("two", Kind.MULTILABEL, NIH14.findings[:2])


def site(films: int = 1500, shift: float = -2.0, seed: int = 0) -> Site:
    """A site whose films have the findings far less often than the logits say: honest is half the logit, shifted."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (films, 2))
    targets = rng.random((films, 2)) < to_probabilities(0.5 * logits + shift, Kind.MULTILABEL)
    return Site(np.array([f"p{n // 2}" for n in range(films)]), targets.astype(np.float32), logits)


def config_of(there: Site, labels: LabelSet = FINDINGS) -> BundleConfig:
    """A model that takes its logits for honest."""
    points = fit_operating_points(labels, there.targets, to_probabilities(there.logits, labels.kind))
    return BundleConfig(
        name="home", labels=labels, architecture="resnet18", preprocessing=Preprocessing(), operating_points=points
    )


def test_the_sites_own_line_is_found_and_the_ranking_stays() -> None:
    there = site()
    config, report = adapt(config_of(there), there)
    assert isinstance(config.calibration, PlattScaling)
    assert config.calibration.slope == pytest.approx([0.5, 0.5], abs=0.08)
    assert config.calibration.intercept == pytest.approx([-2, -2], abs=0.3)
    for row in report["findings"].values():
        assert row["before"]["ece"] > 0.1
        assert row["after"]["ece"] < 0.04
        line = row["after"]["calibration"]
        assert line["slope"]["low"] < 1 < line["slope"]["high"]
        assert line["in_the_large"]["low"] < 0 < line["in_the_large"]["high"]
    assert report["films"] == 1500
    assert report["patients"] == 750


def test_numbers_after_are_of_patients_that_did_not_choose_them() -> None:
    """Few films: fitted and scored on the same films, they would look better."""
    rng = np.random.default_rng(3)
    targets = (rng.random((60, 2)) < 0.5).astype(np.float32)
    noise = Site(np.arange(60).astype(str), targets, rng.normal(size=(60, 2)) + 0.8 * targets)
    config, report = adapt(config_of(noise), noise)
    assert isinstance(config.calibration, PlattScaling)
    for column, row in enumerate(report["findings"].values()):
        own = to_probabilities(config.calibration.apply(noise.logits), Kind.MULTILABEL)[:, column]
        assert row["after"]["brier"] > np.mean((own - noise.targets[:, column]) ** 2)


def test_what_the_model_does_not_rank_is_said() -> None:
    rng = np.random.default_rng(8)
    noise = Site(np.arange(80).astype(str), (rng.random((80, 2)) < 0.5).astype(np.float32), rng.normal(size=(80, 2)))
    mixed = Site(noise.patients, noise.targets, noise.logits + np.array([2.0, 0.0]) * noise.targets)
    said = [line for line in summary_lines(adapt(config_of(mixed), mixed)[1]) if "no calibration mends that" in line]
    assert [line.partition(" is not")[0] for line in said] == [FINDINGS.names[1]]


def test_a_finding_that_is_rare_there_keeps_what_it_had() -> None:
    there = site()
    home = config_of(there)
    home = replace(home, calibration=PlattScaling(np.array([2.0, 3.0]), np.array([0.1, 0.2])))
    few = Site(there.patients, there.targets.copy(), there.logits)
    few.targets[:, 1] = np.where(np.cumsum(few.targets[:, 1]) <= 5, few.targets[:, 1], 0)
    config, report = adapt(home, few)
    assert isinstance(config.calibration, PlattScaling)
    assert (config.calibration.slope[1], config.calibration.intercept[1]) == (3.0, 0.2)
    assert config.calibration.slope[0] != 2.0
    assert report["adapted"] == [FINDINGS.names[0]]
    assert report["kept"] == [FINDINGS.names[1]]


def test_exclusive_classes_gain_offsets() -> None:
    rng = np.random.default_rng(5)
    classes = rng.choice(3, 900, p=[0.8, 0.15, 0.05])
    logits = rng.normal(size=(900, 3)) + 2 * np.eye(3)[classes]
    there = Site(np.arange(900).astype(str), np.eye(3, dtype=np.float32)[classes], logits)
    config, report = adapt(config_of(there, TB3), there)
    assert isinstance(config.calibration, Temperature)
    assert len(config.calibration.offsets) == 3
    assert report["findings"]["Tuberculosis"]["after"]["ece"] < report["findings"]["Tuberculosis"]["before"]["ece"]


@pytest.mark.parametrize(
    ("films", "positive", "words"),
    [(LEAST - 1, 0.5, "49 labelled films are here; adapting a model needs 50"), (200, 0, "no finding has 10 films")],
)
def test_too_few_films_are_refused(films, positive, words) -> None:
    there = site(films)
    only = Site(there.patients, np.full_like(there.targets, 0) if not positive else there.targets, there.logits)
    with pytest.raises(InvalidDataset, match=words):
        adapt(config_of(there), only)


@pytest.fixture(scope="module")
def drawn_site(tmp_path_factory):
    """Sixty drawn films that the phantom model was not made from, in a folder with a label table."""
    folder = tmp_path_factory.mktemp("site")
    names = cxrcore.load("phantom").labels.names
    rows = []
    for n in range(60):
        film = phantom_film(990_000 + n)
        Image.fromarray(np.rint(film.pixels * 255).astype(np.uint8)).save(folder / f"{n:03}.png")
        rows.append({"image": f"{n:03}.png", "PatientId": n, **dict.fromkeys(names, n % 2)})
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)
    return folder


def test_from_films_to_a_bundle_that_names_its_parent(drawn_site, tmp_path, capsys) -> None:
    out = tmp_path / "ours"
    assert main(["adapt", "phantom", "--data", str(drawn_site / "labels.csv"), "--out", str(out)]) == 0
    parent, adapted = cxrcore.load("phantom"), cxrcore.load(out)
    assert parent.id in capsys.readouterr().out
    assert read_config(out).provenance["adapted"]["parent"] == parent.id
    report = json.loads((out / REPORT).read_text())
    assert report["films"] + report["refused"] == 60
    assert report["gate"] is None
    assert (out / GATE).read_bytes() == (parent.folder / GATE).read_bytes()
    assert adapted.id.partition("@")[2] == parent.id.partition("@")[2]  # the same weights
    assert (out / "README.md").read_text().count("adapted")
    assert main(["adapt", "phantom", "--data", str(drawn_site), "--out", str(out)]) == 2
    assert "is in use; choose a new folder" in capsys.readouterr().err


def test_the_gate_learns_that_the_sites_films_are_no_strangers(drawn_site, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(adapting, "GATE_FILMS", 30)
    out = tmp_path / "ours"
    assert main(["adapt", "phantom", "--data", str(drawn_site), "--out", str(out)]) == 0
    assert "Far from training by the input gate:" in capsys.readouterr().out
    gate = json.loads((out / REPORT).read_text())["gate"]
    assert gate["far_from_training"]["after"] <= 0.05
    assert gate["distance"]["after"] >= gate["distance"]["before"]
    assert read_config(out).guard["adapted"] == gate
    adapted = InputGate.read(out / GATE).tensors["thresholds"][-1]
    assert adapted == pytest.approx(gate["distance"]["after"], rel=1e-3)


def test_mistakes_leave_nothing_behind(drawn_site, tmp_path, capsys) -> None:
    table = pd.read_csv(drawn_site / "labels.csv")
    for column in cxrcore.load("phantom").labels:
        table[column] = 0
    normal = tmp_path / "normal"
    normal.mkdir()
    for name in table["image"]:
        (normal / name).write_bytes((drawn_site / name).read_bytes())
    table.to_csv(normal / "labels.csv", index=False)
    assert main(["adapt", "phantom", "--data", str(normal), "--out", str(tmp_path / "out")]) == 2
    assert "no finding has 10 films with it" in capsys.readouterr().err
    table.drop(columns=list(cxrcore.load("phantom").labels)).to_csv(normal / "labels.csv", index=False)
    assert main(["adapt", "phantom", "--data", str(normal), "--dataset", "csv", "--out", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
