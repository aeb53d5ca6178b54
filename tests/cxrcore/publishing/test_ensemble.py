"""What an ensemble decides by. Oracles: the same fits on the mean of the members' own tables, and their own answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import cxrcore
from cxrcore.bundle.calibrators import Identity, PlattScaling, from_probabilities, to_probabilities
from cxrcore.bundle.folder import read_ensemble
from cxrcore.errors import InvalidDataset
from cxrcore.evaluation.evaluate import evaluate, films_of_split
from cxrcore.evaluation.thresholds import read_thresholds
from cxrcore.findings import PHANTOM5, Kind
from cxrcore.metrics.arrays import sigmoid
from cxrcore.metrics.operating_points import OperatingPoints, fit_operating_points
from cxrcore.metrics.triage import fit_triage
from cxrcore.predictions.record import Predictions
from cxrcore.publishing.ensemble import make_ensemble
from train.ensemble import make_ensemble as make_from_command_line

SPLIT = {"dataset": "phantom", "split_sha256": "f" * 64}
FILMS = 400


@pytest.fixture(scope="module")
def members(make_bundle) -> list[Path]:
    """Two of one split and one rule, with their predictions of its validation films."""
    rng = np.random.default_rng(0)
    targets = (rng.random((FILMS, 5)) < 0.4).astype(np.float32)
    points = OperatingPoints(PHANTOM5.names, np.full(5, 0.5), "val", rule="specificity=.9")
    folders = []
    for architecture in ("resnet10t", "resnet18"):
        folder = make_bundle(architecture, PHANTOM5, provenance=SPLIT, operating_points=points)
        probabilities = sigmoid(0.4 * (targets - 0.4) + 0.3 * rng.normal(size=targets.shape))  # much too unsure
        images = np.array([f"{n}.png" for n in range(FILMS)])
        table = Predictions(images, images, np.full(FILMS, "val"), PHANTOM5, targets, probabilities)
        (folder / "evaluation" / "phantom-val").mkdir(parents=True)
        table.write(folder / "evaluation" / "phantom-val" / "predictions.parquet")
        folders.append(folder)
    return folders


def tables(folders: list[Path]) -> list[Predictions]:
    return [Predictions.read(folder / "evaluation/phantom-val/predictions.parquet") for folder in folders]


def test_members_of_one_split_are_calibrated_and_decide_together(members, tmp_path):
    config = make_ensemble(members, tmp_path / "pair")
    assert isinstance(config.calibration, PlattScaling)
    assert config.calibration.slope.min() > 1.5  # the mean of unsure members is made surer
    assert config.provenance["fitted_on"] == SPLIT | {"split": "val", "films": FILMS, "patients": FILMS}
    mean = np.mean([table.probabilities for table in tables(members)], axis=0)
    shares = sigmoid(config.calibration.apply(np.log(mean / (1 - mean))))
    targets = tables(members)[0].targets
    expected = fit_operating_points(PHANTOM5, targets, shares, "specificity=.9")
    assert config.operating_points.rule == "specificity=.9"
    assert config.operating_points.thresholds.tolist() == expected.thresholds.tolist()
    limits = fit_triage(PHANTOM5.names, targets, shares, tables(members)[0].patient_ids).limits()
    assert cxrcore.load(tmp_path / "pair").limits.out == pytest.approx(limits.out)
    negatives = [(shares[targets[:, k] == 0, k] < t).mean() for k, t in enumerate(expected.thresholds)]
    assert min(negatives) >= 0.9
    assert abs(shares.mean() - targets.mean()) < abs(mean.mean() - targets.mean())
    stored = read_ensemble(tmp_path / "pair")
    assert stored.to_dict() == config.to_dict()
    assert f"the {FILMS} validation films" in " ".join((tmp_path / "pair/README.md").read_text().split())
    given = read_thresholds(str(tmp_path / "pair"), PHANTOM5)
    assert given.thresholds.tolist() == expected.thresholds.tolist()


def test_its_answer_is_the_calibrated_mean_whichever_way_it_is_asked(members, tmp_path):
    make_ensemble(members, tmp_path / "pair")
    pair: Any = cxrcore.load(tmp_path / "pair")
    film = cxrcore.Radiograph(np.random.default_rng(1).random((90, 90), np.float32), 8, 8, "PNG")
    mean = np.mean([list(m.predict(film).probabilities.values()) for m in pair.members], axis=0)
    expected = sigmoid(pair.config.calibration.apply(np.log(mean / (1 - mean))[None]))[0]
    for answer in (pair.predict(film), pair.analyse(film).prediction):
        assert list(answer.probabilities.values()) == pytest.approx(expected, abs=1e-5)
        assert {finding: p >= answer.thresholds[finding] for finding, p in answer.probabilities.items()} == (
            answer.positive
        )
    assert pair.explain(film, "Nodule").evidence is None  # the films were not read


def test_probabilities_turn_into_logits_and_back():
    shares = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    for kind in Kind:
        assert to_probabilities(from_probabilities(shares, kind), kind) == pytest.approx(shares, abs=3e-6)


def alter(folder: Path, out: Path, **provenance: str) -> Path:
    shutil.copytree(folder, out)
    data = json.loads((out / "config.json").read_text())
    data["cxrcore"]["provenance"] |= provenance
    (out / "config.json").write_text(json.dumps(data))
    return out


def test_without_films_new_to_all_it_decides_nothing_and_says_why(members, tmp_path):
    other = alter(members[1], tmp_path / "other", split_sha256="0" * 64)
    config = make_ensemble([members[0], other], tmp_path / "a")
    assert "no split in common" in config.why
    assert isinstance(config.calibration, Identity)
    assert config.operating_points is None
    bare = alter(members[1], tmp_path / "bare")
    shutil.rmtree(bare / "evaluation")
    said = make_from_command_line([str(members[0]), str(bare)], tmp_path / "b")
    assert "no operating point was fitted for their mean: the members' folders hold no predictions" in said
    assert "no predictions" in (tmp_path / "b/README.md").read_text()


@pytest.fixture(scope="module")
def runs(toy_run, tmp_path_factory) -> list[Path]:
    """A trained run, and the same with other weights."""
    other = tmp_path_factory.mktemp("runs") / "other"
    shutil.copytree(toy_run, other)
    tensors = load_file(other / "model.safetensors")
    save_file({name: 0.9 * values if "fc" in name else values for name, values in tensors.items()},
              other / "model.safetensors")  # fmt: skip
    return [toy_run, other]


def test_films_are_read_again_and_the_ensemble_is_scored_like_a_model(runs, kermany_like, tmp_path):
    said = make_from_command_line([str(run) for run in runs], tmp_path / "pair", kermany_like)
    pair = cxrcore.load(tmp_path / "pair")
    films = films_of_split(pair, "kermany", kermany_like, "val")
    assert f"fitted on {len(films)} validation films" in said
    metrics = evaluate(pair, "kermany", kermany_like, "val", tmp_path / "scores")
    table = Predictions.read(tmp_path / "scores" / "predictions.parquet")
    alone = pair.predict(cxrcore.read_radiograph(films.paths[0])).probabilities
    assert table.probabilities[table.images.tolist().index(films.images[0])] == pytest.approx(
        list(alone.values()), abs=1e-4
    )
    assert metrics.findings["Pneumonia"].threshold == pytest.approx(pair.thresholds["Pneumonia"])
    assert None not in pair.predict(cxrcore.read_radiograph(films.paths[0])).positive.values()


def test_other_films_than_the_members_is_a_mistake_that_leaves_nothing(runs, kermany_like, tmp_path):
    fewer = tmp_path / "films"
    shutil.copytree(kermany_like, fewer)
    next(iter(sorted(fewer.rglob("*.jpeg")))).unlink()
    with pytest.raises(InvalidDataset, match="not exactly the films"):
        make_ensemble(runs, tmp_path / "pair", fewer)
    assert not (tmp_path / "pair").exists()
