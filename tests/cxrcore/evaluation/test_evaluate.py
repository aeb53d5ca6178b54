"""Scores measured again from the weights: the same split, the same numbers, or a refusal.

Oracles: the metrics that the run itself stored, numpy, scikit-learn.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

import cxrcore
from cxrcore.bundle.folder import read_ensemble
from cxrcore.datasets import read_dataset
from cxrcore.errors import InvalidDataset
from cxrcore.evaluation.evaluate import evaluate, split_digest
from cxrcore.findings import NIH14, PNEUMONIA2, TB3, Finding, Kind, LabelSet
from cxrcore.predictions.record import Predictions
from cxrcore.publishing.ensemble import make_ensemble
from tests.conftest import TOY
from tests.cxrcore.training.quick import quick_fit
from tests.films import chest, encoded
from train.cli import main
from train.recipes import open_recipe


@pytest.fixture(scope="module")
def again(toy_run, kermany_like, tmp_path_factory) -> Path:
    """What ``cxr evaluate`` writes for the toy run's own test patients."""
    out = tmp_path_factory.mktemp("scores") / "test"
    assert main(command(toy_run, "kermany", kermany_like, "test", out)) == 0
    return out


@pytest.fixture(scope="module")
def sibling(kermany_like, tmp_path_factory) -> Path:
    """Another network trained and held out on the same patients, at another size."""
    more = ("optimizer.epochs=1", "preprocessing.height=48", "preprocessing.width=48", "model.architecture=resnet10t")
    out = tmp_path_factory.mktemp("runs") / "sibling"
    return quick_fit(open_recipe("pneumonia-resnet18", [*TOY, *more]), kermany_like, out)


@pytest.fixture(scope="module")
def nih_like(tmp_path_factory) -> Path:
    """Twelve films of four patients in NIH's layout; the official list tests the films of two of them."""
    root = tmp_path_factory.mktemp("nih")
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
    rows, test = [header], []
    for n in range(12):
        name = f"{n // 3:08d}_{n % 3:03d}.png"
        (root / name).write_bytes(encoded(chest(height=48, width=48, seed=n), "PNG"))
        rows.append(f"{name},{NIH14.names[n % 2]},{n % 3},{n // 3},50,F,PA")
        test += [name] * (n < 6)
    (root / "Data_Entry_2017.csv").write_text("\n".join(rows) + "\n")
    (root / "test_list.txt").write_text("\n".join(test) + "\n")
    return root


def command(model: Path, dataset: str, data: Path, split: str, out: Path) -> list[str]:
    return [
        "evaluate",
        *(str(model), "--dataset", dataset, "--data", str(data), "--split", split, "--out", str(out)),
    ]


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_the_run_s_own_scores_come_out_again(toy_run, again):
    stored = toy_run / "evaluation/kermany-test"
    for name in ("metrics.json", "curves.json"):
        assert read(again / name) == read(stored / name)
    before, after = (Predictions.read(folder / "predictions.parquet") for folder in (stored, again))
    assert before.images.tolist() == after.images.tolist()
    assert np.array_equal(before.probabilities, after.probabilities)


@pytest.mark.parametrize("split", ["val", "train"])
def test_every_split_is_carved_again_from_the_recipe(split, toy_run, kermany_like, tmp_path):
    metrics = evaluate(cxrcore.load(toy_run), "kermany", kermany_like, split, tmp_path).to_dict()
    with (toy_run / "training/split.csv").open() as file:
        expected = {row["image"] for row in csv.DictReader(file) if row["split"] == split}
    assert set(Predictions.read(tmp_path / "predictions.parquet").images) == expected
    assert (metrics["split"], metrics["split_origin"]) == (split, "own")
    if split == "val":
        assert metrics == read(toy_run / "evaluation/kermany-val/metrics.json")


def test_scores_are_scikit_learn_s(again):
    films = Predictions.read(again / "predictions.parquet")
    metrics = read(again / "metrics.json")
    areas = [roc_auc_score(films.targets[:, k], films.probabilities[:, k]) for k in range(2)]
    assert [metrics["findings"][name]["auroc"]["value"] for name in PNEUMONIA2] == pytest.approx(areas)
    predicted = films.probabilities[:, 1] >= np.float32(metrics["findings"]["Pneumonia"]["threshold"])
    assert metrics["accuracy"] == pytest.approx(accuracy_score(films.targets[:, 1], predicted))
    assert metrics["n"] == len(films)


