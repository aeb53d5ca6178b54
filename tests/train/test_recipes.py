"""Every shipped recipe, from its films to an answer: fit, predict and the app's own door, on a few real films.

Where CXR_DATA_DIR is unset the films are drawn, in the same layouts. What each recipe stands for is read off the bundle
it leaves. Oracles: plain timm, numpy.
"""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image

import cxrcore
from cxrcore.datasets import DATASETS, read_dataset
from cxrcore.datasets.phantoms import write_phantoms
from cxrcore.findings import LABEL_SETS, NIH14, NIH15, PHANTOM5, Kind, label_set
from cxrcore.training.losses import label_weights
from tests.cxrcore.datasets.test_duplicates import texture
from tests.films import chest, encoded
from train.cli import main
from train.recipes import RECIPES, open_recipe

FEW = 20  # films a class; NIH: twice that to learn from, and this many of the official test list
NIH_LABELS = "Data_Entry_2017_v2020.csv"
SMALL = (
    "optimizer.epochs=1",
    "optimizer.small_epochs=0",
    "optimizer.batch_size=16",
    "preprocessing.height=32",
    "preprocessing.width=32",
    "data.val_fraction=0.2",
    "model.weights=scratch",
    "keep.patience=0",
)
CHANGED = {  # beyond SMALL, for what a test below reads off the bundle
    "nih14-resnet18": ("data.limit=48",),
    "tb3-efficientnet-b0": ("optimizer.epochs=2", "model.frozen_epochs=1"),
}
QUICK = {"nih14-efficientnet-lite0"}  # the others run with the slow tests


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(chest(height=64, width=60, seed=seed), "JPEG" if path.suffix == ".jpeg" else "PNG"))