def test_the_table_printed_is_what_was_measured(toy_run, kermany_like, tmp_path, capsys):
    assert main(command(toy_run, "kermany", kermany_like, "test", tmp_path / "out")) == 0
    out = capsys.readouterr().out
    metrics = read(tmp_path / "out/metrics.json")
    assert f"kermany, test (own split): {metrics['n']} films of {metrics['n_patients']} patients" in out
    assert f"{metrics['findings']['Pneumonia']['auroc']['value']:.3f} (" in out


def films_changed(films: Path) -> None:
    (films / "chest_xray/train/NORMAL/IM-0003-0001.jpeg").unlink()


def films_added(films: Path) -> None:
    (films / "chest_xray/train/NORMAL/IM-0999-0001.jpeg").write_bytes(encoded(chest(seed=999), "JPEG"))


def films_of_other_patients(films: Path) -> None:
    folder = films / "chest_xray/train/PNEUMONIA"
    (folder / "person7_bacteria_7.jpeg").rename(folder / "person70_bacteria_7.jpeg")


@pytest.mark.parametrize("change", [films_changed, films_added, films_of_other_patients])
@pytest.mark.parametrize("split", ["test", "train"])
def test_other_films_than_those_trained_on_are_refused(change, split, toy_run, kermany_like, tmp_path, capsys):
    """A split carved from other films would mix patients it has learned from into the test."""
    films = shutil.copytree(kermany_like, tmp_path / "films")
    change(films)
    assert main(command(toy_run, "kermany", films, split, tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert "not exactly the films that toy was trained on" in error
    assert "--split all" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out/metrics.json").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "recipe.yaml").unlink(), "carries no recipe"),
        (lambda run: (run / "recipe.yaml").write_text("data: ["), "carries no recipe"),
        (lambda run: edit(run / "recipe.yaml", "seed: 0", "seed: 5"), "not exactly the films"),
        (lambda run: edit(run / "config.json", '"split_sha256": "', '"split_sha256": "0'), "not exactly the films"),
    ],
)
def test_an_unknown_split_is_refused(spoil, message, toy_run, kermany_like, tmp_path):
    run = shutil.copytree(toy_run, tmp_path / "run")
    spoil(run)
    with pytest.raises(InvalidDataset, match=message):
        evaluate(cxrcore.load(run), "kermany", kermany_like, "test", tmp_path / "out")


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_all_scores_films_of_another_source(toy_run, tmp_path):
    films = tmp_path / "films"
    rows = ["Image,PatientId,Normal,Pneumonia"]
    for n in range(12):
        (films / "png").mkdir(parents=True, exist_ok=True)
        (films / "png" / f"{n}.png").write_bytes(encoded(chest(height=60, width=50, seed=n), "PNG"))
        rows.append(f"{n}.png,{n // 2},{int(n % 3 == 0)},{int(n % 3 != 0)}")
    (films / "labels.csv").write_text("\n".join(rows) + "\n")
    model = cxrcore.load(toy_run)
    metrics = evaluate(model, "csv", films, "all", tmp_path / "out").to_dict()
    assert (metrics["n"], metrics["n_patients"], metrics["dataset"], metrics["split"]) == (12, 6, "csv", "all")
    assert metrics["findings"]["Pneumonia"]["n_pos"] == 8
    table = Predictions.read(tmp_path / "out/predictions.parquet")
    alone = [model.predict(cxrcore.read_radiograph(films / image)).probabilities["Pneumonia"] for image in table.images]
    assert np.allclose(table.probabilities[:, 1], alone, atol=5e-3)  # bfloat16 in batches, where the CPU has it
    with pytest.raises(InvalidDataset, match=r"no official test list, and toy was not trained on it; use --split all"):
        evaluate(model, "csv", films, "test", tmp_path / "other")
    with pytest.raises(InvalidDataset, match="no split 'dev'; choose one of: train, val, test, all"):
        evaluate(model, "csv", films, "dev", tmp_path / "other")


def test_an_official_list_is_kept_and_badged(make_bundle, nih_like, tmp_path):
    model = cxrcore.load(make_bundle("resnet10t", NIH14, size=32))
    metrics = evaluate(model, "nih", nih_like, "test", tmp_path / "test").to_dict()
    assert (metrics["split_origin"], metrics["n"], metrics["n_patients"]) == ("official", 6, 2)
    assert set(Predictions.read(tmp_path / "test/predictions.parquet").patient_ids) == {"0", "1"}
    assert evaluate(model, "nih", nih_like, "all", tmp_path / "all").split_origin == "unknown"  # it does not say
    with pytest.raises(InvalidDataset, match="no official val list"):
        evaluate(model, "nih", nih_like, "val", tmp_path / "val")


def test_a_model_of_another_label_set_is_scored_on_what_it_shares(
    toy_run, make_bundle, nih_like, kermany_like, tmp_path
):
    films = shutil.copytree(nih_like, tmp_path / "nih")
    rows = (films / "Data_Entry_2017.csv").read_text().replace("Atelectasis", "No Finding").splitlines()
    for row, finding in ((2, "Pneumonia|Effusion"), (4, "Pneumonia"), (6, "No Finding"), (8, "Mass")):
        rows[row] = ",".join([rows[row].split(",")[0], finding, *rows[row].split(",")[2:]])
    (films / "Data_Entry_2017.csv").write_text("\n".join(rows) + "\n")
    labels = [row.split(",")[1] for row in rows[1:]]
    pneumonia = cxrcore.load(toy_run)
    said: list[str] = []
    metrics = evaluate(pneumonia, "nih", films, "all", tmp_path / "a", log=said.append)
    shared = metrics.findings["Pneumonia"]
    assert (shared.n_pos, shared.n_neg) == (2, labels.count("No Finding"))
    assert metrics.origin.label == "another dataset than the model was trained on"
    assert "The films are labelled nih15; scored is what pneumonia2 shares: Normal, Pneumonia." in said
    assert f"{10 - labels.count('No Finding')} of 12 films have none of these, or several, and are left out." in said
    official = evaluate(pneumonia, "nih", films, "test", tmp_path / "t")
    assert (official.split_origin, official.n) == ("official", 6)
    everyone = evaluate(pneumonia, "nih", films, "all", tmp_path / "b", all_negatives=True).findings["Pneumonia"]
    assert (everyone.n_pos, everyone.n_neg) == (2, 10)

    fourteen = cxrcore.load(make_bundle("resnet10t", NIH14, size=32))
    back = evaluate(fourteen, "kermany", kermany_like, "all", tmp_path / "c")
    assert (back.findings["Pneumonia"].n_pos, back.findings["Pneumonia"].n_neg) == (
        sum("PNEUMONIA" in path.parts for path in kermany_like.rglob("*.jpeg")),
        sum("NORMAL" in path.parts for path in kermany_like.rglob("*.jpeg")),
    )
    assert back.findings["Mass"].auroc.why
    assert back.macro.auroc_findings == ["Pneumonia"]
    three = cxrcore.load(make_bundle("resnet10t", TB3, size=32))
    alarms = evaluate(three, "nih", films, "all", tmp_path / "d").findings
    assert (alarms["Tuberculosis"].n_pos, alarms["Tuberculosis"].n_neg) == (0, 2 + labels.count("No Finding"))
    other = LabelSet("stent", Kind.MULTILABEL, (Finding("Stent", ""),))
    with pytest.raises(InvalidDataset, match="kermany has no labels 'stent'"):
        evaluate(cxrcore.load(make_bundle("resnet10t", other, size=32)), "kermany", kermany_like, "all", tmp_path / "e")