def kermany(root: Path, real: Path | None) -> None:
    """A few films of each kind: links to real ones, else drawn."""
    train = root / "chest_xray" / "train"
    for kind, pattern, drawn in (
        ("NORMAL", "*", "IM-{0:04d}-0001.jpeg"),
        ("PNEUMONIA", "*_bacteria_*", "person{0}_bacteria_{0}.jpeg"),
        ("PNEUMONIA", "*_virus_*", "person{0}_virus_{0}.jpeg"),
    ):
        (train / kind).mkdir(parents=True, exist_ok=True)
        paths = sorted((real / "kermany/chest_xray/train" / kind).glob(pattern)) if real else []
        for path in paths[:: max(1, len(paths) // FEW)][:FEW]:
            (train / kind / path.name).symlink_to(path)
        for n in range(0 if paths else FEW):
            draw(train / kind / drawn.format(n), len(pattern) * 100 + n)


def nih(root: Path, real: Path | None) -> None:
    """The source's own label file and test list, and a few films of either side."""
    root.mkdir()
    folder = real / "nih" if real else None
    if folder and folder.is_dir():
        table = read_dataset("nih", folder, NIH14)
        for test, count in ((True, FEW), (False, 2 * FEW)):
            rows = [row for row, split in enumerate(table.splits) if (split == "test") is test]
            for row in rows[:: max(1, len(rows) // count)][:count]:
                (root / table.images[row]).symlink_to(table.paths[row])
        for path in folder.glob("*.csv.gz"):
            if path.name.startswith((NIH_LABELS, "official_split")):
                (root / path.name).symlink_to(path)
        return
    entries: list[tuple] = []
    tested: list[str] = []
    for n in range(3 * FEW):
        name = f"{n:08d}_000.png"
        draw(root / "images_001" / "images" / name, n)
        labels = "No Finding" if n % 4 == 0 else "|".join({NIH14.names[n % 14], NIH14.names[n * 3 % 14]})
        entries.append((name, labels, 0, n, 30 + n, "MF"[n % 2], ("PA", "AP")[n % 3 == 0]))
        tested += [name] * (n % 3 == 0)
    header = ("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender")
    write_csv(root / NIH_LABELS, (*header, "View Position"), entries)
    (root / "test_list.txt").write_text("\n".join(tested))


def folders(root: Path, real: Path | None) -> None:
    """Three classes under the names one finds them by, and one that no label set here knows."""
    for k, name in enumerate(("NORMAL", "PNEUMONIA", "TURBERCULOSIS", "COVID19")):
        for n in range(FEW):
            draw(root / "train" / name / f"{n}.png", 100 * k + n)


def phantom(root: Path, real: Path | None) -> None:
    write_phantoms(root, 3 * FEW, size=(64, 64))


def tables(root: Path, real: Path | None) -> None:
    """The small tables of a well-known course: train, valid and test, a column a finding, ``PatientId``."""
    for part, count in (("train-small", 2 * FEW), ("valid-small", FEW), ("test", FEW)):
        rows = []
        for n in range(count):
            draw(root / "images-small" / f"{part}-{n}.png", len(part) * 100 + n)
            rows.append((f"{part}-{n}.png", *(int((n + k) % 5 == 0) for k in range(14)), f"{part}-{n // 2}"))
        write_csv(root / f"{part}.csv", ("Image", *NIH14, "PatientId"), rows)


def write_csv(path: Path, header: tuple, rows: list) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def composed(root: Path, real: Path | None) -> None:
    """Its parts: tuberculosis films of two sources, children, NIH."""
    for k, name in enumerate(("Normal", "Tuberculosis")):
        for n in range(FEW):
            draw(root / "tb" / name / f"{name.lower()}-{10 * n + 1}.png", 500 * k + n)
    kermany(root / "kermany", real)
    nih(root / "nih-256", real)
    for n, path in enumerate(sorted(root.rglob("*.*"))):  # drawn chests are near-duplicates of each other
        if path.suffix in (".png", ".jpeg") and not path.is_symlink():
            Image.fromarray((texture(n, 64) * 255).astype(np.uint8)).save(path)


FILMS = {"composed": composed, "kermany": kermany, "nih": nih, "folders": folders, "phantom": phantom, "csv": tables}


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Callable[[str], Path]:
    """``films(dataset)`` is a folder of a few of its films."""
    real = Path(os.environ["CXR_DATA_DIR"]).resolve() if os.environ.get("CXR_DATA_DIR") else None
    made: dict[str, Path] = {}

    def folder(dataset: str) -> Path:
        if dataset not in made:
            made[dataset] = tmp_path_factory.mktemp("films") / dataset
            FILMS[dataset](made[dataset], real)
        return made[dataset]

    return folder


@pytest.fixture(scope="module")
def trained(films, tmp_path_factory) -> Callable[..., Path]:
    """``trained(recipe, *overrides)`` is the bundle that ``cxr fit`` leaves, made once; fit.txt is beside it."""
    made: dict[tuple, Path] = {}

    def bundle(name: str, *overrides: str) -> Path:
        if (name, *overrides) not in made:
            out = tmp_path_factory.mktemp("runs") / name
            given = (*SMALL, *CHANGED.get(name, ()), *overrides)
            data = films(open_recipe(name, given).data.dataset)
            command = ["fit", name, "--data", str(data), "--out", str(out)]
            with redirect_stdout(io.StringIO()) as printed:
                assert main([*command, *(part for item in given for part in ("--set", item))]) == 0
            (out.parent / "fit.txt").write_text(printed.getvalue())
            made[name, *overrides] = out
        return made[name, *overrides]

    return bundle


def any_film(films, name: str) -> Path:
    folder = films(open_recipe(name).data.dataset)
    return next(path for path in sorted(folder.rglob("*")) if path.suffix in (".png", ".jpeg"))


def provenance(bundle: Path) -> dict:
    return json.loads((bundle / "config.json").read_text())["cxrcore"]["provenance"]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_names_only_what_there_is(name):
    recipe = open_recipe(name)
    assert recipe.data.dataset in DATASETS
    assert recipe.data.labels in LABEL_SETS
    assert recipe.model.architecture in timm.list_models()
    expected = "cross_entropy" if label_set(recipe.data.labels).kind is Kind.MULTICLASS else "bce"
    assert recipe.loss_name == expected
    if recipe.model.weights.startswith("runs/"):
        assert recipe.model.weights.removeprefix("runs/") in RECIPES
    assert 20 < len(recipe.reproduces) < 130


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RECIPES]
)
def test_a_recipe_runs_from_films_to_answers(name, films, trained, capsys):
    """Fit, then ``cxr predict``, then the way the app opens a model."""
    bundle = trained(name)
    film = any_film(films, name)
    capsys.readouterr()
    assert main(["predict", str(bundle), str(film), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    labels = label_set(open_recipe(name).data.labels)
    assert tuple(answer["probabilities"]) == labels.names
    assert all(0 <= value <= 1 for value in answer["probabilities"].values())
    if labels.kind is Kind.MULTICLASS:
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)

    from cxrcore.serving.catalog import open_catalog

    menu = open_catalog(str(bundle))
    model = menu[menu.names[0]]
    analysis = model.analyse(cxrcore.read_radiograph(film))
    assert analysis.prediction.probabilities == pytest.approx(answer["probabilities"], abs=1e-3)
    assert tuple(analysis.heatmaps) == labels.names
    assert model.info["architecture"] == open_recipe(name).model.architecture
    dataset = open_recipe(name).data.dataset
    assert {(scores["dataset"], scores["split"]) for scores in model.info["metrics"]} == {
        (dataset, "val"),
        (dataset, "test"),
    }
    listed = {"nih": "official", "composed": "fixed"} if open_recipe(name).data.official_split else {}
    assert provenance(bundle)["split_origin"] == listed.get(dataset, "own")


@pytest.mark.slow
def test_tb3_reports_folders_left_out_and_ends_as_plain_timm(films, trained):
    """Batch norm and dropout of the head are folded into one linear layer; oracle: timm's own loader."""
    bundle = trained("tb3-efficientnet-b0")
    printed = (bundle.parent / "fit.txt").read_text()
    assert f"'COVID19' is outside the label set tb3: its {FEW} films are left out" in printed
    model: Any = cxrcore.load(bundle, device="cpu", dtype=torch.float32)
    plain: Any = timm.create_model(f"local-dir:{bundle}", pretrained=True).eval()
    assert type(plain.get_classifier()) is torch.nn.Linear
    film = cxrcore.read_radiograph(any_film(films, "tb3-efficientnet-b0"))
    with torch.inference_mode():
        logits = plain(model.tensor(film))[0].numpy()
    assert np.allclose(logits, list(model.predict(film).logits.values()), atol=1e-5)
    scores = json.loads((bundle / "evaluation/folders-test/metrics.json").read_text())
    assert {"accuracy", "confusion", "macro"} <= scores.keys()
    assert {"ppv", "sensitivity", "f1", "auroc"} <= scores["findings"]["Tuberculosis"].keys()
    history = [json.loads(line) for line in (bundle / "training/history.jsonl").read_text().splitlines()]
    assert len(history) == 2
    stored = yaml.safe_load((bundle / "recipe.yaml").read_text())
    assert (stored["model"]["head"], stored["model"]["dropout"]) == ("batchnorm", 0.4)


@pytest.mark.slow
def test_the_published_pneumonia_recipe_weighs_normal_three_to_one(trained):
    stored = yaml.safe_load((trained("pneumonia-resnet18-published") / "recipe.yaml").read_text())
    assert stored["loss"]["weights"] == [3.0, 1.0]
    recipe = open_recipe("pneumonia-resnet18-published")
    positive, _ = label_weights(recipe.loss, recipe.loss_name, np.eye(2, dtype=np.float32))
    assert positive.tolist() == [3, 1]
    o = recipe.optimizer
    assert (o.name, o.lr, o.weight_decay, o.batch_size, recipe.keep.patience) == ("adam", 1e-4, 1e-4, 32, 5)


@pytest.mark.slow
def test_nih15_speaks_of_no_finding_and_badges_its_split_as_its_own(trained):
    bundle = trained("nih15-efficientnet-b3")
    model = cxrcore.load(bundle)
    assert model.labels == NIH15
    assert model.labels.names[-1] == "No Finding"
    assert model.info["metrics"][0]["split_origin"] == "own"
    recipe = open_recipe("nih15-efficientnet-b3")
    o = recipe.optimizer
    assert (o.epochs, o.batch_size, o.lr, o.weight_decay, o.schedule) == (50, 192, 1e-3, 0.01, "cosine_restarts")
    assert (o.restart_epochs, o.restart_factor, recipe.loss.mixup, recipe.data.limit) == (10, 2, 0.2, 40_000)
    for scores in model.info["metrics"]:  # the headline is the mean over the fourteen, as everybody's is
        areas = [scores["findings"][name]["auroc"]["value"] for name in NIH14]
        assert scores["macro"]["auroc"]["value"] == pytest.approx(np.mean([area for area in areas if area is not None]))


@pytest.mark.slow
def test_nih14_resnet18_takes_whole_patients_up_to_its_limit(films, trained):
    bundle = trained("nih14-resnet18")
    counts = provenance(bundle)["films"]
    assert sum(counts.values()) == 48
    assert min(counts.values()) > 0
    with (bundle / "training/split.csv").open() as file:
        taken = Counter(row["patient_id"] for row in csv.DictReader(file))
    all_films = Counter(read_dataset("nih", films("nih"), NIH14).patient_ids)
    assert sum(taken[patient] != all_films[patient] for patient in taken) <= 1  # the last one may be cut
    weighted = yaml.safe_load((bundle / "recipe.yaml").read_text())["loss"]
    assert weighted["class_weights"] is True


@pytest.mark.slow
def test_densenet_stores_the_training_films_mean_and_deviation(films, trained):
    """Films that split.csv calls train have mean 0 and deviation 1 as the app feeds them; oracle: numpy."""
    bundle = trained("nih14-densenet121")
    model: Any = cxrcore.load(bundle)
    table = read_dataset("nih", films("nih"), NIH14)
    paths = dict(zip(table.images, table.paths, strict=True))
    with (bundle / "training/split.csv").open() as file:
        train = [row["image"] for row in csv.DictReader(file) if row["split"] == "train"]
    inputs = np.stack([model.tensor(cxrcore.read_radiograph(paths[image])).numpy() for image in train])
    assert inputs.mean() == pytest.approx(0, abs=1e-3)
    assert inputs.std() == pytest.approx(1, abs=1e-3)


def test_densenet_weighs_each_finding_by_the_share_of_the_other_kind():
    """w_pos = freq_neg and w_neg = freq_pos, up to one common factor."""
    recipe = open_recipe("nih14-densenet121")
    targets = np.zeros((10, 14), np.float32)
    targets[:3, 0] = targets[:1, 1] = 1
    positive, negative = label_weights(recipe.loss, recipe.loss_name, targets)
    assert np.allclose(positive[:2] / negative[:2], [7 / 3, 9 / 1])


@pytest.mark.slow
def test_densenet_reads_the_course_tables_and_keeps_their_splits(trained):
    small = ("data.dataset=csv", "model.architecture=resnet10t")
    bundle = trained("nih14-densenet121", *small)
    facts = provenance(bundle)
    assert facts["films"] == {"train": 2 * FEW, "val": FEW, "test": FEW}
    assert facts["patients"] == {"train": FEW, "val": FEW // 2, "test": FEW // 2}
    assert (facts["dataset"], facts["split_origin"]) == ("csv", "official")


@pytest.mark.slow
def test_phantoms_say_everywhere_that_they_are_drawn(trained, capsys):
    bundle = trained("phantom-resnet10t")
    assert provenance(bundle)["synthetic"] is True
    assert "synthetic" in (bundle / "README.md").read_text()
    assert cxrcore.load(bundle).labels == PHANTOM5

    from cxrcore.serving.notices import read_notices

    assert read_notices(bundle).synthetic


def test_a_recipe_that_starts_from_a_run_says_which_is_missing(films, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no runs/ here
    out = tmp_path / "out"
    command = ["fit", "nih14-densenet121", "--data", str(films("nih")), "--out", str(out)]
    assert main([*command, "--set", "model.weights=runs/pneumonia-resnet18"]) == 2
    error = capsys.readouterr().err
    assert "model.weights" in error
    assert "'pneumonia-resnet18'" in error
    assert len(error.strip().splitlines()) == 1