def test_films_of_anyone_s_folders_may_have_been_seen(toy_run, kermany_like, tmp_path):
    films = tmp_path / "films"
    for name, kind in (("normal", "NORMAL"), ("pneumonia", "PNEUMONIA")):
        shutil.copytree(kermany_like / "chest_xray" / "train" / kind, films / name)
    metrics = evaluate(cxrcore.load(toy_run), "folders", films, "all", tmp_path / "out")
    assert metrics.origin.label == "unknown whether the model saw these patients"
    own = read_dataset("kermany", kermany_like, PNEUMONIA2)
    train = {patient for patient, path in zip(own.patient_ids, own.paths, strict=True) if "train" in path.parts}
    assert metrics.n_patients == len(train)  # told by the names


def test_a_model_that_learned_from_the_official_test_list_is_held_to_its_own_split(make_bundle, nih_like, tmp_path):
    """Its recipe carved all patients anew, so the official list holds patients it has seen."""
    table = read_dataset("nih", nih_like, NIH14)
    splits = np.array(["train", "val", "test", "train"]).repeat(3)
    facts = {"dataset": "nih", "split_origin": "own", "split_sha256": split_digest(table, splits)}
    model = cxrcore.load(make_bundle("resnet10t", NIH14, size=32, provenance=facts))
    with pytest.raises(InvalidDataset, match="carries no recipe"):
        evaluate(model, "nih", nih_like, "test", tmp_path / "out")


def test_an_ensemble_scores_the_mean_of_its_members_probabilities(again, toy_run, sibling, kermany_like, tmp_path):
    make_ensemble([toy_run, sibling], tmp_path / "pair")
    metrics = evaluate(cxrcore.load(tmp_path / "pair"), "kermany", kermany_like, "test", tmp_path / "out").to_dict()
    parts = [Predictions.read(again / "predictions.parquet")]
    parts.append(Predictions.read(sibling / "evaluation/kermany-test/predictions.parquet"))
    both = Predictions.read(tmp_path / "out/predictions.parquet")
    assert all(part.images.tolist() == both.images.tolist() for part in parts)
    assert np.allclose(both.probabilities, np.mean([part.probabilities for part in parts], axis=0), atol=1e-6)
    points = read_ensemble(tmp_path / "pair").operating_points  # fitted to the mean
    assert points is not None
    assert metrics["findings"]["Pneumonia"]["threshold"] == pytest.approx(points.thresholds[1])
    assert metrics["findings"]["Pneumonia"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(both.targets[:, 1], both.probabilities[:, 1])
    )


def test_members_who_held_out_other_patients_have_no_common_test(toy_run, kermany_like, tmp_path):
    more = ("optimizer.epochs=1", "seed=1", "model.architecture=resnet10t")
    other = quick_fit(open_recipe("pneumonia-resnet18", [*TOY, *more]), kermany_like, tmp_path / "other")
    make_ensemble([toy_run, other], tmp_path / "pair")
    pair = cxrcore.load(tmp_path / "pair")
    with pytest.raises(InvalidDataset, match="different patients; none are held out by all"):
        evaluate(pair, "kermany", kermany_like, "test", tmp_path / "out")


def test_weights_that_answer_otherwise_than_when_made_are_not_scored(toy_run, kermany_like, tmp_path, capsys):
    run = shutil.copytree(toy_run, tmp_path / "run")
    edit(run / "config.json", '"intensity": "equalise"', '"intensity": "stretch"')
    assert main(command(run, "kermany", kermany_like, "test", tmp_path / "out")) == 2
    assert "does not compute here what it computed when it was made" in capsys.readouterr().err


@pytest.mark.slow
def test_the_split_of_a_run_on_part_of_the_films_is_carved_again_by_its_own_seed(kermany_like, tmp_path):
    out = quick_fit(
        open_recipe("pneumonia-resnet18", [*TOY, "data.limit=26", "data.split_seed=7", "optimizer.epochs=1"]),
        kermany_like,
        tmp_path / "run",
    )
    stored = read(out / "evaluation/kermany-val/metrics.json")
    assert main(command(out, "kermany", kermany_like, "val", tmp_path / "val")) == 0
    metrics = read(tmp_path / "val/metrics.json")
    assert metrics["n"] == stored["n"] < 8
    assert metrics["findings"]["Pneumonia"]["auroc"] == stored["findings"]["Pneumonia"]["auroc"]
